import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuclust.errors import InputError, UnknownNameError
from gpuclust.methods.spec import chain_text, parse_clusterer, parse_reducer
from gpuclust.methods.table import CLUSTERERS, REDUCERS


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("none", "none"),
        ("umap(n_components=50)", "umap"),
        ("umap(10)", "umap(n_components=10)"),
        (" zscore | pca(0.9) ", "zscore|pca(n_components=0.9)"),
        ("none|l2", "l2"),
        ("umap(min_dist=0)", "umap"),
    ],
)
def test_a_chain_is_written_back_in_its_shortest_form(text, canonical):
    assert chain_text(parse_reducer(text)) == canonical


def test_words_need_no_quotes():
    assert parse_clusterer("hdbscan(metric=l1)") == parse_clusterer("hdbscan(metric='l1')")


@pytest.mark.parametrize("name", CLUSTERERS)
def test_all_defaults_are_resolved(name):
    spec = parse_clusterer(name)
    assert dict(spec.params) == {key: p.default for key, p in CLUSTERERS[name].params.items()}


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "min_cluster_size": st.integers(2, 1000),
            "max_cluster_size": st.one_of(st.none(), st.floats(0.01, 1)),
            "metric": st.sampled_from(["euclidean", "l1", "chebyshev", "cosine"]),
        },
    )
)
def test_text_and_spec_are_each_others_inverse(params):
    given_text = ", ".join(f"{key}={value!r}" for key, value in params.items())
    spec = parse_clusterer(f"hdbscan({given_text})")
    assert parse_clusterer(str(spec)) == spec
    assert dict(spec.params) | params == dict(spec.params)


@pytest.mark.parametrize(
    "text",
    [
        "umap(",
        "",
        "1 + 1",
        "umap(n_components=f())",
        "umap(**{})",
        "a.b()",
        "umap\0",
        "(" * 5000 + "umap" + ")" * 5000,
        f"umap(n_components={'-' * 3000}1)",
        f"umap(n_components={'9' * 5000})",
        "umap(n_components={1, [2]})",
    ],
)
def test_what_is_not_a_spec_is_refused_and_nothing_is_evaluated(text):
    with pytest.raises(InputError, match="is not a reducer"):
        parse_reducer(text)


def test_an_unknown_name_brings_the_nearest():
    with pytest.raises(UnknownNameError, match=r"unknown clusterer 'kmean'. Did you mean 'kmeans'"):
        parse_clusterer("kmean")


def test_an_unknown_parameter_brings_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'n_components'"):
        parse_reducer("umap(n_component=3)")


def test_the_number_of_clusters_is_not_a_parameter():
    with pytest.raises(UnknownNameError, match="--k"):
        parse_clusterer("kmeans(n_clusters=3)")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kmeans(n_init=0)", "at least 1"),
        ("kmeans(n_init=True)", "whole number"),
        ("kmeans(n_init=1.5)", "whole number"),
        ("affinity(damping=0.2)", "from 0.5 to 0.999"),
        ("hdbscan(metric=manhatten)", "Known: chebyshev, cosine, euclidean, l1"),
        ("agglomerative(metric=cosine)", "linkage=ward is defined for metric=euclidean only"),
        ("kmeans(1, 2)", "one value without a name"),
        ("kmeans(n_init=3, n_init=4)", "gives n_init twice"),
        ("kmeans(3, n_init=4)", "gives n_init twice"),
        ("kmeans(n_init=2147483648)", "at most 2147483647"),
        (f"kmeans(n_init=1{'0' * 4000})", "at most 2147483647"),
        ("kmeans(n_init=[3])", "whole number"),
        ("kmeans(init=[1, 2])", "Known: k-means"),
        ("agglomerative_threshold(distance_threshold=1e999)", "finite number of at least 0"),
        (f"agglomerative_threshold(distance_threshold=1{'0' * 400})", "finite number"),
        ("agglomerative(distance_threshold=-1e999)", "finite number"),
        ("affinity(preference=1e999)", "finite number or None; got inf"),
        ("affinity(preference=nan)", "finite number"),
        ("affinity(preference=1j)", "finite number"),
        ("hdbscan(max_cluster_size=1e999)", "from 0 to 1"),
        ("hdbscan(max_cluster_size=0)", "above 0"),
        ("hdbscan(max_cluster_size=-0.0)", "above 0"),
    ],
)
def test_a_wrong_value_says_what_is_allowed(text, said):
    with pytest.raises(InputError, match=said):
        parse_clusterer(text)


@pytest.mark.parametrize("value", ["0", "1.0", "-3", "0.0"])
def test_pca_takes_a_count_or_a_share(value):
    with pytest.raises(InputError, match="whole number of at least 1 or a share"):
        parse_reducer(f"pca({value})")


def test_a_positional_value_is_refused_where_there_is_no_parameter():
    assert not REDUCERS["l2"].params
    with pytest.raises(InputError, match="no value without a name"):
        parse_reducer("l2(3)")


def test_zero_has_one_sign_and_one_key():
    assert str(parse_reducer("umap(min_dist=-0.0)")[0].given) == "umap"
    assert "-0.0" not in repr(parse_clusterer("agglomerative(distance_threshold=-0.0)").params)

"""RAPIDS has every class in the registry of methods, and each accepts the keywords we pass."""

import importlib
import inspect
import itertools

import pytest

from gpuclust.algorithms import cuml
from gpuclust.errors import GpuclustError
from gpuclust.methods import table
from gpuclust.methods.table import CLUSTERERS, REDUCERS, Fit
from gpuclust.registry import load_target

ALL = REDUCERS | CLUSTERERS
SIZES = [(40, 3), (2_000, 50), (100_000, 1280)]


def fit_on(n, d):
    def neighbors(k, metric):
        return f"distances {metric}", f"indices {k}"

    return Fit(n=n, d=d, k=10, seed=3, trees={}, neighbors=neighbors)


def values_of(param):
    """Values of a parameter with different translations in `bindings`."""
    if param.choices:
        return list(param.choices)
    if param.kinds == (bool,):
        return [False, True]
    extra = [None] if param.optional else []
    low = param.low if param.low is not None else 1
    return [param.default, param.kinds[0](low), *extra]


def combinations():
    """Every method with every combination of its choices and bounds, on three sizes of data."""
    for name, method in ALL.items():
        lists = [values_of(param) for param in method.params.values()]
        for values in itertools.product(*lists):
            params = dict(zip(method.params, values, strict=True))
            for size in SIZES:
                yield name, params, size


def implementations():
    """List (name, target, keywords) of every GPU implementation selected by some parameters."""
    found = []
    for name, params, size in combinations():
        method = ALL[name]
        try:
            method.check(name, params)
            chosen = method.implementation("gpu", params, fit_on(*size))
        except GpuclustError:  # refused by our own validation, before a class is chosen
            continue
        if chosen is not None:
            found.append((name, chosen.target, chosen.bind(params, fit_on(*size))))
    return found


REACHED = implementations()
CUML = [entry for entry in REACHED if entry[1].startswith("cuml")]


def test_every_gpu_implementation_is_reached():
    named = {one.target for method in ALL.values() for one in method.gpu}
    assert {path for _, path, _ in REACHED} == named
    assert len(CUML) > 50


def test_only_pacmap_has_no_gpu_implementation():
    assert {name for name, method in ALL.items() if not method.gpu} == {"pacmap"}


@pytest.mark.parametrize("path", sorted({path for _, path, _ in REACHED}))
def test_the_class_takes_every_keyword(path):
    found = load_target(path)
    for name, _, keywords in (entry for entry in REACHED if entry[1] == path):
        signature = inspect.signature(found)
        signature.bind(**keywords)
        assert not any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()), name


@pytest.mark.parametrize("path", sorted({path for _, path, _ in CUML}))
def test_cuml_keeps_what_it_is_given(path):
    found = load_target(path)
    for _, _, keywords in (entry for entry in CUML if entry[1] == path):
        kept = found(**keywords).get_params()
        assert {key: kept[key] for key in keywords} == keywords


def test_labels_and_reduced_arrays_are_asked_for_on_the_device():
    for name, path, keywords in CUML:
        assert keywords["output_type"] == "cupy", (name, path)


def test_every_random_class_is_seeded_unless_the_user_wants_otherwise():
    seeds = {}
    for _, path, keywords in CUML:
        if "random_state" in inspect.signature(load_target(path).__init__).parameters:
            seeds.setdefault(path, set()).add(keywords["random_state"])
    assert seeds == {"cuml.cluster:KMeans": {3}, "cuml.manifold:UMAP": {3, None}}


@pytest.mark.parametrize(
    ("asked", "ours"),
    [({"min_samples": 7}, 6), ({"min_samples": None, "min_cluster_size": 5}, 4)],
)
def test_hdbscan_counts_neighbors_as_scikit_learn_does(asked, ours):
    params = {key: p.default for key, p in CLUSTERERS["hdbscan"].params.items()} | asked
    chosen = CLUSTERERS["hdbscan"].implementation("gpu", params, fit_on(2_000, 50))
    assert chosen.target == "cuml.cluster:HDBSCAN"
    assert chosen.bind(params, fit_on(2_000, 50))["min_samples"] == ours


@pytest.mark.parametrize(
    "asked",
    [
        {"metric": "l1"},
        {"metric": "cosine"},
        {"metric": "chebyshev"},
        {"min_samples": 1},
        {"min_samples": 1500},
        {"min_cluster_size": 2_000},
    ],
)
def test_hdbscan_runs_on_ours_where_cuml_would_refuse_or_crash(asked):
    params = {key: p.default for key, p in CLUSTERERS["hdbscan"].params.items()} | asked
    chosen = CLUSTERERS["hdbscan"].implementation("gpu", params, fit_on(2_000, 50))
    assert chosen.target == "gpuclust.algorithms.hdbscan:HDBSCAN"


def test_cuml_knows_every_choice_we_allow():
    # Its constructors check nothing: an unknown init would silently select another one.
    from cuml.neighbors import VALID_METRICS

    assert set(table.METRICS) <= VALID_METRICS["brute"]
    source = inspect.getdoc(load_target("cuml.cluster:KMeans"))
    for word in CLUSTERERS["kmeans"].params["init"].choices:
        assert word in source
    source = inspect.getdoc(load_target("cuml.cluster:HDBSCAN"))
    for word in CLUSTERERS["hdbscan"].params["cluster_selection_method"].choices:
        assert word in source
    source = inspect.getdoc(load_target("cuml.manifold:UMAP"))
    for word in (*table.METRICS, "brute_force_knn", "spectral", "precomputed_knn"):
        assert word in source


SPECTRAL = cuml.SpectralClustering


def calls_of(function):
    """Keywords of every call inside one of our wrappers, read from its source."""
    import ast
    import textwrap

    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            yield name, {word.arg for word in node.keywords if word.arg}, len(node.args)


@pytest.mark.parametrize(
    ("wrapper", "called", "path"),
    [
        (cuml.kneighbors, "NearestNeighbors", "cuml.neighbors:NearestNeighbors"),
        (cuml.kneighbors, "kneighbors", "cuml.neighbors:NearestNeighbors.kneighbors"),
        (cuml.PCA.fit_transform, "Cuml", "cuml.decomposition:PCA"),
        (SPECTRAL._embed, "spectral_embedding", "cuml.manifold:spectral_embedding"),
        (SPECTRAL.fit_predict, "KMeans", "cuml.cluster:KMeans"),
    ],
)
def test_our_wrappers_pass_keywords_that_exist(wrapper, called, path):
    module, _, attributes = path.partition(":")
    found = importlib.import_module(module)
    for attribute in attributes.split("."):
        found = getattr(found, attribute)
    words = [keywords for name, keywords, _ in calls_of(wrapper) if name == called]
    assert words
    taken = inspect.signature(found).parameters
    for keywords in words:
        assert keywords <= set(taken), keywords - set(taken)

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle
from sklearn.cluster import DBSCAN, KMeans
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.metrics.cluster import contingency_matrix
from sklearn.metrics.cluster import expected_mutual_information as oracle_emi

from gpuclust import metrics
from gpuclust.errors import InputError, UnknownNameError

SHARED = [
    "adjusted_mutual_info_score",
    "adjusted_rand_score",
    "fowlkes_mallows_score",
    "homogeneity_completeness_v_measure",
    "mutual_info_score",
    "normalized_mutual_info_score",
]
EDGES = {
    "empty": ([], []),
    "one sample": ([3], [5]),
    "one class": ([0, 0, 0], [0, 1, 1]),
    "one cluster": ([0, 1, 1], [2, 2, 2]),
    "both single": ([1, 1, 1], [-1, -1, -1]),
    "labels all singletons": ([0, 0, 1, 1], [0, 1, 2, 3]),
    "both all singletons": ([0, 1, 2, 3], [3, 2, 1, 0]),
    "independent": ([0, 0, 1, 1], [0, 1, 0, 1]),
    "strings": (["cat", "cat", "dog"], ["a", "b", "b"]),
}


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    Z = PCA(8, random_state=0).fit_transform(X)
    label_sets = {
        "kmeans10": KMeans(10, n_init=1, random_state=0).fit_predict(Z),
        "kmeans80": KMeans(80, n_init=1, random_state=0).fit_predict(Z),
        "dbscan": DBSCAN(eps=9, min_samples=5).fit_predict(Z),
    }
    return y, label_sets


@pytest.mark.parametrize("labels", ["kmeans10", "kmeans80", "dbscan"])
@pytest.mark.parametrize("score", SHARED)
def test_score_equals_scikit_learn_on_digits(digits, score, labels):
    y, label_sets = digits
    ours = getattr(metrics, score)(y, label_sets[labels])
    theirs = getattr(oracle, score)(y, label_sets[labels])
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)


@pytest.mark.parametrize(
    ("score", "edge"),
    [
        (score, edge)
        for score in SHARED
        for edge in EDGES
        # scikit-learn raises a math domain error for this pair; see the next test.
        if (score, edge) != ("mutual_info_score", "empty")
    ],
)
def test_edge_cases_score_as_in_scikit_learn(score, edge):
    y, labels = EDGES[edge]
    ours = getattr(metrics, score)(y, labels)
    np.testing.assert_allclose(ours, getattr(oracle, score)(y, labels), atol=1e-12)


def test_empty_labelings_share_no_information():
    assert metrics.mutual_info_score([], []) == 0.0


def test_noise_is_an_ordinary_label_unless_it_is_masked(digits):
    y, label_sets = digits
    labels = label_sets["dbscan"]
    keep = labels != -1
    assert 0 < keep.sum() < len(keep)
    ours = metrics.adjusted_mutual_info_score(y, labels, mask=keep)
    theirs = oracle.adjusted_mutual_info_score(y[keep], labels[keep])
    assert ours == pytest.approx(theirs, rel=1e-9)
    assert ours != pytest.approx(metrics.adjusted_mutual_info_score(y, labels), rel=1e-3)


def test_external_scores_equal_the_single_scores(digits):
    y, label_sets = digits
    labels = label_sets["kmeans80"]
    v = metrics.homogeneity_completeness_v_measure(y, labels)
    assert metrics.external_scores(y, labels) == {
        "ami": metrics.adjusted_mutual_info_score(y, labels),
        "ami_true": metrics.adjusted_mutual_info_score(y, labels, normalizer="true"),
        "nmi": metrics.normalized_mutual_info_score(y, labels),
        "ari": metrics.adjusted_rand_score(y, labels),
        "fmi": metrics.fowlkes_mallows_score(y, labels),
        "homogeneity": v[0],
        "completeness": v[1],
        "v_measure": v[2],
        "purity": metrics.purity_score(y, labels),
        "accuracy": metrics.cluster_accuracy(y, labels),
    }


def test_contingency_is_the_sparse_table_of_scikit_learn(digits):
    y, label_sets = digits
    labels = label_sets["kmeans80"]
    table = metrics.contingency(y, labels)
    dense = np.zeros((len(table.row_sums), len(table.col_sums)), dtype=np.int64)
    dense[table.rows, table.cols] = table.counts
    np.testing.assert_array_equal(dense, contingency_matrix(y, labels))
    np.testing.assert_array_equal(dense.sum(axis=1), table.row_sums)
    np.testing.assert_array_equal(dense.sum(axis=0), table.col_sums)
    assert table.n == len(y)
    assert (table.counts > 0).all()


@pytest.mark.parametrize("labels", ["kmeans10", "kmeans80", "dbscan"])
def test_external_scores_are_computed_on_the_device_of_the_labels(device_xp, digits, labels):
    y, label_sets = digits
    labels = label_sets[labels]
    keep = labels != 2
    put = device_xp.put
    expected = metrics.external_scores(y, labels, mask=keep)
    for there in (
        metrics.external_scores(put(y), put(labels), mask=put(keep)),
        metrics.external_scores(y, put(labels), mask=keep),
        metrics.external_scores(y.astype(str), put(labels), mask=keep),
    ):
        assert there == pytest.approx(expected, rel=1e-12)
        assert {type(score) for score in there.values()} == {float}


@pytest.mark.parametrize("edge", [edge for edge in EDGES if edge != "strings"])
def test_edge_cases_on_a_device_score_as_on_numpy(device_xp, edge):
    y, labels = (np.array(values, dtype=np.int64) for values in EDGES[edge])
    here = metrics.external_scores(y, labels)
    there = metrics.external_scores(device_xp.put(y), device_xp.put(labels))
    assert there == pytest.approx(here)


def test_contingency_stays_on_the_device_of_the_labels(device_xp, digits):
    y, label_sets = digits
    here = metrics.contingency(y, label_sets["dbscan"])
    there = metrics.contingency(y, device_xp.put(label_sets["dbscan"]))
    for ours, expected in zip(there[:5], here[:5], strict=True):
        assert ours.dtype == device_xp.namespace.int64
        np.testing.assert_array_equal(device_xp.get(ours), expected)
    assert there.n == here.n == len(y)


def test_pair_counts_stay_exact_where_32_bits_overflow():
    n = 400_000  # n**2 is 1.6e11
    y = np.zeros(n, dtype=np.int32)
    y[: n // 4] = 1
    labels = np.zeros(n, dtype=np.int8)
    labels[: n // 2] = 1
    for score in ("adjusted_rand_score", "fowlkes_mallows_score"):
        ours = getattr(metrics, score)(y, labels)
        assert ours == pytest.approx(getattr(oracle, score)(y, labels), rel=1e-12)


def test_true_normalizer_divides_by_the_entropy_of_the_truth(digits):
    y, label_sets = digits
    labels = label_sets["kmeans80"]
    emi = oracle_emi(contingency_matrix(y, labels), len(y))
    h = oracle.mutual_info_score(y, y)
    expected = (oracle.mutual_info_score(y, labels) - emi) / (h - emi)
    ours = metrics.adjusted_mutual_info_score(y, labels, normalizer="true")
    assert ours == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("edge", "expected"),
    [
        ("empty", 1.0),
        ("one sample", 1.0),
        ("both single", 1.0),
        ("both all singletons", 1.0),
        ("one class", 0.0),
        ("one cluster", 0.0),
        ("labels all singletons", 0.0),
    ],
)
def test_true_normalizer_is_defined_where_it_is_zero_over_zero(edge, expected):
    y, labels = EDGES[edge]
    assert metrics.adjusted_mutual_info_score(y, labels, normalizer="true") == expected


def test_purity_counts_the_commonest_class_of_each_cluster():
    assert metrics.purity_score([0, 0, 1, 1, 2, 2], [5, 5, 5, 7, 7, 7]) == pytest.approx(4 / 6)


def test_accuracy_matches_each_class_with_one_cluster_only():
    # Purity would credit both clusters of class 0.
    assert metrics.cluster_accuracy([0, 0, 0, 1], [4, 4, 9, 9]) == 0.75
    assert metrics.cluster_accuracy([0, 0, 0, 0], [4, 4, 9, 9]) == 0.5


def test_accuracy_raises_above_the_limit_and_the_other_scores_remain(monkeypatch):
    y, labels = [0, 0, 1, 1, 2, 2], [5, 5, 6, 7, 8, 8]  # 3 classes x 4 clusters
    before = metrics.external_scores(y, labels)
    monkeypatch.setattr(metrics.external, "MAX_MATCHING_CELLS", 12)
    assert metrics.external_scores(y, labels) == before
    assert metrics.cluster_accuracy(y, labels) == before["accuracy"] == pytest.approx(5 / 6)
    monkeypatch.setattr(metrics.external, "MAX_MATCHING_CELLS", 11)
    with pytest.raises(InputError, match=r"3 classes times 4 clusters .* 12 cells; .* at most 11"):
        metrics.cluster_accuracy(y, labels)
    after = metrics.external_scores(y, labels)
    assert math.isnan(after.pop("accuracy"))
    assert after == {key: value for key, value in before.items() if key != "accuracy"}


def test_many_clusters_give_no_accuracy_instead_of_a_dense_table():
    y = labels = np.arange(8_000)  # 6.4e7 cells, above the default limit
    scores = metrics.external_scores(y, labels)
    assert math.isnan(scores["accuracy"])
    assert scores["ari"] == scores["purity"] == 1.0


def test_empty_input_is_a_perfect_match_for_purity_and_accuracy():
    assert metrics.purity_score([], []) == metrics.cluster_accuracy([], []) == 1.0


@pytest.mark.parametrize(
    ("y", "labels", "mask", "says"),
    [
        ([0, 1], [0, 1, 2], None, "2 labels and labels has 3"),
        ([[0, 1]], [0, 1], None, r"y has shape \(1, 2\)"),
        (0, [0], None, r"y is one int"),
        ([0, 1], [0.0, np.nan], None, "labels contains NaN"),
        ([0, 1], [0, 1], [0, 1], "mask has dtype int64"),
        ([0, 1], [0, 1], [True], r"shape \(1,\)"),
    ],
)
def test_bad_input_raises_and_the_error_shows_it(y, labels, mask, says):
    with pytest.raises(InputError, match=says):
        metrics.external_scores(y, labels, mask=mask)


def test_an_unknown_normalizer_raises():
    with pytest.raises(UnknownNameError, match="arithmetic"):
        metrics.adjusted_mutual_info_score([0], [0], normalizer="arithmetik")


pairs = st.lists(st.tuples(st.integers(-1, 4), st.integers(-1, 6)), min_size=1, max_size=40)


@settings(deadline=None, max_examples=40)
@given(pairs, st.permutations(range(8)), st.randoms(use_true_random=False))
def test_names_of_clusters_and_order_of_samples_do_not_matter(rows, names, random):
    y, labels = np.array(rows).T
    before = metrics.external_scores(y, labels)
    order = random.sample(range(len(y)), len(y))
    after = metrics.external_scores(y[order], np.array(names)[labels + 1][order])
    assert after == pytest.approx(before, abs=1e-9)


@settings(deadline=None, max_examples=40)
@given(pairs)
def test_symmetric_scores_do_not_distinguish_truth_from_prediction(rows):
    y, labels = np.array(rows).T
    one, other = metrics.external_scores(y, labels), metrics.external_scores(labels, y)
    for key in ("ami", "nmi", "ari", "fmi", "v_measure", "accuracy"):
        assert one[key] == pytest.approx(other[key], abs=1e-9)
    assert one["homogeneity"] == pytest.approx(other["completeness"], abs=1e-9)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(-1, 5), min_size=3, max_size=40))
def test_equal_partitions_score_one(values):
    y = np.array([9, 9, *values])  # at least one pair together, as FMI needs
    scores = metrics.external_scores(y, -y)
    assert scores == pytest.approx(dict.fromkeys(scores, 1.0), abs=1e-12)


@settings(deadline=None, max_examples=60)
@given(pairs)
def test_scores_equal_scikit_learn_on_small_tables(rows):
    y, labels = np.array(rows).T
    for score in SHARED:
        ours = getattr(metrics, score)(y, labels)
        np.testing.assert_allclose(ours, getattr(oracle, score)(y, labels), atol=1e-9)

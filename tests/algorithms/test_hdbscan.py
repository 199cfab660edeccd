import numpy as np
import pytest
import sklearn.cluster
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.cluster._hdbscan._linkage import mst_from_data_matrix
from sklearn.metrics import DistanceMetric, adjusted_rand_score

from gpuclust.algorithms.hdbscan import condense, estimator, sklearn_order
from gpuclust.algorithms.hdbscan.estimator import HDBSCAN, core_distances
from gpuclust.algorithms.spanning import SpanningTree, minimum_spanning_tree, single_linkage_tree
from gpuclust.arrays.distances import METRICS
from gpuclust.errors import CellError, InputError, UnknownNameError

# The array libraries keep no state between examples.
EACH_LIBRARY = [HealthCheck.function_scoped_fixture]


def varied(seed=0, d=4):
    """Ten clusters of different sizes and densities, some of them nested, and noise."""
    rng = np.random.default_rng(seed)
    parts = [
        rng.normal(rng.normal(scale=4, size=d), rng.uniform(0.05, 0.8), (rng.integers(15, 90), d))
        for _ in range(10)
    ]
    return rng.permutation(np.concatenate([*parts, rng.uniform(-9, 9, (60, d))]))


@pytest.fixture(scope="module")
def data(digits):
    # Integer pixels tie; a little noise makes the tree unique.
    noise = np.random.default_rng(0).normal(scale=1e-3, size=digits.X.shape)
    return {"varied": varied(), "digits": digits.X + noise}


def theirs(X, *, metric="euclidean", **options):
    options = {"copy": True, "metric": {"l1": "manhattan"}.get(metric, metric)} | options
    return sklearn.cluster.HDBSCAN(**options).fit(X)


def assert_same(xp, X, **options):
    """Check for equal noise and probabilities, and equal clusters up to their numbers."""
    ours, oracle = HDBSCAN(**options), theirs(X, **options)
    labels = xp.get(ours.fit_predict(xp.put(X)))
    probabilities = xp.get(ours.probabilities_)
    assert (labels.dtype, probabilities.dtype) == (np.int64, np.float64)
    pairs = set(zip(labels.tolist(), oracle.labels_.tolist(), strict=True))
    assert len(pairs) == len(set(labels.tolist())) == len(set(oracle.labels_.tolist()))
    np.testing.assert_array_equal(labels == -1, oracle.labels_ == -1)
    np.testing.assert_allclose(probabilities, oracle.probabilities_, rtol=1e-6, atol=1e-9)
    return oracle


@pytest.mark.parametrize("name", ["varied", "digits"])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("method", ["eom", "leaf"])
@pytest.mark.parametrize("most", [None, 40])
def test_clusters_are_scikit_learns_where_the_tree_is_unique(xp, data, name, metric, method, most):
    oracle = assert_same(
        xp,
        data[name],
        min_samples=1,
        metric=metric,
        cluster_selection_method=method,
        max_cluster_size=most,
    )
    assert len(set(oracle.labels_)) > 2


@pytest.mark.parametrize("method", ["eom", "leaf"])
@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("size", [2, 5, 30, 100, 200])
def test_options_mean_what_they_mean_to_scikit_learn(xp, method, single, size):
    options = {
        "min_cluster_size": size,
        "min_samples": 1,
        "cluster_selection_method": method,
        "allow_single_cluster": single,
    }
    assert_same(xp, varied(seed=size), **options)


# scikit-learn 1.9 with NumPy 2.4 fails when epsilon has an effect, so it is no oracle here.
@pytest.mark.parametrize("epsilon", [0.5, 1.0, 1.5, 2.0])
def test_leaves_under_epsilon_become_the_clusters_of_a_cut_at_that_height(epsilon):
    X = varied(seed=7)
    parts = fcluster(linkage(X, "single"), epsilon, "distance")
    large = np.bincount(parts)[parts] >= 5
    labels = HDBSCAN(
        min_samples=1, cluster_selection_method="leaf", cluster_selection_epsilon=epsilon
    ).fit_predict(X)
    assert len(set(parts[large])) > 1
    assert (labels[large] >= 0).all()
    assert adjusted_rand_score(labels[large], parts[large]) == 1.0


@pytest.mark.parametrize("epsilon", [0.3, 1.0, 3.0])
def test_epsilon_joins_clusters_and_splits_none(epsilon):
    X = varied(seed=5)
    fine = HDBSCAN(min_samples=1).fit_predict(X)
    coarse = HDBSCAN(min_samples=1, cluster_selection_epsilon=epsilon).fit_predict(X)
    kept = fine >= 0
    pairs = set(zip(fine[kept].tolist(), coarse[kept].tolist(), strict=True))
    assert len(pairs) == len(set(fine[kept]))
    assert (coarse[kept] >= 0).all()


def test_a_large_epsilon_leaves_one_cluster_where_that_is_allowed():
    found = HDBSCAN(allow_single_cluster=True, cluster_selection_epsilon=1e3)
    assert set(found.fit_predict(varied())) == {0}


@given(
    st.integers(4, 80),
    st.integers(2, 6),
    st.sampled_from(METRICS),
    st.sampled_from(["eom", "leaf"]),
    st.none() | st.integers(1, 40),
    st.booleans(),
    st.integers(0, 10**6),
)
@settings(max_examples=100, deadline=None, suppress_health_check=EACH_LIBRARY)
def test_any_small_sample_clusters_as_in_scikit_learn(
    xp, n, size, metric, method, most, single, seed
):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3)) + 3 * rng.integers(0, 3, size=(n, 1))
    options = {"min_cluster_size": size, "min_samples": 1, "metric": metric}
    options |= {"cluster_selection_method": method, "allow_single_cluster": single}
    options["max_cluster_size"] = None if single else most  # with both, scikit-learn can fail
    assert_same(xp, X, **options)


@pytest.mark.parametrize("metric", METRICS)
def test_float32_clusters_are_those_of_its_values_in_float64(xp, metric):
    X = (varied(3) + 20).astype(np.float32)
    assert_same(xp, X, min_samples=1, metric=metric)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", ["varied", "digits"])
@pytest.mark.parametrize("least", [{}, {"min_samples": 3}, {"min_cluster_size": 30}])
def test_where_distances_tie_the_clusters_are_scikit_learns_too(xp, data, name, metric, least):
    assert_same(xp, data[name], metric=metric, **least)


@pytest.mark.parametrize("metric", METRICS)
def test_another_device_gives_the_same_clusters(device_xp, metric):
    X = varied(1)[:200]
    labels = device_xp.get(HDBSCAN(metric=metric).fit_predict(device_xp.put(X)))
    np.testing.assert_array_equal(labels, HDBSCAN(metric=metric).fit_predict(X))


def test_a_sample_tied_between_two_sources_joins_the_one_visited_first():
    # Prim visits 0, 2, 1 and then 3, at distance 5 from both 2 and 1.
    tree = SpanningTree(np.array([0, 0, 1]), np.array([2, 1, 3]), np.array([1.0, 2.0, 5.0]))
    ties = SpanningTree(np.array([2]), np.array([3]), np.array([5.0]))
    found = sklearn_order.sklearn_tree(tree, ties)
    assert list(zip(found.i.tolist(), found.j.tolist(), strict=True)) == [(0, 2), (0, 1), (2, 3)]


# No more samples than a list holds, so that all ties are known.
@given(st.integers(4, 17), st.integers(2, 4), st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_ties_at_core_distances_give_the_tree_of_scikit_learn(n, min_samples, seed):
    X = np.random.default_rng(seed).normal(size=(n, 1))  # one feature: distances round the same
    core = np.sort(np.abs(X - X.T), axis=1)[:, min_samples - 1]
    edges = mst_from_data_matrix(X, core.copy(), DistanceMetric.get_metric("euclidean"))
    edges = edges[np.argsort(edges["distance"])]
    ours = sklearn_order.sklearn_tree(*estimator._tree_and_ties(X, "euclidean", min_samples))
    np.testing.assert_array_equal(ours.weight, edges["distance"])
    np.testing.assert_array_equal(ours.i, edges["current_node"])
    np.testing.assert_array_equal(ours.j, edges["next_node"])


# ---- adversarial data ---------------------------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("method", ["eom", "leaf"])
def test_equal_rows_are_noise_or_one_cluster(xp, metric, method):
    X = xp.put(np.full((50, 3), 2.0))
    options = {"metric": metric, "cluster_selection_method": method}
    assert set(xp.get(HDBSCAN(**options).fit_predict(X))) == {-1}
    one = HDBSCAN(**options, allow_single_cluster=True)
    assert set(xp.get(one.fit_predict(X))) == ({0} if method == "eom" else {-1})
    assert set(xp.get(one.probabilities_)) == ({1.0} if method == "eom" else {0.0})


@pytest.mark.parametrize("min_samples", [1, 5, 8])
def test_groups_of_duplicates_are_clusters_of_probability_one(xp, min_samples):
    X = np.repeat(np.random.default_rng(0).normal(size=(9, 3)), 10, axis=0)
    found = HDBSCAN(min_samples=min_samples)
    labels = xp.get(found.fit_predict(xp.put(X)))
    np.testing.assert_array_equal(labels[::10], np.unique(labels)[labels[::10]])
    assert len(set(labels)) == 9
    assert (labels.reshape(9, 10) == labels[::10, None]).all()
    assert set(xp.get(found.probabilities_)) == {1.0}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_far_clusters_are_found_with_an_offset_and_a_scale(xp, dtype):
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(4), 50)
    X = rng.normal(scale=0.3, size=(200, 5)) + 30 * y[:, None]
    for moved in (X + 1e4, X * 1e6, X * [1e6, 1, 1, 1, 1]):
        there = xp.put(moved.astype(dtype))
        labels = xp.get(HDBSCAN(min_cluster_size=20).fit_predict(there))
        assert adjusted_rand_score(labels[labels >= 0], y[labels >= 0]) == 1.0
        assert len(set(labels) - {-1}) == 4


@pytest.mark.parametrize("n", [2, 3, 4])
def test_fewer_samples_than_a_cluster_are_noise(xp, n):
    X = np.arange(2.0 * n).reshape(n, 2) ** 2
    labels = xp.get(HDBSCAN(min_samples=2).fit_predict(xp.put(X)))
    np.testing.assert_array_equal(labels, theirs(X, min_samples=2).labels_)
    assert set(labels) == {-1}


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_samples_are_refused(n):
    with pytest.raises(CellError, match="more samples"):
        HDBSCAN(min_samples=1).fit_predict(np.ones((n, 2)))


def test_a_grid_of_ties_ends_in_labels(xp):
    X = np.stack(np.meshgrid(np.arange(12), np.arange(12)), axis=-1).reshape(-1, 2)
    assert xp.get(HDBSCAN().fit_predict(xp.put(X))).shape == (144,)


# ---- steps and errors ---------------------------------------------------------------------------


def test_core_distance_counts_the_sample_itself():
    distances = np.array([[3.0, 1.0, 2.0]])
    assert [core_distances(distances, k)[0] for k in (1, 2, 3, 4)] == [0.0, 1.0, 2.0, 3.0]


@given(st.integers(2, 120), st.integers(2, 10), st.integers(0, 10**6))
@settings(max_examples=50, deadline=None)
def test_every_cluster_of_a_condensed_tree_has_its_points_and_lambdas_grow(n, least, seed):
    X = np.random.default_rng(seed).integers(0, 6, size=(n, 2)).astype(float)
    Z = single_linkage_tree(minimum_spanning_tree(X), n)
    tree = condense.condensed_tree(Z, least)
    np.testing.assert_array_equal(tree.child[:n], np.arange(n))
    np.testing.assert_array_equal(tree.child[n:], np.arange(n + 1, len(tree.child) + 1))
    assert (tree.parent[n:] < tree.child[n:]).all()
    assert (tree.lambda_ >= tree.birth[tree.parent - n]).all()
    born = {n: n} | dict(zip(tree.child[n:].tolist(), tree.size[n:].tolist(), strict=True))
    for cluster, size in born.items():
        assert tree.size[tree.parent == cluster].sum() == size
        assert size >= min(least, n)
    assert (condense.stability(tree) >= 0).all()


def test_bad_parameters_and_input_are_refused():
    for name in ("min_cluster_size", "min_samples", "max_cluster_size"):
        with pytest.raises(InputError, match=f"{name} is 0"):
            HDBSCAN(**{name: 0}).fit(varied())
    with pytest.raises(InputError, match="epsilon is -1"):
        HDBSCAN(cluster_selection_epsilon=-1.0).fit(varied())
    with pytest.raises(UnknownNameError, match="leaf"):
        HDBSCAN(cluster_selection_method="leaves").fit(varied())
    with pytest.raises(UnknownNameError, match="cosine"):
        HDBSCAN(metric="cosinus").fit_predict(varied())
    with pytest.raises(CellError, match="min_samples=7"):
        HDBSCAN(min_samples=7).fit_predict(np.ones((6, 2)))
    with pytest.raises(InputError, match="n samples"):
        HDBSCAN().fit_predict(np.ones(6))


def test_duplicates_do_not_split_however_their_tree_joins_them():
    i, j = np.delete(np.arange(19), 9), np.delete(np.arange(1, 20), 9)
    halves = SpanningTree(np.append(i, 0), np.append(j, 10), np.zeros(19))
    tree = condense.condensed_tree(single_linkage_tree(halves, 20), 5)
    np.testing.assert_array_equal(tree.child, np.arange(20))
    assert np.isinf(tree.lambda_).all()

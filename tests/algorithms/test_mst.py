import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.cluster import hierarchy
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.sparse.csgraph import minimum_spanning_tree as scipy_tree
from scipy.spatial.distance import cdist
from sklearn.metrics import pairwise_distances

from gpuclust.algorithms.hdbscan.estimator import mutual_reachability_tree
from gpuclust.algorithms.spanning import (
    candidates,
    minimum_spanning_tree,
    mst,
    single_linkage_tree,
)
from gpuclust.arrays import distances
from gpuclust.device import block_size
from gpuclust.errors import InputError, UnknownNameError

# The array libraries keep no state between examples.
EACH_LIBRARY = [HealthCheck.function_scoped_fixture]
METRICS = distances.METRICS
RNG = np.random.default_rng(0)
GRID = np.stack(np.meshgrid(np.arange(9), np.arange(8), np.arange(3)), axis=-1).reshape(-1, 3)
FAR = RNG.normal(size=(300, 4)) + 1e5 * np.repeat(np.arange(30), 10)[:, None]
ADVERSARIAL = {
    "duplicates": np.repeat(RNG.normal(size=(25, 4)), 12, axis=0)[RNG.permutation(300)],
    "all equal": np.full((200, 3), 7.0),
    "grid": GRID.astype(np.float64),
    "grid float32": GRID.astype(np.float32),
    "integers": GRID,
    "collinear": np.outer(np.sort(RNG.exponential(size=250)), [1.0, 2.0, -1.0]),
    "1e6-scaled": RNG.normal(size=(200, 5)) * [1e6, 1, 1, 1, 1],
    "offset float32": (RNG.normal(size=(300, 5)) + 1e4).astype(np.float32),
    "far clusters": FAR,
    "far clusters float32": FAR.astype(np.float32),
    "zero rows": np.concatenate([np.zeros((20, 3)), RNG.normal(size=(50, 3))]),
    "one feature": RNG.normal(size=(300, 1)),
}


def dense(X, metric):
    """Compute distances from differences, without the cancellation of scalar products."""
    X = np.asarray(X, np.float64)
    if metric != "cosine":
        return cdist(X, X, {"l1": "cityblock"}.get(metric, metric))
    zero = ~X.any(axis=1)
    unit = X / np.where(zero, 1, np.linalg.norm(X, axis=1))[:, None]
    D = cdist(unit, unit, "sqeuclidean") / 2
    D[zero | zero[:, None]] = 1
    np.fill_diagonal(D, 0)
    return D


def reachability(X, metric, min_samples=1):
    D = dense(X, metric)
    core = np.sort(D, axis=1)[:, min_samples - 1]
    return np.maximum(D, np.maximum(core[:, None], core[None, :])), core


def true_weights(W):
    """Return the weights of SciPy's tree, shifted by one unit because 0 means no edge there."""
    unit = W.max() or 1.0
    return np.sort(scipy_tree(np.triu(W / unit + 1, k=1)).data - 1) * unit


def check(tree, W, *, rtol=1e-9, floor=0.0):
    """Check the tree: spanning, sorted, with the weights of its pairs, of minimum weight."""
    n = len(W)
    assert tree.i.dtype == tree.j.dtype == np.int64
    assert tree.weight.dtype == np.float64
    assert len(tree.i) == n - 1
    assert (tree.i < tree.j).all()
    graph = coo_array((np.ones(n - 1), (tree.i, tree.j)), shape=(n, n))
    assert connected_components(graph, directed=False)[0] == 1
    np.testing.assert_array_equal(np.lexsort((tree.j, tree.i, tree.weight)), np.arange(n - 1))
    scale = max(W.max(), floor) or 1.0
    np.testing.assert_allclose(tree.weight, W[tree.i, tree.j], rtol=1e-9, atol=1e-14 * scale)
    np.testing.assert_allclose(tree.weight, true_weights(W), rtol=rtol, atol=1e-13 * scale)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("min_samples", [1, 5, 30])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_on_digits_are_scipys_on_the_dense_matrix(xp, digits, metric, min_samples, dtype):
    X = digits.X.astype(dtype)
    W, core = reachability(X, metric, min_samples)
    rtol = 1e-9 if dtype == np.float64 else 1e-5
    ours = mutual_reachability_tree(xp.put(X), metric=metric, min_samples=min_samples)
    check(ours, W, rtol=rtol)
    given_cores = minimum_spanning_tree(xp.put(X), metric=metric, core_distances=xp.put(core))
    np.testing.assert_allclose(given_cores.weight, ours.weight, rtol=rtol)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", ADVERSARIAL)
@pytest.mark.parametrize("min_samples", [1, 4])
def test_adversarial_data_end_in_a_true_minimum(xp, name, metric, min_samples):
    X = ADVERSARIAL[name]
    W, _ = reachability(X, metric, min_samples)
    tree = mutual_reachability_tree(xp.put(X), metric=metric, min_samples=min_samples)
    rtol = 1e-4 if X.dtype == np.float32 else 1e-9
    check(tree, W, rtol=rtol, floor=1.0 if metric == "cosine" else 0.0)


def check_spans(tree, n):
    graph = coo_array((np.ones(n - 1), (tree.i, tree.j)), shape=(n, n))
    assert connected_components(graph, directed=False)[0] == 1


@pytest.mark.parametrize("name", ["all equal", "grid", "grid float32", "offset float32"])
@pytest.mark.parametrize("factor", [0.01, 1e-9])
def test_a_tree_of_ties_does_not_depend_on_the_size_of_blocks(xp, name, factor):
    X = ADVERSARIAL[name]
    whole = minimum_spanning_tree(X)
    with block_size.smaller_blocks(factor):
        blocked = minimum_spanning_tree(xp.put(X))
    np.testing.assert_allclose(blocked.weight, whole.weight, rtol=1e-6)
    check_spans(blocked, len(X))


@pytest.mark.parametrize("n", [0, 1, 2, 3])
@pytest.mark.parametrize("metric", METRICS)
def test_few_samples(xp, n, metric):
    X = np.array([[3.0, 4.0], [6.0, 8.5], [0.0, 1.0]])[:n]
    tree = minimum_spanning_tree(xp.put(X), metric=metric)
    assert len(tree.i) == len(tree.j) == len(tree.weight) == max(n - 1, 0)
    if n > 1:
        check(tree, reachability(X, metric)[0])


@given(st.integers(2, 90), st.integers(1, 4), st.sampled_from(METRICS), st.integers(0, 10**6))
@settings(max_examples=60, deadline=None, suppress_health_check=EACH_LIBRARY)
def test_any_small_integers_give_the_true_weights(xp, n, d, metric, seed):
    X = np.random.default_rng(seed).integers(1, 4, size=(n, d)).astype(np.float64)
    W, core = reachability(X, metric, min(n, 3))
    tree = minimum_spanning_tree(xp.put(X), metric=metric, core_distances=xp.put(core))
    np.testing.assert_allclose(tree.weight, true_weights(W), rtol=1e-9, atol=1e-14)
    check_spans(tree, n)


@given(st.integers(2, 200), st.integers(0, 10**6))
@settings(max_examples=30, deadline=None, suppress_health_check=EACH_LIBRARY)
def test_the_tree_does_not_depend_on_the_order_of_the_samples(xp, n, seed):
    rng = np.random.default_rng(seed)
    X, order = rng.normal(size=(n, 3)), rng.permutation(n)
    here, there = (minimum_spanning_tree(xp.put(x)) for x in (X, X[order]))
    pairs = {frozenset(pair) for pair in zip(here.i.tolist(), here.j.tolist(), strict=True)}
    moved = zip(order[there.i].tolist(), order[there.j].tolist(), strict=True)
    assert {frozenset(pair) for pair in moved} == pairs
    np.testing.assert_allclose(here.weight, there.weight, rtol=1e-12)


@pytest.mark.parametrize("listed", [1, 2, 5])
@pytest.mark.parametrize("name", ["duplicates", "grid", "far clusters", "one feature"])
def test_short_lists_cost_passes_and_no_exactness(xp, name, listed, monkeypatch):
    monkeypatch.setattr(mst, "LISTED", listed)
    X = ADVERSARIAL[name]
    check(minimum_spanning_tree(xp.put(X)), reachability(X, "euclidean")[0])


@pytest.fixture
def passes(monkeypatch):
    """List with one entry per pass over the distances."""
    counted, blocks = [], distances.distance_blocks

    def counting(*args, **options):
        counted.append(1)
        return blocks(*args, **options)

    monkeypatch.setattr(distances, "distance_blocks", counting)
    return counted


@pytest.mark.parametrize("min_samples", [1, 5])
def test_two_passes_over_the_distances_are_enough_for_digits(xp, digits, min_samples, passes):
    mutual_reachability_tree(xp.put(digits.X), metric="euclidean", min_samples=min_samples)
    assert len(passes) <= 2


@pytest.mark.parametrize("min_samples", [1, 5])
@pytest.mark.parametrize("spread", [0.0, 1e-3])
def test_four_passes_are_enough_for_more_groups_than_one_pass_can_join(
    min_samples, spread, passes, monkeypatch
):
    monkeypatch.setattr(mst, "LISTED", 4)  # at most 80 components of 1600 rows
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 5)).repeat(16, axis=0) + rng.normal(size=(1600, 5)) * spread
    check(
        mutual_reachability_tree(X, min_samples=min_samples),
        reachability(X, "euclidean", min_samples)[0],
    )
    assert 3 <= len(passes) <= 4


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_another_device_gives_the_same_tree(device_xp, digits, metric, dtype):
    # Far clusters need all kinds of passes; 150 rows use both ways of finding neighbors.
    X = digits.X[:150].astype(dtype) / 16
    X = np.concatenate([X, FAR[:, :1] / 1e5 + np.tile(X[:100], (3, 1))]).astype(dtype)
    ours = mutual_reachability_tree(device_xp.put(X), metric=metric, min_samples=4)
    expected = mutual_reachability_tree(X, metric=metric, min_samples=4)
    np.testing.assert_allclose(ours.weight, expected.weight, rtol=1e-5, atol=1e-7)
    check_spans(ours, len(X))


def test_core_distances_may_lie_on_the_host(device_xp, digits):
    X = digits.X[:60].astype(np.float64)
    W, core = reachability(X, "l1", 3)
    check(minimum_spanning_tree(device_xp.put(X), metric="l1", core_distances=core), W)


@pytest.mark.parametrize("name", ["duplicates", "grid", "collinear", "far clusters"])
def test_single_linkage_heights_are_scipys(name):
    X = ADVERSARIAL[name]
    Z = single_linkage_tree(minimum_spanning_tree(X), len(X))
    assert hierarchy.is_valid_linkage(Z)
    theirs = hierarchy.linkage(X, "single")
    np.testing.assert_allclose(Z[:, 2], theirs[:, 2], rtol=1e-9, atol=1e-12 * theirs[-1, 2])


def test_single_linkage_tree_is_scipys_where_it_is_unique():
    X = RNG.normal(size=(400, 3))
    Z = single_linkage_tree(minimum_spanning_tree(X), 400)
    np.testing.assert_allclose(Z, hierarchy.linkage(X, "single"), rtol=1e-12)


def test_single_linkage_tree_of_one_sample_has_no_merges():
    assert single_linkage_tree(minimum_spanning_tree(np.ones((1, 2))), 1).shape == (0, 4)


@pytest.mark.parametrize("metric", METRICS)
def test_pair_distances_are_the_same_from_both_ends(xp, digits, metric):
    i, j = RNG.integers(0, 600, size=(2, 50, 20))
    there = candidates.pair_distances(xp.put(digits.X), metric, i, j)
    back = candidates.pair_distances(xp.put(digits.X), metric, j, i)
    np.testing.assert_array_equal(there, back)
    expected = pairwise_distances(digits.X.astype(np.float64), metric=metric)
    np.testing.assert_allclose(there, expected[i, j], rtol=1e-9, atol=1e-13)


def test_bad_input_is_refused():
    X = RNG.normal(size=(30, 2))
    with pytest.raises(UnknownNameError, match="euclidean"):
        minimum_spanning_tree(X, metric="euclidian")
    with pytest.raises(InputError, match=r"\(n samples, d features\)"):
        minimum_spanning_tree(X[0])
    with pytest.raises(InputError, match="core_distances"):
        minimum_spanning_tree(X, core_distances=np.zeros(29))
    with pytest.raises(InputError, match="NaN"):
        minimum_spanning_tree(np.full((4, 2), np.nan))


def test_distances_beyond_the_largest_float64_are_refused(xp):
    X = np.array([[-1e308, 1e308], [1e308, -1e308], [1.2e308, 1.3e308]])
    with pytest.raises(InputError, match="Divide X"):
        minimum_spanning_tree(xp.put(X))

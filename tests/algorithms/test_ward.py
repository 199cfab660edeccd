import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.cluster import hierarchy

from gpuclust.algorithms import linkage
from gpuclust.algorithms.linkage import ward
from gpuclust.algorithms.linkage.merge_forest import Forest, reciprocal_pairs
from gpuclust.device import block_size
from gpuclust.errors import InputError

# The array libraries keep no state between examples.
EACH_LIBRARY = [HealthCheck.function_scoped_fixture]


def noisy(X):
    """Add a little noise: integer pixels have tied heights, and the tree is not unique."""
    return X + np.random.default_rng(0).normal(scale=1e-3, size=X.shape)


def tree(xp, X, *, in_float64=False):
    return linkage(xp.put(X), dtype=xp.namespace.float64 if in_float64 else None)


def scipys(X):
    return hierarchy.linkage(np.asarray(X, np.float64), "ward")


@pytest.mark.parametrize("in_float64", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_tree_is_scipys_in_either_precision(xp, digits, dtype, in_float64):
    X = noisy(digits.X).astype(dtype)
    ours, theirs = tree(xp, X, in_float64=in_float64).Z, scipys(X)
    assert type(ours) is np.ndarray
    np.testing.assert_array_equal(ours[:, [0, 1, 3]], theirs[:, [0, 1, 3]])
    np.testing.assert_allclose(ours[:, 2], theirs[:, 2], rtol=0, atol=1e-12 * theirs[-1, 2])


@pytest.mark.parametrize("dtype", [None, np.float64])
def test_many_blocks_in_threads_give_scipys_tree(dtype):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2500, 8)) + 5 * rng.normal(size=(20, 8))[rng.integers(0, 20, 2500)]
    ours, theirs = linkage(X, dtype=dtype).Z, scipys(X)
    np.testing.assert_array_equal(ours[:, [0, 1, 3]], theirs[:, [0, 1, 3]])
    np.testing.assert_allclose(ours[:, 2], theirs[:, 2], rtol=0, atol=1e-12 * theirs[-1, 2])


def test_float32_products_choose_the_same_neighbors_as_float64(xp, digits):
    X = noisy(digits.X).astype(np.float32) + np.float32(1e4)
    np.testing.assert_array_equal(tree(xp, X).Z, tree(xp, X, in_float64=True).Z)


@pytest.mark.parametrize("factor", [1e-6, 1e6, 1e150])
def test_heights_scale_with_the_data(xp, digits, factor):
    X = noisy(digits.X[:200])
    expected = linkage(X).Z[:, 2] * factor
    np.testing.assert_allclose(tree(xp, X * factor).Z[:, 2], expected, rtol=1e-10)


def test_one_feature_a_million_times_the_others_still_gives_scipys_tree(xp, digits):
    X = noisy(digits.X[:300])
    X[:, 20] *= 1e6
    ours, theirs = tree(xp, X).Z, scipys(X)
    np.testing.assert_array_equal(ours[:, :2], theirs[:, :2])
    np.testing.assert_allclose(ours[:, 2], theirs[:, 2], rtol=0, atol=1e-12 * theirs[-1, 2])


def test_a_tight_crowd_far_from_the_mean_keeps_its_own_tree(xp):
    # For float32 products the crowd is one point: all its pairs are within the rounding error.
    X = np.random.default_rng(0).normal(scale=1e-4, size=(300, 3))
    X[0] += 1e3
    ours, theirs = tree(xp, X).Z, scipys(X)
    np.testing.assert_array_equal(ours[:, :2], theirs[:, :2])
    np.testing.assert_allclose(ours[:, 2], theirs[:, 2], rtol=1e-6)


def test_near_duplicates_merge_at_their_own_distance(xp, digits):
    X = np.repeat(noisy(digits.X[:100]), 2, axis=0)
    X[::2, 0] += np.linspace(1e-7, 1e-6, 100)
    heights = tree(xp, X).Z[:100, 2]
    np.testing.assert_allclose(heights, np.linspace(1e-7, 1e-6, 100), rtol=1e-6)


def test_duplicates_merge_first_and_at_zero(xp, digits):
    X = noisy(digits.X[:150])
    X = X[np.random.default_rng(0).integers(0, 150, size=400)]
    ours, theirs = tree(xp, X), scipys(X)
    kinds = len(np.unique(X, axis=0))
    assert np.count_nonzero(ours.Z[:, 2] == 0) == 400 - kinds
    np.testing.assert_allclose(ours.Z[:, 2], theirs[:, 2], rtol=0, atol=1e-6 * theirs[-1, 2])
    assert hierarchy.is_valid_linkage(ours.Z)
    same = ours.cut(n_clusters=kinds)
    np.testing.assert_array_equal(same[:, None] == same, (X[:, None] == X).all(axis=2))


@pytest.mark.parametrize("value", [0.0, -0.0, 1e4])
def test_equal_rows_make_a_tree_of_height_zero(xp, value):
    ours = tree(xp, np.full((2000, 5), value, dtype=np.float32))
    assert not ours.Z[:, 2].any()
    assert hierarchy.is_valid_linkage(ours.Z)
    assert len(set(ours.cut(n_clusters=7))) == 7


@pytest.mark.parametrize("n", [1, 2, 3])
def test_very_few_samples(xp, n):
    X = np.asarray([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]], dtype=np.float32)[:n]
    expected = scipys(X) if n > 1 else np.empty((0, 4))
    np.testing.assert_allclose(tree(xp, X).Z, expected, rtol=1e-14)


def test_samples_without_features_are_refused(xp):
    with pytest.raises(InputError, match="X has 0 feature"):
        tree(xp, np.empty((4, 0)))


@pytest.mark.parametrize(
    "steps", [np.ones(2000), 2.0 ** np.arange(60), 1.0 + np.arange(500)], ids=["even", "2^k", "k"]
)
def test_collinear_points_have_valid_trees(steps):
    X = np.cumsum(steps)[:, None] * np.ones((1, 3))
    Z = linkage(X).Z
    assert hierarchy.is_valid_linkage(Z)
    assert (np.diff(Z[:, 2]) >= 0).all()
    # In any order, Ward's merges add up to the scatter of the data.
    spread = 2 * np.square(X - X.mean(axis=0)).sum()
    np.testing.assert_allclose(np.square(Z[:, 2]).sum(), spread, rtol=1e-9)


def test_evenly_spaced_points_do_not_merge_one_pair_a_round(monkeypatch):
    rounds = []
    monkeypatch.setattr(
        ward, "reciprocal_pairs", lambda *args: rounds.append(1) or reciprocal_pairs(*args)
    )
    linkage(np.arange(3000.0)[:, None])
    assert len(rounds) < 100


def test_a_round_without_a_reciprocal_pair_merges_the_nearest():
    # 0 -> 1 -> 2 -> 0: only rounding errors can give such neighbors.
    near, weight = np.asarray([1, 2, 0]), np.asarray([1.0, 0.9, 0.8])
    a, b = reciprocal_pairs(np.arange(3), near, weight)
    assert (a.tolist(), b.tolist()) == ([0], [2])


def test_a_height_below_its_parts_by_rounding_is_raised_to_theirs():
    forest = Forest(np, np.array([[0.0], [1.0], [2.0]]))
    forest.merge(np.array([0]), np.array([1]), np.array([1.0]))
    forest.merge(np.array([0]), np.array([2]), np.array([np.nextafter(1.0, 0.0)]))
    Z = forest.matrix()
    assert hierarchy.is_valid_linkage(Z)
    assert Z[:, 2].tolist() == [1.0, 1.0]
    assert Z[:, 3].tolist() == [2.0, 3.0]


@given(st.integers(1, 60), st.integers(1, 5), st.integers(0, 1000), st.sampled_from([0.0, 1e4]))
@settings(max_examples=60, deadline=None, suppress_health_check=EACH_LIBRARY)
def test_heights_rise_sizes_add_up_and_the_order_of_rows_does_not_matter(xp, n, d, seed, offset):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) + offset  # float32 has few values at 1e4, hence ties
    Z = tree(xp, X).Z
    assert Z.shape == (n - 1, 4)
    assert (np.diff(Z[:, 2]) >= 0).all()
    size = np.concatenate([np.ones(n), Z[:, 3]])
    np.testing.assert_array_equal(size[Z[:, :2].astype(int)].sum(axis=1), Z[:, 3])
    np.testing.assert_array_equal(np.sort(Z[:, :2].ravel()), np.arange(2 * n - 2))
    shuffled = tree(xp, X[rng.permutation(n)]).Z
    np.testing.assert_allclose(shuffled[:, 2], Z[:, 2], rtol=1e-9)
    if n > 1:
        theirs = scipys(X)[:, 2]
        np.testing.assert_allclose(Z[:, 2], theirs, rtol=0, atol=1e-6 * theirs[-1])


def test_duplicates_and_all_give_the_same_tree_on_another_device(device_xp, digits):
    X = noisy(np.vstack([digits.X[:70], digits.X[:5]])).astype(np.float32)
    X[70:] = X[:5]
    ours, expected = tree(device_xp, X).Z, linkage(X).Z
    np.testing.assert_array_equal(ours[:, [0, 1, 3]], expected[:, [0, 1, 3]])
    np.testing.assert_allclose(ours[:, 2], expected[:, 2], rtol=1e-12)


@pytest.mark.parametrize("factor", [1e-9, 1e-4])
def test_small_blocks_give_the_same_tree(xp, digits, factor):
    X = noisy(digits.X[:150])
    with block_size.smaller_blocks(factor):
        ours = tree(xp, X).Z
    np.testing.assert_array_equal(ours[:, [0, 1, 3]], linkage(X).Z[:, [0, 1, 3]])


def test_memory_grows_with_samples_not_with_pairs():
    X = np.random.default_rng(0).normal(size=(6000, 4)).astype(np.float32)
    tracemalloc.start()
    linkage(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6000**2  # bytes: a quarter of a float32 matrix


def test_the_input_is_unchanged(xp, digits):
    before = digits.X[:50].astype(np.float64)
    X = xp.put(before.copy())
    linkage(X)
    np.testing.assert_array_equal(xp.get(X), before)

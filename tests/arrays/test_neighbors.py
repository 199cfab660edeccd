import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from gpuclust.arrays import neighbors
from gpuclust.arrays.neighbors import kneighbors
from gpuclust.device import block_size, threads
from gpuclust.errors import InputError, UnknownNameError

NAMES = {"euclidean": "euclidean", "cosine": "cosine", "l1": "manhattan", "chebyshev": "chebyshev"}
# Array libraries keep no state between examples.
EACH_LIBRARY = [HealthCheck.function_scoped_fixture]


@pytest.fixture(scope="module")
def cloud():
    return np.random.default_rng(0).standard_normal((150, 7))


def found(xp, X, k, **options):
    """Return distances and indices on the host; fail if one is not on the device of X."""
    return [xp.get(part) for part in kneighbors(xp.put(X), k, **options)]


def reference(X, k, *, include_self=False):
    """Sort whole rows of l1 distances by (distance, index), by plain loops."""
    D = np.abs(X[:, None] - X[None]).sum(axis=2)
    order = []
    for i, row in enumerate(D):
        others = sorted((float(d), j) for j, d in enumerate(row) if j != i)
        order.append([i, *(j for _, j in others)] if include_self else [j for _, j in others])
    return np.array(order)[:, :k]


@pytest.mark.parametrize("metric", NAMES)
@pytest.mark.parametrize("include_self", [False, True])
def test_neighbors_are_those_of_scikit_learn_where_no_distances_tie(
    xp, cloud, metric, include_self
):
    brute = NearestNeighbors(n_neighbors=9, metric=NAMES[metric], algorithm="brute").fit(cloud)
    distances, indices = brute.kneighbors(cloud if include_self else None)
    ours = found(xp, cloud, 9, metric=metric, include_self=include_self)
    np.testing.assert_array_equal(ours[1], indices)
    np.testing.assert_allclose(ours[0], distances, atol=1e-7)


def test_distances_have_the_dtype_of_x_and_indices_are_int64(xp, cloud):
    distances, indices = found(xp, cloud.astype(np.float32), 3)
    assert distances.dtype == np.float32
    assert indices.dtype == np.int64


def test_more_rows_than_one_block_holds_have_the_neighbors_of_scikit_learn(xp):
    X = np.random.default_rng(1).standard_normal((800, 5))
    expected = NearestNeighbors(n_neighbors=4).fit(X).kneighbors()
    with block_size.smaller_blocks(1e-3):
        assert block_size.block_bytes(xp.namespace) < X.shape[0] ** 2 * X.itemsize / 10
        ours = found(xp, X, 4)
    np.testing.assert_array_equal(ours[1], expected[1])
    np.testing.assert_allclose(ours[0], expected[0], atol=1e-7)


@pytest.mark.parametrize("include_self", [False, True])
def test_equal_rows_are_taken_in_order_of_their_index(xp, include_self):
    _, indices = found(xp, np.ones((5, 3)), 2, include_self=include_self)
    with_self = [[0, 1], [1, 0], [2, 0], [3, 0], [4, 0]]
    without = [[1, 2], [0, 2], [0, 1], [0, 1], [0, 1]]
    assert indices.tolist() == (with_self if include_self else without)


@settings(max_examples=40, deadline=None, suppress_health_check=EACH_LIBRARY)
@given(data=st.data(), n=st.integers(1, 14), include_self=st.booleans())
def test_ties_on_a_grid_are_broken_by_index(xp, data, n, include_self):
    if n == 1:
        include_self = True
    X = np.array(data.draw(st.lists(st.tuples(*[st.integers(0, 2)] * 2), min_size=n, max_size=n)))
    X = X.astype(np.float64)
    k = data.draw(st.integers(1, n if include_self else n - 1))
    distances, indices = found(xp, X, k, metric="l1", include_self=include_self)
    np.testing.assert_array_equal(indices, reference(X, k, include_self=include_self))
    assert np.all(np.diff(distances, axis=1) >= 0)


def numpy_selection(xp, D, k):
    """Return the result of the sorting kernel after comparing it with the partition."""
    sorting = neighbors._nearest_numpy(xp, D, k, each=threads.all_cores())
    parted = tuple(np.empty_like(part) for part in sorting)
    neighbors._partition(D, *parted)
    for ours, theirs in zip(sorting, parted, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    return sorting


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 6),
    n=st.integers(1, 300),
    values=st.integers(1, 400),
    dtype=st.sampled_from([np.float32, np.float64]),
    seed=st.integers(0, 10**6),
    data=st.data(),
)
def test_every_selection_is_what_a_stable_sort_selects(rows, n, values, dtype, seed, data):
    rng = np.random.default_rng(seed)
    D = rng.integers(0, values, (rows, n)).astype(dtype) / 7
    D[rng.random((rows, n)) < 0.1] = np.inf
    k = data.draw(st.integers(1, n))
    expected = neighbors._nearest_sorted(np, D, k)
    for select in (neighbors._nearest_topk, numpy_selection):
        distances, indices = select(np, D.copy(), k)
        np.testing.assert_array_equal(indices, np.argsort(D, axis=1, kind="stable")[:, :k])
        np.testing.assert_array_equal(distances, expected[0])
        assert (distances.dtype, indices.dtype) == (dtype, np.int64)


@pytest.mark.parametrize("k", [neighbors._MAX_SORTED, neighbors._MAX_SORTED + 1])
def test_many_neighbors_are_those_of_scikit_learn(k):
    X = np.random.default_rng(2).standard_normal((400, 6))
    expected = NearestNeighbors(n_neighbors=k).fit(X).kneighbors()
    ours = kneighbors(X, k)
    np.testing.assert_array_equal(ours[1], expected[1])
    np.testing.assert_allclose(ours[0], expected[0], atol=1e-7)


@settings(max_examples=15, deadline=None, suppress_health_check=EACH_LIBRARY)
@given(seed=st.integers(0, 10**6))
def test_permuting_the_rows_permutes_the_neighbors(xp, cloud, seed):
    order = np.random.default_rng(seed).permutation(len(cloud))
    _, indices = found(xp, cloud, 6)
    _, permuted = found(xp, cloud[order], 6)
    np.testing.assert_array_equal(order[permuted], indices[order])


@pytest.mark.parametrize(("k", "include_self"), [(0, False), (4, False), (5, True), (-1, True)])
def test_a_k_that_cannot_be_found_is_refused(xp, k, include_self):
    with pytest.raises(InputError, match=f"k is {k}"):
        kneighbors(xp.put(np.eye(4)), k, include_self=include_self)


def test_one_row_has_no_neighbor_but_itself(xp):
    assert found(xp, np.ones((1, 2)), 1, include_self=True)[1].tolist() == [[0]]
    with pytest.raises(InputError, match="0 other rows"):
        found(xp, np.ones((1, 2)), 1)


def test_unknown_metrics_and_broken_values_are_refused(xp):
    with pytest.raises(UnknownNameError, match="l1"):
        kneighbors(xp.put(np.eye(3)), 1, metric="l2x")
    with pytest.raises(InputError, match="NaN"):
        kneighbors(xp.put(np.full((3, 2), np.nan)), 1)

import array_api_strict
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from gpuclust.errors import InputError, UnknownNameError
from gpuclust.neighbors import kneighbors, median, row_mapper
from gpuclust.ops import to_host

DEVICE = array_api_strict.Device("device1")
NAMES = {"euclidean": "euclidean", "cosine": "cosine", "l1": "manhattan", "chebyshev": "chebyshev"}


def on_numpy(values):
    return np.asarray(values)


def on_strict(values):
    return array_api_strict.asarray(values, device=DEVICE)


@pytest.fixture(params=[on_numpy, on_strict], ids=["numpy", "strict-device1"])
def put(request):
    return request.param


@pytest.fixture(scope="module")
def cloud():
    return np.random.default_rng(0).standard_normal((150, 7))


def found(X, k, **options):
    return [to_host(part) for part in kneighbors(X, k, **options)]


def reference(X, k, *, include_self=False, **options):
    """Sort whole rows of distances by (distance, index), by plain loops."""
    all_distances, _ = found(X, len(X), include_self=True, **options)
    assert np.all(np.diff(all_distances, axis=1) >= 0)
    D = np.abs(X[:, None] - X[None]).sum(axis=2)
    order = []
    for i, row in enumerate(D):
        others = sorted((float(d), j) for j, d in enumerate(row) if j != i)
        order.append([i, *(j for _, j in others)] if include_self else [j for _, j in others])
    return np.array(order)[:, :k]


@pytest.mark.parametrize("metric", NAMES)
@pytest.mark.parametrize("include_self", [False, True])
def test_neighbours_are_those_of_scikit_learn_where_no_distances_tie(
    put, cloud, metric, include_self
):
    brute = NearestNeighbors(n_neighbors=9, metric=NAMES[metric], algorithm="brute").fit(cloud)
    distances, indices = brute.kneighbors(cloud if include_self else None)
    ours = found(put(cloud), 9, metric=metric, include_self=include_self)
    np.testing.assert_array_equal(ours[1], indices)
    np.testing.assert_allclose(ours[0], distances, atol=1e-7)


def test_results_are_on_the_device_in_the_dtype_of_x(cloud):
    distances, indices = kneighbors(on_strict(cloud.astype(np.float32)), 3)
    assert distances.device == indices.device == DEVICE
    assert distances.dtype == array_api_strict.float32
    assert indices.dtype == array_api_strict.int64


def test_more_rows_than_one_block_holds_have_the_neighbours_of_scikit_learn():
    X = np.random.default_rng(1).standard_normal((3000, 5))
    assert X.shape[0] ** 2 * X.itemsize > 32 << 20  # the size of a block
    expected = NearestNeighbors(n_neighbors=4).fit(X).kneighbors()
    ours = kneighbors(X, 4)
    np.testing.assert_array_equal(ours[1], expected[1])
    np.testing.assert_allclose(ours[0], expected[0], atol=1e-7)


@pytest.mark.parametrize("include_self", [False, True])
def test_equal_rows_are_taken_in_order_of_their_index(put, include_self):
    _, indices = found(put(np.ones((5, 3))), 2, include_self=include_self)
    with_self = [[0, 1], [1, 0], [2, 0], [3, 0], [4, 0]]
    without = [[1, 2], [0, 2], [0, 1], [0, 1], [0, 1]]
    assert indices.tolist() == (with_self if include_self else without)


@settings(max_examples=40, deadline=None)
@given(data=st.data(), n=st.integers(1, 14), include_self=st.booleans())
def test_ties_on_a_grid_are_broken_by_index(data, n, include_self):
    if n == 1:
        include_self = True
    X = np.array(data.draw(st.lists(st.tuples(*[st.integers(0, 2)] * 2), min_size=n, max_size=n)))
    X = X.astype(np.float64)
    k = data.draw(st.integers(1, n if include_self else n - 1))
    expected = reference(X, k, metric="l1", include_self=include_self)
    for put in (on_numpy, on_strict):
        ours = found(put(X), k, metric="l1", include_self=include_self)
        np.testing.assert_array_equal(ours[1], expected)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_permuting_the_rows_permutes_the_neighbours(cloud, seed):
    order = np.random.default_rng(seed).permutation(len(cloud))
    _, indices = kneighbors(cloud, 6)
    _, permuted = kneighbors(cloud[order], 6)
    np.testing.assert_array_equal(order[permuted], indices[order])


@pytest.mark.parametrize(("k", "include_self"), [(0, False), (4, False), (5, True), (-1, True)])
def test_a_k_that_cannot_be_found_is_refused(k, include_self):
    with pytest.raises(InputError, match=f"k is {k}"):
        kneighbors(np.eye(4), k, include_self=include_self)


def test_one_row_has_no_neighbour_but_itself():
    assert found(np.ones((1, 2)), 1, include_self=True)[1].tolist() == [[0]]
    with pytest.raises(InputError, match="0 other rows"):
        kneighbors(np.ones((1, 2)), 1)


def test_unknown_metrics_and_broken_values_are_refused():
    with pytest.raises(UnknownNameError, match="l1"):
        kneighbors(np.eye(3), 1, metric="l2x")
    with pytest.raises(InputError, match="NaN"):
        kneighbors(np.full((3, 2), np.nan), 1)


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 9), seed=st.integers(0, 10**6), few=st.booleans())
def test_the_median_by_bisection_is_numpys(n, seed, few):
    rng = np.random.default_rng(seed)
    S = -(rng.integers(0, 3, (n, n)) if few else rng.exponential(size=(n, n)) ** 9)
    S = S.astype(np.float32)
    for put in (on_numpy, on_strict):
        values = put(S)
        xp = np if put is on_numpy else array_api_strict
        with row_mapper(xp) as over_rows:
            assert median(xp, values, over_rows) == pytest.approx(np.median(S.astype(float)))

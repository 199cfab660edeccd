import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpuclust.arrays import indexing
from gpuclust.device import block_size

# Array libraries keep no state between examples.
EACH_LIBRARY = [HealthCheck.function_scoped_fixture]


@pytest.fixture
def matrix():
    return np.random.default_rng(0).standard_normal((20, 9)).astype(np.float32)


def test_rows_are_taken_as_copies(xp, matrix):
    index = np.array([3, 3, 0, 19])
    array = xp.put(matrix)
    taken = indexing.take_rows(xp.namespace, array, index)
    taken[...] = 0.0
    np.testing.assert_array_equal(xp.get(array), matrix)
    whole = indexing.take_rows(xp.namespace, array[:, 2:5], index)
    np.testing.assert_array_equal(xp.get(whole), matrix[index, 2:5])


def test_rows_and_columns_are_put_in_the_dtype_of_the_matrix(xp, matrix):
    array = xp.put(matrix.copy())
    index = np.array([7, 1])
    indexing.put_rows(xp.namespace, array, index, xp.put(np.arange(18.0).reshape(2, 9)))
    indexing.put_columns(xp.namespace, array, index, xp.put(np.ones((20, 2))))
    expected = matrix.copy()
    expected[index] = np.arange(18.0).reshape(2, 9)
    expected[:, index] = 1.0
    np.testing.assert_array_equal(xp.get(array), expected)


def test_one_entry_of_each_row_becomes_infinite(xp, matrix):
    columns = np.random.default_rng(1).integers(0, 9, 20)
    block = indexing.set_infinite(xp.namespace, xp.put(matrix.copy()), xp.put(columns))
    expected = matrix.copy()
    expected[np.arange(20), columns] = np.inf
    np.testing.assert_array_equal(xp.get(block), expected)


def test_the_diagonal_of_a_block_is_marked(xp):
    marks = indexing.diagonal_mask(xp.namespace, xp.put(np.zeros((3, 8))), 4, 7)
    np.testing.assert_array_equal(xp.get(marks), np.eye(8, dtype=bool)[4:7])


def test_ranges_of_rows_are_128_on_numpy_and_large_elsewhere(device_xp):
    assert indexing.row_ranges(np, 300) == [(0, 128), (128, 256), (256, 300)]
    assert indexing.row_ranges(device_xp.namespace, 300) == [(0, 300)]
    assert indexing.row_ranges(device_xp.namespace, 0) == []
    large = indexing.row_ranges(device_xp.namespace, 50_000)
    assert large[0] == (0, (256 << 20) // 200_000)


def test_ranges_of_rows_shrink_with_blocks_to_one_row(xp):
    with block_size.smaller_blocks(0.25):
        assert indexing.row_ranges(np, 50)[0] == (0, 32)
    with block_size.smaller_blocks(1e-9):
        assert indexing.row_ranges(xp.namespace, 3) == [(0, 1), (1, 2), (2, 3)]


def test_a_function_is_mapped_over_the_ranges_in_order(xp):
    with block_size.smaller_blocks(0.1), indexing.row_mapper(xp.namespace, 100) as over_rows:
        ranges = indexing.row_ranges(xp.namespace, 100)
        assert over_rows(lambda a, b: (a, b)) == ranges


@settings(max_examples=30, deadline=None, suppress_health_check=EACH_LIBRARY)
@given(
    n=st.integers(1, 60),
    seed=st.integers(0, 10**6),
    few=st.booleans(),
    sample=st.sampled_from([16, 256, 1 << 18]),  # no bounds, bounds, whole matrix
)
def test_the_median_is_numpys(xp, n, seed, few, sample):
    rng = np.random.default_rng(seed)
    S = rng.integers(0, 3, (n, n)) if few else rng.normal(size=(n, n)) ** 9
    S = S.astype(np.float32)
    with pytest.MonkeyPatch.context() as patched, block_size.smaller_blocks(1e-2):  # several blocks
        patched.setattr(indexing, "_SAMPLE", sample)
        found = indexing.median(xp.namespace, xp.put(S))
    assert found == pytest.approx(np.median(S.astype(float)), rel=1e-6)


def misleading(n):
    """Make a matrix with -1 in all sampled entries, and distinct positive values elsewhere."""
    S = np.arange(1, n * n + 1, dtype=np.float32)
    S[np.random.default_rng(0).integers(n * n, size=256)] = -1
    return S.reshape(n, n)


def test_the_median_is_found_if_the_sample_misleads(xp, monkeypatch):
    passes = median_bounds(monkeypatch)
    # With 25 rows, -1 fills a third of the matrix: more than a quarter, less than half.
    for n in (40, 25):
        passes.clear()
        S = misleading(n)
        assert indexing.median(xp.namespace, xp.put(S)) == np.median(S.astype(float))
        assert passes[0] == (-1, -1)
        assert len(passes) > 1


# With 256 sampled entries the bounds are the quartiles, here of 1600 entries.
@pytest.mark.parametrize(
    ("counts", "low_is_median", "high_is_median"),
    [
        ({0.0: 1600}, True, True),
        ({-1.0: 100, 0.0: 1400, 1.0: 100}, True, True),
        ({0.0: 1120, 5.0: 480}, True, False),
        ({0.0: 480, 5.0: 1120}, False, True),
        ({-1.0: 100, 0.0: 900, 5.0: 600}, True, False),
        ({0.0: 600, 5.0: 900, 6.0: 100}, False, True),
    ],
)
def test_the_median_may_equal_a_bound_as_most_entries_do(
    xp, monkeypatch, counts, low_is_median, high_is_median
):
    bounds = median_bounds(monkeypatch)
    values = np.repeat(list(counts), list(counts.values())).astype(np.float32)
    S = np.random.default_rng(1).permutation(values).reshape(40, 40)
    expected = np.median(S.astype(float))
    assert indexing.median(xp.namespace, xp.put(S)) == expected
    (only,) = bounds
    assert (only.low == expected, only.high == expected) == (low_is_median, high_is_median)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("equal", [799, 800, 801])
def test_the_median_is_the_mean_of_a_bound_and_its_neighbor(xp, monkeypatch, sign, equal):
    bounds = median_bounds(monkeypatch)
    values = np.concatenate([np.zeros(equal), np.arange(1, 1601 - equal)]) * sign
    S = np.random.default_rng(1).permutation(values.astype(np.float32)).reshape(40, 40)
    expected = {799: 1.5, 800: 0.5, 801: 0.0}[equal] * sign
    assert indexing.median(xp.namespace, xp.put(S)) == expected == np.median(S)
    assert 0.0 in bounds[0]
    assert len(bounds) == 1


def median_bounds(monkeypatch):
    """Sample 256 entries only, and record the bounds of each pass."""
    bounds = []
    original = indexing._order_statistics

    def recording(*args, **how):
        bounds.append(how["bounds"])
        return original(*args, **how)

    monkeypatch.setattr(indexing, "_SAMPLE", 256)
    monkeypatch.setattr(indexing, "_order_statistics", recording)
    return bounds


def test_only_ranks_within_the_bounds_have_values(xp):
    S = xp.put(np.random.default_rng(0).permutation(16).reshape(4, 4).astype(np.float32))
    with indexing.row_mapper(xp.namespace, 4) as over_rows:

        def found(*ranks):
            bounds = indexing._Bounds(4.0, 8.0)
            return indexing._order_statistics(xp.namespace, S, ranks, over_rows, bounds=bounds)

        assert found(4, 5, 7, 8) == [4, 5, 7, 8]
        assert found(3, 4) is None
        assert found(8, 9) is None

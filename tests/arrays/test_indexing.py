import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpuclust.arrays import indexing
from gpuclust.device import block_size

# A library has no state that an example could leave behind.
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


def test_one_column_of_each_row_is_hidden(xp, matrix):
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
    sample=st.sampled_from([16, 256, 1 << 18]),  # no bounds, bounds, all of it
)
def test_the_median_is_numpys(xp, n, seed, few, sample):
    rng = np.random.default_rng(seed)
    S = rng.integers(0, 3, (n, n)) if few else rng.normal(size=(n, n)) ** 9
    S = S.astype(np.float32)
    with pytest.MonkeyPatch.context() as patched, block_size.smaller_blocks(1e-2):  # several blocks
        patched.setattr(indexing, "_SAMPLE", sample)
        found = indexing.median(xp.namespace, xp.put(S))
    assert found == pytest.approx(np.median(S.astype(float)), rel=1e-6)


def test_the_median_is_found_where_the_sample_misleads(xp, monkeypatch):
    looked = []
    original = indexing._between
    monkeypatch.setattr(indexing, "_SAMPLE", 256)
    monkeypatch.setattr(indexing, "_between", lambda *a: looked.append(a[2]) or original(*a))
    S = np.arange(1600, dtype=np.float32).reshape(40, 40)
    places = np.random.default_rng(0).integers(1600, size=256)
    S = S[np.argsort(np.isin(np.arange(1600), places).reshape(40, 40).any(axis=1))]
    S.reshape(-1)[places] = -1  # all that is sampled is the smallest
    assert indexing.median(xp.namespace, xp.put(S)) == np.median(S.astype(float))
    assert len(looked) > 1

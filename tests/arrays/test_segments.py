import numpy as np
import pytest

from gpuclust.arrays import segments
from gpuclust.device import block_size


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_segment_sums_of_many_labelings_equal_bincount_and_ignore_other_labels(xp, dtype):
    rng = np.random.default_rng(0)
    values = rng.random((40, 10_000)).astype(dtype)  # several pieces, several runs of columns
    sizes = [3, 65, 400]
    labelings = [rng.integers(-1, k + 1, 10_000) for k in sizes]
    sums = segments.segment_summer([xp.put(labels) for labels in labelings], n_segments=sizes)
    ours = xp.get(sums(xp.put(values)))
    expected = [
        np.stack([np.bincount(labels[keep], row[keep], minlength=k) for row in values])
        for labels, k in zip(labelings, sizes, strict=True)
        for keep in [(labels >= 0) & (labels < k)]
    ]
    np.testing.assert_allclose(ours, np.concatenate(expected, axis=1), rtol=1e-6)
    assert ours.dtype == np.float64


def test_segment_sums_of_any_order_in_memory_and_dtype_are_the_same():
    rng = np.random.default_rng(0)
    values, labels = rng.integers(0, 100, (21, 301)), rng.integers(0, 9, 301)
    sums = segments.segment_summer([labels], n_segments=[9])
    expected = np.stack([np.bincount(labels, row, minlength=9) for row in values])
    for same in (values, np.asfortranarray(values, np.float32), np.repeat(values, 2, 1)[:, ::2]):
        np.testing.assert_array_equal(sums(same), expected)


def test_segment_sums_of_float32_are_made_in_float64_on_numpy():
    values = np.full((1, 100_000), 0.1, dtype=np.float32)
    sums = segments.segment_summer([np.zeros(100_000, dtype=int)], n_segments=[1])
    assert sums(values)[0, 0] == pytest.approx(100_000 * float(np.float32(0.1)), rel=1e-12)


def test_empty_segment_sums_to_zero(xp):
    sums = segments.segment_summer([xp.put(np.array([0, 0, 199]))], n_segments=[200])
    total = xp.get(sums(xp.put(np.array([[1.0, 2.0, 4.0]]))))
    assert total[0, 0] == 3.0 and total[0, 199] == 4.0 and total.sum() == 7.0


def test_segment_sums_of_small_blocks_are_the_same(xp):
    rng = np.random.default_rng(0)
    values, labels = rng.random((7, 500)), rng.integers(0, 9, 500)
    expected = segments.segment_summer([labels], n_segments=[9])(values)
    with block_size.smaller_blocks(1e-5):
        sums = segments.segment_summer([xp.put(labels)], n_segments=[9])
    np.testing.assert_allclose(xp.get(sums(xp.put(values))), expected, rtol=1e-12)

import numpy as np
import pytest

from gpuclust import metrics


@pytest.mark.parametrize(
    "values",
    [
        np.array([-128, 127, 5, 5], dtype=np.int8),
        np.array([2**63 + 7, 2**63 + 7, 2**63, 1], dtype=np.uint64),
        np.array([10**15, 3, 3, -(10**15)]),
        np.array([True, False, False, True]),
        np.array([1.5, 1.5, -2.0, 0.0]),
        np.array([5, 9, 7, 5, 9, 30, 8, 8, 8, 8], dtype=np.uint16),
    ],
)
def test_labels_of_any_numeric_type_are_distinguished(values):
    table = metrics.contingency(values, values)
    _, rows, counts = np.unique(values, return_inverse=True, return_counts=True)
    np.testing.assert_array_equal(table.row_sums, counts)
    np.testing.assert_array_equal(table.rows, np.unique(rows))
    np.testing.assert_array_equal(table.cols, table.rows)
    np.testing.assert_array_equal(table.counts, counts)

import math
from fractions import Fraction

import numpy as np
import pytest
from sklearn.metrics.cluster import contingency_matrix
from sklearn.metrics.cluster import expected_mutual_information as oracle_emi

from gpuclust import metrics
from gpuclust.errors import InputError


def exact_emi(a, b):
    """Sum over all counts with exact binomials, without log-factorials."""
    n, total = sum(a), 0.0
    for a_i in a:
        for b_j in b:
            for k in range(max(1, a_i + b_j - n), min(a_i, b_j) + 1):
                p = Fraction(math.comb(a_i, k) * math.comb(n - a_i, b_j - k), math.comb(n, b_j))
                total += k / n * math.log(n * k / (a_i * b_j)) * float(p)
    return total


@pytest.mark.parametrize(
    ("a", "b"),
    [([3, 4], [2, 5]), ([1] * 9, [4, 5]), ([400, 3, 200], [300, 300, 3]), ([999, 1], [500, 500])],
)
def test_expectation_equals_exact_binomial_sums(a, b):
    assert metrics.expected_mutual_information(a, b) == pytest.approx(exact_emi(a, b), rel=1e-10)


@pytest.mark.parametrize(("n", "r", "c"), [(200, 7, 90), (20_000, 10, 300), (20_000, 3, 3)])
def test_expectation_equals_scikit_learn_on_skewed_marginals(n, r, c):
    rng = np.random.default_rng(0)
    y, labels = (np.floor(k * rng.random(n) ** 3).astype(int) for k in (r, c))
    table = metrics.contingency(y, labels)
    ours = metrics.expected_mutual_information(table.row_sums, table.col_sums)
    assert ours == pytest.approx(oracle_emi(contingency_matrix(y, labels), n), rel=1e-9)


def test_expectation_does_not_depend_on_the_block_size(monkeypatch):
    rng = np.random.default_rng(1)
    a = np.bincount(rng.integers(0, 40, 5000) ** 2 // 40)
    b = np.bincount(rng.integers(0, 30, 5000))
    whole = metrics.expected_mutual_information(a, b)
    monkeypatch.setattr(metrics.expectation, "_EMI_BLOCK", 64)
    assert metrics.expected_mutual_information(a, b) == pytest.approx(whole, rel=1e-12)


def test_marginals_of_different_totals_raise():
    with pytest.raises(InputError, match="sum to 3 and 4"):
        metrics.expected_mutual_information([1, 2], [2, 2])


def test_expectation_takes_marginals_of_another_device(device_xp):
    a, b = (device_xp.put(sums) for sums in ([3, 4], [2, 5]))
    assert metrics.expected_mutual_information(a, b) == pytest.approx(exact_emi([3, 4], [2, 5]))


def test_only_distinct_marginals_are_copied_to_the_host(device_xp, monkeypatch):
    # 6,000 classes and as many clusters, of four sizes each.
    rng = np.random.default_rng(0)
    y, labels = (rng.permutation(np.repeat(np.arange(6000), [1, 2, 3, 4] * 1500)) for _ in "ab")
    table = metrics.contingency(device_xp.put(y), device_xp.put(labels))
    copied = []
    to_host = metrics.expectation.to_host

    def counting(values):
        copied.append(values.shape)
        return to_host(values)

    monkeypatch.setattr(metrics.expectation, "to_host", counting)
    found = metrics.expected_mutual_information(table.row_sums, table.col_sums)
    assert copied == [(2, 4)] * 2, "sizes, and the number of classes of each size"
    assert found == pytest.approx(
        metrics.expected_mutual_information(np.bincount(y), np.bincount(labels)), rel=1e-12
    )

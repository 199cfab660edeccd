"""Two distances from one matrix product are as accurate as each alone."""

import numpy as np
import pytest

from gpuclust import metrics
from gpuclust.arrays import distances, euclidean_cosine
from gpuclust.errors import UnknownNameError


def both(xp, X, **how):
    blocks = [
        parts for _, _, parts in distances.distance_blocks(xp.put(X), metric=distances.PAIR, **how)
    ]
    return [np.concatenate([xp.get(part) for part in parts]) for parts in zip(*blocks, strict=True)]


def exact(X):
    """Return cosine distances from differences in float64."""
    X = X.astype(np.float64)
    length = np.linalg.norm(X, axis=1, keepdims=True)
    U = X / np.where(length > 0, length, 1)
    squared = np.stack([((U - u) ** 2).sum(axis=1) for u in U])
    zero = length[:, 0] == 0
    undefined = (zero[:, None] | zero[None, :]) & ~np.eye(len(X), dtype=bool)
    return np.where(undefined, 1.0, 0.5 * squared)


def shared(xp, X):
    return euclidean_cosine._row_norms(xp.namespace, xp.put(X)) is not None


@pytest.fixture(scope="module")
def rows():
    """300 rows of 160 features with close pairs, two duplicates and a zero row."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 160)) + 0.5
    X[150:] = X[:150] + rng.normal(size=(150, 160)) * 10.0 ** rng.uniform(-5, 0, size=(150, 1))
    X[1] = 3 * X[0]  # the same direction
    X[2] = X[0]
    X[7] = 0
    return X


@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-8), (np.float32, 1e-3)])
def test_both_are_as_precise_as_each_alone(xp, rows, dtype, rtol):
    X = rows.astype(dtype)
    assert shared(xp, X)
    how = {"block_bytes": 300 * 8 * 37}
    D, C = both(xp, X, **how)
    assert D.dtype == C.dtype == dtype
    cosine = exact(X)
    alone = np.concatenate(
        [xp.get(part) for _, _, part in distances.distance_blocks(xp.put(X), **how)]
    )
    np.testing.assert_array_equal(D, alone)
    np.testing.assert_allclose(C, cosine, rtol=rtol, atol=np.finfo(dtype).eps)
    assert not np.diag(D).any()
    assert not np.diag(C).any()
    assert C[0, 2] == 0
    assert C[0, 1] < np.finfo(dtype).eps
    assert (C[7, np.arange(300) != 7] == 1).all()


def test_lengths_of_many_sizes_keep_the_digits_of_angles(xp, rows):
    X = (rows * 10.0 ** np.linspace(-1, 1, 300)[:, None]).astype(np.float32)
    assert shared(xp, X)
    np.testing.assert_allclose(both(xp, X)[1], exact(X), rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize(
    "spoiled",
    [
        lambda X: X[:, :20],  # few features
        lambda X: np.ones(160) * np.linspace(1, 9, 300)[:, None] + 1e-3 * X,  # only norms differ
        lambda X: X * 10.0 ** np.linspace(-60, 60, 300)[:, None],
    ],
)
def test_rows_unsuited_to_one_product_get_two(xp, rows, spoiled):
    X = spoiled(rows)
    assert not shared(xp, X)
    D, C = both(xp, X)
    for ours, metric in ((D, "euclidean"), (C, "cosine")):
        blocks = distances.distance_blocks(xp.put(X), metric=metric)
        alone = np.concatenate([xp.get(part) for _, _, part in blocks])
        np.testing.assert_array_equal(ours, alone)


@pytest.mark.parametrize("samples", [False, True])
def test_silhouettes_of_both_metrics_equal_those_of_each(xp, rows, samples):
    sets = [xp.put(np.arange(300) % k) for k in (2, 300, 40)]
    X, keep = xp.put(rows), xp.put(np.arange(300) != 5)
    how = {"masks": [None, None, keep], "samples": samples}
    found = metrics.silhouette_scores(X, sets, metric=distances.PAIR, **how)
    for ours, metric in zip(found, distances.PAIR, strict=True):
        alone = metrics.silhouette_scores(X, sets, metric=metric, **how)
        for a, b in zip(ours, alone, strict=True):
            a, b = (xp.get(one) if samples else one for one in (a, b))
            np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9)


def test_two_metrics_without_a_defined_label_set_are_two_lists_of_nan():
    found = metrics.silhouette_scores(np.eye(3), [np.zeros(3, dtype=int)], metric=distances.PAIR)
    assert np.shape(found) == (2, 1)
    assert np.isnan(found).all()


@pytest.mark.parametrize("metric", [("euclidean", "l1"), ["euclidean", "cosine"]])
def test_other_pairs_raise(metric):
    with pytest.raises(UnknownNameError, match=r"unknown metric .* Known: chebyshev, cosine"):
        distances.distance_blocks(np.eye(3), metric=metric)

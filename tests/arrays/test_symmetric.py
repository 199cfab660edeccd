import numpy as np
import pytest
from sklearn.metrics import pairwise_distances

from gpuclust.arrays import distances, gram, symmetric
from gpuclust.device import threads

N, D = 700, 300


@pytest.fixture
def points():
    return np.random.default_rng(0).normal(size=(N, D)).astype(np.float32)


def whole(X, metric="euclidean", rows=64):
    blocks = distances.distance_blocks(X, metric=metric, block_bytes=rows * len(X) * X.itemsize)
    return np.concatenate([block for *_, block in blocks])


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("limit", [1 << 30, 200_000, 1])
def test_distances_equal_scikit_learn_for_every_cache_size(points, metric, limit, monkeypatch):
    monkeypatch.setattr(symmetric, "_MAX_BYTES", limit)
    found = whole(points, metric)
    np.testing.assert_allclose(found, pairwise_distances(points, metric=metric), rtol=2e-5)
    if limit == 1 << 30:
        np.testing.assert_array_equal(found, found.T)


def test_two_metrics_at_once_equal_scikit_learn(points):
    blocks = distances.distance_blocks(points, metric=distances.PAIR, block_bytes=64 * N * 4)
    for found, metric in zip(
        zip(*(pair for *_, pair in blocks), strict=True), distances.PAIR, strict=True
    ):
        full = np.concatenate(found)
        np.testing.assert_allclose(full, pairwise_distances(points, metric=metric), rtol=2e-5)


def test_blocks_may_come_in_any_order_and_size(points):
    block_of = gram.squared_blocks(np, points)
    expected = pairwise_distances(points, metric="sqeuclidean")
    np.fill_diagonal(expected, np.inf)
    for start, stop in [
        (0, 100),
        (100, 200),
        (50, 250),
        (200, 230),
        (300, 400),
        (200, 300),
        (0, 9),
    ]:
        np.testing.assert_allclose(block_of(start, stop), expected[start:stop], rtol=2e-5)


@pytest.mark.parametrize(("limit", "share"), [(1 << 30, 0.25), (100_000, None)])
def test_the_cache_holds_a_quarter_of_the_matrix_or_its_limit(limit, share, monkeypatch):
    monkeypatch.setattr(symmetric, "_MAX_BYTES", limit)
    full = np.arange(N * N, dtype=np.float32).reshape(N, N)
    full = full + full.T
    cache = symmetric.SymmetricBlockCache(N, full.dtype, threads.all_cores())
    most, known = 0, 0
    for start in range(0, N, 10):
        block = np.full((10, N), np.nan, np.float32)
        first = cache.fill(start, block)
        np.testing.assert_array_equal(block[:, first:start], full[start : start + 10, first:start])
        assert np.isnan(block[:, :first]).all()
        known += start - first
        cache.store(start, start + 10, full[start : start + 10])
        most = max(most, sum(p.nbytes for pieces in cache._pieces.values() for _, p in pieces))
    assert most <= (limit if share is None else share * full.nbytes) * 1.2
    assert known > 0 if share is None else known == sum(range(0, N, 10))


def test_cached_entries_are_not_multiplied_again(points, monkeypatch):
    products, matmul = [], np.matmul
    monkeypatch.setattr(
        np,
        "matmul",
        lambda a, b, **more: products.append(a.shape[0] * b.shape[1]) or matmul(a, b, **more),
    )
    whole(points, rows=10)
    assert sum(products) < 0.55 * N * N

import math
import os
import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.metrics import pairwise_distances
from threadpoolctl import threadpool_info

from gpuclust.arrays import gram, minkowski, segments
from gpuclust.arrays.distances import METRICS, distance_blocks
from gpuclust.device import block_size, threads
from gpuclust.errors import InputError, UnknownNameError


def distances(xp, X, **options):
    """Return all distances on the host; fail if a block is not on the device of X."""
    return np.concatenate([xp.get(D) for _, _, D in distance_blocks(xp.put(X), **options)])


@pytest.fixture(scope="module")
def digits():
    return load_digits(return_X_y=True)[0][:300]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-12), (np.float32, 1e-5)])
def test_distances_equal_scikit_learn(xp, digits, metric, dtype, rtol):
    X = digits.astype(dtype)
    ours = distances(xp, X, metric=metric, block_bytes=300 * 8 * 37)
    assert ours.dtype == dtype
    expected = pairwise_distances(X.astype(np.float64), metric=metric)
    np.testing.assert_allclose(ours, expected, rtol=rtol, atol=1e-15)


def test_blocks_tile_the_rows_and_keep_to_their_size(xp, digits):
    blocks = list(distance_blocks(xp.put(digits), metric="l1", block_bytes=300 * 8 * 37))
    assert [start for start, _, _ in blocks] == list(range(0, 300, 37))
    assert blocks[-1][1] == 300
    assert all(D.shape == (stop - start, 300) for start, stop, D in blocks)


def test_block_smaller_than_a_row_has_one_row(xp, digits):
    assert len(list(distance_blocks(xp.put(digits), metric="euclidean", block_bytes=1))) == 300


@pytest.mark.parametrize("metric", METRICS)
def test_distance_to_itself_is_exactly_zero(xp, metric):
    X = np.random.default_rng(0).normal(size=(50, 7)).astype(np.float32)
    np.testing.assert_array_equal(np.diag(distances(xp, X, metric=metric)), 0.0)


def test_float32_near_duplicates_far_from_the_origin_keep_their_digits(xp):
    rng = np.random.default_rng(0)
    # Pairs are 0.01 apart, groups 100, and all points are 10,000 from the origin.
    X = np.repeat(rng.normal(size=(40, 4)) * 100, 2, axis=0) + rng.normal(size=(80, 4)) * 0.01
    X = (X + 1e4).astype(np.float32)
    differences = X[:, None, :].astype(np.float64) - X[None, :, :]
    expected = np.sqrt((differences**2).sum(axis=2))
    np.testing.assert_allclose(distances(xp, X, metric="euclidean"), expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("dtype", "tau", "recomputed"), [(np.float32, 1e-3, 3e-6), (np.float64, 1e-6, 1e-13)]
)
def test_squared_distances_below_two_tau_norms_are_recomputed_and_no_others(
    xp, dtype, tau, recomputed
):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 64))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    Y = rng.normal(size=(200, 64))
    Y -= np.sum(X * Y, axis=1, keepdims=True) * X
    Y /= np.linalg.norm(Y, axis=1, keepdims=True)

    def largest_error(ratio):
        """Relative error for 200 pairs with D2 = ratio * 2 tau |x|^2."""
        rows = np.concatenate([X, X + np.sqrt(2 * tau * ratio) * Y]).astype(dtype)
        exact = np.sum((rows[:200].astype(float) - rows[200:]) ** 2, axis=1)
        D2 = xp.get(gram.squared_blocks(xp.namespace, xp.put(rows))(0, 400))
        return np.max(np.abs(np.diag(D2, 200) - exact) / exact)

    assert largest_error(0.9) < recomputed < largest_error(1.1) < 10 * np.finfo(dtype).eps / tau


def test_cosine_of_nearly_parallel_float32_vectors_keeps_its_digits(xp):
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(60, 5)) * 1e-2 + 1.0).astype(np.float32)  # distances of 1e-4
    u = X.astype(np.float64)
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    expected = 0.5 * ((u[:, None, :] - u[None, :, :]) ** 2).sum(axis=2)
    np.testing.assert_allclose(distances(xp, X, metric="cosine"), expected, rtol=1e-3, atol=1e-12)


@pytest.mark.parametrize("metric", METRICS)
def test_duplicates_are_at_distance_zero(xp, metric):
    X = np.array([[0.1, 0.7], [0.1, 0.7], [5.3, -2.2]], dtype=np.float32)
    D = distances(xp, X, metric=metric)
    assert D[0, 1] == D[1, 0] == 0.0
    assert D[0, 2] > 0.1


def test_zero_vector_is_at_cosine_distance_one_from_all_others(xp):
    X = np.array([[0.0, 0], [1, 2], [0, 0], [3, -1]])
    D = distances(xp, X, metric="cosine")
    np.testing.assert_allclose(D, pairwise_distances(X, metric="cosine"), atol=1e-15)
    assert D[0, 2] == 1.0


def test_cosine_does_not_depend_on_the_length_of_vectors(xp, digits):
    X = digits[:20]
    scale = 10.0 ** np.linspace(-200, 200, 20)[:, None]
    expected = distances(xp, X, metric="cosine")
    np.testing.assert_allclose(distances(xp, X * scale, metric="cosine"), expected, atol=1e-14)


@pytest.mark.parametrize(("dtype", "out"), [(np.int64, np.float64), (np.float16, np.float32)])
def test_integers_and_float16_are_converted(xp, dtype, out):
    if xp.name == "strict" and dtype == np.float16:
        pytest.skip("float16 is not in the standard")
    X = np.array([[0, 0], [3, 4]], dtype=dtype)
    D = distances(xp, X, metric="euclidean")
    assert D.dtype == out
    np.testing.assert_allclose(D, [[0, 5], [5, 0]], rtol=1e-6)


@pytest.mark.parametrize("metric", METRICS)
def test_no_rows_give_no_blocks(xp, metric):
    assert list(distance_blocks(xp.put(np.zeros((0, 3))), metric=metric)) == []


@pytest.mark.parametrize("metric", METRICS)
def test_one_row_is_at_distance_zero(xp, metric):
    np.testing.assert_array_equal(distances(xp, np.ones((1, 3)), metric=metric), [[0.0]])


@pytest.mark.parametrize(
    ("X", "options", "says"),
    [
        (np.ones(3), {}, r"shape \(3,\)"),
        (np.array([[1.0, np.inf]]), {}, "infinity"),
        (np.eye(2), {"block_bytes": 0}, "block_bytes is 0"),
    ],
)
def test_bad_input_raises_at_the_call(xp, X, options, says):
    with pytest.raises(InputError, match=says):
        distance_blocks(xp.put(X), metric="euclidean", **options)


def test_unknown_metric_raises():
    with pytest.raises(UnknownNameError, match="chebyshev"):
        distance_blocks(np.eye(2), metric="hamming")


def test_default_block_has_enough_rows_and_bounded_bytes():
    # 20,000 rows of float32 make 80 kB each: 64 rows are 5.1 MB.
    start, stop, D = next(distance_blocks(np.zeros((20_000, 1), dtype=np.float32)))
    assert (start, stop) == (0, 64)
    assert D.shape == (64, 20_000)


def test_high_dimensional_rows_share_a_product_among_blocks():
    X = np.random.default_rng(0).normal(size=(3000, 1200)).astype(np.float32)  # 14.4 MB
    blocks = list(distance_blocks(X))
    assert [start for start, _, _ in blocks] == list(range(0, 3000, 349))
    assert blocks[0][2].base is blocks[2][2].base is not blocks[3][2].base
    expected = pairwise_distances(X.astype(np.float64))
    ours = np.concatenate([D for _, _, D in blocks])
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numpy_distances_do_not_depend_on_the_order_in_memory(digits, metric, dtype):
    X = digits.astype(dtype)
    expected = [D for _, _, D in distance_blocks(X, metric=metric)]
    strided = np.repeat(X, 2, axis=1)[:, ::2]
    for same in (np.asfortranarray(X), strided):
        ours = [D for _, _, D in distance_blocks(same, metric=metric)]
        np.testing.assert_allclose(ours, expected, rtol=1e-6 if dtype == np.float32 else 1e-13)


@pytest.mark.parametrize("metric", ["l1", "chebyshev"])
@pytest.mark.parametrize(("n", "d"), [(1, 5), (3, 1), (9, 0), (1030, 3), (40, 66), (5, 129)])
def test_compiled_kernels_take_every_number_of_samples_and_features(metric, n, d):
    X = np.random.default_rng(0).normal(size=(n, d))
    expected = np.zeros((n, n)) if d == 0 else pairwise_distances(X, metric=metric)
    ours = np.concatenate([D for _, _, D in distance_blocks(X, metric=metric)])
    np.testing.assert_allclose(ours, expected, rtol=1e-12)


def test_float32_l1_of_many_equal_differences_does_not_drift():
    # A float32 sum of equal terms rounds in the same direction each time.
    X = np.stack([np.zeros(100_000), np.full(100_000, 0.1)]).astype(np.float32)
    D = next(distance_blocks(X, metric="l1"))[2]
    assert D[0, 1] == pytest.approx(100_000 * float(np.float32(0.1)), rel=1e-6)


@pytest.mark.parametrize("metric", METRICS)
def test_numbers_of_threads_do_not_change_a_bit(digits, metric, monkeypatch):
    labels = [np.arange(300) % 7]

    def bits(cores):
        monkeypatch.setattr(threads, "cores", lambda: cores)
        sums = segments.segment_summer(labels, n_segments=[7])
        return [sums(D) for _, _, D in distance_blocks(digits, metric=metric)]

    np.testing.assert_array_equal(bits(1), bits(5))


def test_compiled_code_is_found_again_by_the_next_process(tmp_path):
    code = (
        "import numpy as np; from gpuclust.arrays import distances, gram, minkowski, segments;"
        "X = np.eye(4);"
        "D = [next(distances.distance_blocks(X, metric=m))[2] for m in distances.METRICS];"
        "segments.segment_summer([np.zeros(4, int)], n_segments=[1])(X);"
        "kernels = gram._kernel(), minkowski._l1_kernel(), segments._kernel();"
        "print([sum(kernel.stats.cache_hits.values()) for kernel in kernels])"
    )
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    run = [sys.executable, "-c", code]
    options = {"env": environment, "capture_output": True, "text": True, "check": True}
    found = [subprocess.run(run, **options).stdout.strip() for _ in range(2)]
    assert found == ["[0, 0, 0]", "[1, 1, 1]"]


def test_code_is_compiled_without_a_writable_cache(monkeypatch):
    monkeypatch.setattr("numba.core.caching.CacheImpl._locator_classes", [])
    assert threads.compiled(lambda x: x + 1)(1) == 2


def test_blas_has_its_threads_again_after_distances(digits):
    def threads():
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    before = threads()
    for _ in distance_blocks(digits):
        assert threads() == before


def test_an_error_in_a_thread_is_raised():
    def fails(start, stop):
        raise MemoryError

    with pytest.raises(MemoryError):
        threads.all_cores()(fails, 10)


def test_distances_of_float32_are_right_where_their_squares_overflow():
    X = np.array([[1e30, 0], [3e30, 0], [-9e30, 0], [0, 1], [0, 2]], dtype=np.float32)
    D = next(distance_blocks(X))[2]
    np.testing.assert_allclose(D, pairwise_distances(X.astype(np.float64)), rtol=1e-6)


@pytest.mark.parametrize(("metric", "p"), [("l1", 1.0), ("chebyshev", math.inf)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_blocks_made_by_torch_for_cupy_equal_scikit_learn(digits, metric, p, dtype):
    X = np.concatenate([digits, digits[:3] + 1e-3]).astype(dtype)
    block_of = minkowski.torch_blocks(np, X, p)
    ours = np.concatenate([block_of(0, 100), block_of(100, 303)])
    assert ours.dtype == dtype
    expected = pairwise_distances(X.astype(np.float64), metric=metric)
    np.testing.assert_allclose(ours, expected, rtol=1e-5 if dtype == np.float32 else 1e-12)
    assert minkowski.torch_blocks(np, np.empty((4, 0), dtype), p)(0, 4).shape == (4, 4)


def starts(X, **options):
    return [start for start, _, _ in distance_blocks(X, **options)]


def test_smaller_blocks_make_blocks_smaller_down_to_one_row(xp, digits):
    X = xp.put(digits)
    usual = distances(xp, digits)
    with block_size.smaller_blocks(0.5):
        assert starts(X, block_bytes=300 * 8 * 37) == list(range(0, 300, 18))
        with block_size.smaller_blocks(0.5):
            assert starts(X, block_bytes=300 * 8 * 37) == list(range(0, 300, 9))
    with block_size.smaller_blocks(1e-12):
        assert starts(X) == list(range(300))
        np.testing.assert_allclose(distances(xp, digits), usual, rtol=1e-12)
    assert len(starts(X)) == 1


def test_the_size_of_blocks_is_fixed_at_the_call(digits):
    with block_size.smaller_blocks(1e-12):
        blocks = distance_blocks(digits)
    assert len(list(blocks)) == 300

import contextlib
import math
import os
import subprocess
import sys
import types

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.metrics import pairwise_distances
from threadpoolctl import threadpool_info

from gpuclust.arrays import minkowski, segments
from gpuclust.arrays.distances import METRICS, distance_blocks
from gpuclust.device import block_size, threads
from gpuclust.errors import InputError, UnknownNameError


def distances(xp, X, **options):
    """All distances on the host; blocks that are not on the device of X fail."""
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
    # Pairs a hundredth apart, groups a hundred apart, all of it at ten thousand.
    X = np.repeat(rng.normal(size=(40, 4)) * 100, 2, axis=0) + rng.normal(size=(80, 4)) * 0.01
    X = (X + 1e4).astype(np.float32)
    gaps = X[:, None, :].astype(np.float64) - X[None, :, :]
    expected = np.sqrt((gaps**2).sum(axis=2))
    np.testing.assert_allclose(distances(xp, X, metric="euclidean"), expected, rtol=1e-4)


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
def test_integers_and_halves_are_widened(xp, dtype, out):
    if xp.name == "strict" and dtype == np.float16:
        pytest.skip("the standard has no halves")
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
def test_bad_input_is_refused_at_the_call(xp, X, options, says):
    with pytest.raises(InputError, match=says):
        distance_blocks(xp.put(X), metric="euclidean", **options)


def test_unknown_metric_is_refused():
    with pytest.raises(UnknownNameError, match="chebyshev"):
        distance_blocks(np.eye(2), metric="hamming")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_segment_sums_of_many_codings_equal_bincount_and_leave_other_codes_out(xp, dtype):
    rng = np.random.default_rng(0)
    values = rng.random((40, 10_000)).astype(dtype)  # several pieces, several runs of columns
    sizes = [3, 65, 400]
    codings = [rng.integers(-1, k + 1, 10_000) for k in sizes]
    sums = segments.segment_summer([xp.put(codes) for codes in codings], n_segments=sizes)
    ours = xp.get(sums(xp.put(values)))
    expected = [
        np.stack([np.bincount(codes[keep], row[keep], minlength=k) for row in values])
        for codes, k in zip(codings, sizes, strict=True)
        for keep in [(codes >= 0) & (codes < k)]
    ]
    np.testing.assert_allclose(ours, np.concatenate(expected, axis=1), rtol=1e-6)
    assert ours.dtype == np.float64


def test_segment_sums_of_any_order_in_memory_and_dtype_are_the_same():
    rng = np.random.default_rng(0)
    values, codes = rng.integers(0, 100, (21, 301)), rng.integers(0, 9, 301)
    sums = segments.segment_summer([codes], n_segments=[9])
    expected = np.stack([np.bincount(codes, row, minlength=9) for row in values])
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


def test_default_block_has_enough_rows_and_bounded_bytes():
    # 20,000 rows of float32 make 80 kB each: 64 rows are 5.1 MB.
    start, stop, D = next(distance_blocks(np.zeros((20_000, 1), dtype=np.float32)))
    assert (start, stop) == (0, 64)
    assert D.shape == (64, 20_000)


def test_wide_rows_have_products_of_more_rows_than_a_block_and_the_same_blocks():
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
    wider = np.repeat(X, 2, axis=1)[:, ::2]
    for same in (np.asfortranarray(X), wider):
        ours = [D for _, _, D in distance_blocks(same, metric=metric)]
        np.testing.assert_allclose(ours, expected, rtol=1e-6 if dtype == np.float32 else 1e-13)


@pytest.mark.parametrize("metric", ["l1", "chebyshev"])
@pytest.mark.parametrize(("n", "d"), [(1, 5), (3, 1), (9, 0), (1030, 3), (40, 66), (5, 129)])
def test_compiled_gaps_fit_every_number_of_samples_and_features(metric, n, d):
    X = np.random.default_rng(0).normal(size=(n, d))
    expected = np.zeros((n, n)) if d == 0 else pairwise_distances(X, metric=metric)
    ours = np.concatenate([D for _, _, D in distance_blocks(X, metric=metric)])
    np.testing.assert_allclose(ours, expected, rtol=1e-12)


def test_float32_l1_of_many_equal_gaps_does_not_drift():
    # Each of these sums would round the same way every time.
    X = np.stack([np.zeros(100_000), np.full(100_000, 0.1)]).astype(np.float32)
    D = next(distance_blocks(X, metric="l1"))[2]
    assert D[0, 1] == pytest.approx(100_000 * float(np.float32(0.1)), rel=1e-6)


@pytest.mark.parametrize("metric", METRICS)
def test_numbers_of_threads_do_not_change_a_bit(digits, metric, monkeypatch):
    codes = [np.arange(300) % 7]

    def bits(cores):
        monkeypatch.setattr(threads, "cores", lambda: cores)
        sums = segments.segment_summer(codes, n_segments=[7])
        return [sums(D) for _, _, D in distance_blocks(digits, metric=metric)]

    np.testing.assert_array_equal(bits(1), bits(5))


@pytest.mark.parametrize("kernel", ["gram._kernel", "minkowski._l1_kernel", "segments._kernel"])
def test_compiled_code_is_found_again_by_the_next_process(kernel, tmp_path):
    code = (
        "import numpy as np; from gpuclust.arrays import distances, gram, minkowski, segments;"
        "X = np.eye(4);"
        "D = [next(distances.distance_blocks(X, metric=m))[2] for m in distances.METRICS];"
        "segments.segment_summer([np.zeros(4, int)], n_segments=[1])(X);"
        f"print(sum({kernel}().stats.cache_hits.values()))"
    )
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    run = [sys.executable, "-c", code]
    options = {"env": environment, "capture_output": True, "text": True, "check": True}
    assert [subprocess.run(run, **options).stdout.strip() for _ in range(2)] == ["0", "1"]


def test_where_nothing_can_be_written_code_is_compiled_all_the_same(monkeypatch):
    monkeypatch.setattr("numba.core.caching.CacheImpl._locator_classes", [])
    assert threads.compiled(lambda x: x + 1)(1) == 2


def test_blas_has_its_threads_again_after_distances(digits):
    def threads():
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    before = threads()
    for _ in distance_blocks(digits):
        assert threads() == before


def test_what_a_thread_raises_is_raised():
    def fails(start, stop):
        raise MemoryError

    with pytest.raises(MemoryError):
        threads.all_cores()(fails, 10)


def test_distances_too_large_to_square_are_infinite_and_not_nan():
    X = np.array([[1e30, 0], [3e30, 0], [-9e30, 0], [0, 1], [0, 2]], dtype=np.float32)
    with pytest.warns(RuntimeWarning, match="overflow"):
        D = next(distance_blocks(X))[2]
    assert not np.isnan(D).any()
    assert D[0, 1] == np.inf


@pytest.mark.parametrize(("metric", "p"), [("l1", 1.0), ("chebyshev", math.inf)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_blocks_that_torch_makes_for_cupy_are_those_of_scikit_learn(digits, metric, p, dtype):
    X = np.concatenate([digits, digits[:3] + 1e-3]).astype(dtype)
    block_of = minkowski.torch_blocks(np, X, p)
    ours = np.concatenate([block_of(0, 100), block_of(100, 303)])
    assert ours.dtype == dtype
    expected = pairwise_distances(X.astype(np.float64), metric=metric)
    np.testing.assert_allclose(ours, expected, rtol=1e-5 if dtype == np.float32 else 1e-12)
    assert minkowski.torch_blocks(np, np.empty((4, 0), dtype), p)(0, 4).shape == (4, 4)


# ---- the size of blocks -------------------------------------------------------------------------

MIB = 1 << 20


class CudaMemoryResource:
    """What RMM allocates from in the end; it holds nothing back."""


class FakeResource:
    """Another memory resource of RMM; what it can say is what is set on it."""

    def __init__(self, upstream=None, **says):
        self.__dict__ |= says
        if upstream is not None:
            self.upstream_mr = upstream


CUDA = CudaMemoryResource()


def counting(upstream, used):
    says = types.SimpleNamespace(current_bytes=used)
    return FakeResource(upstream, allocation_counts=says)


@pytest.fixture
def fake_gpu(monkeypatch):
    """A namespace that counts as CuPy's, and the function that sets what its device says."""

    def says(free, *, held_by_cupy=0, resource=None):
        attributes = {"held": 700 * MIB, "used": 100 * MIB}
        runtime = types.SimpleNamespace(
            memGetInfo=lambda: (free, 1 << 40),
            cudaMemPoolAttrReservedMemCurrent="held",
            cudaMemPoolAttrUsedMemCurrent="used",
            memPoolGetAttribute=lambda pool, attribute: attributes[attribute],
        )
        cupy = types.ModuleType("cupy")
        cupy.cuda = types.SimpleNamespace(runtime=runtime)
        cupy.get_default_memory_pool = lambda: types.SimpleNamespace(
            free_bytes=lambda: held_by_cupy
        )
        monkeypatch.setitem(sys.modules, "cupy", cupy)
        if resource is None:
            monkeypatch.delitem(sys.modules, "rmm", raising=False)
        else:
            rmm = types.ModuleType("rmm")
            rmm.mr = types.SimpleNamespace(get_current_device_resource=lambda: resource)
            monkeypatch.setitem(sys.modules, "rmm", rmm)
        return cupy

    return says


def test_a_block_is_what_a_cache_holds_on_numpy_and_256_mib_elsewhere(device_xp):
    assert block_size.block_bytes(np) == 4 * MIB
    assert block_size.block_bytes(np, cached=3) == 3
    assert block_size.block_bytes(device_xp.namespace, cached=3) == 256 * MIB


def test_a_device_with_little_memory_has_blocks_of_a_sixteenth_of_it(fake_gpu):
    assert block_size.block_bytes(fake_gpu(160 * MIB)) == 10 * MIB
    assert block_size.block_bytes(fake_gpu(100 * MIB, held_by_cupy=60 * MIB)) == 10 * MIB
    assert block_size.block_bytes(fake_gpu(1 << 40)) == 256 * MIB
    assert block_size.block_rows(fake_gpu(0), 1000) == 1


@pytest.mark.parametrize(
    ("resource", "free"),
    [
        (CUDA, 16),
        (counting(CUDA, 5), 16),
        (counting(FakeResource(CUDA, pool_size=lambda: 90), 30), 76),
        (counting(FakeResource(CUDA, pool_size=lambda: 20), 30), 16),
        (FakeResource(FakeResource(pool_size=lambda: 90), get_allocated_bytes=lambda: 40), 66),
        (FakeResource(CUDA, pool_size=lambda: 90), math.inf),
        (counting(FakeResource(), 5), math.inf),
        (FakeResource(pool_handle=lambda: 7), 16 + 600 * MIB),
    ],
    ids=[
        "no pool",
        "counted",
        "counted pool",
        "full pool",
        "limited pool",
        "silent pool",
        "unknown",
        "async",
    ],
)
def test_what_a_pool_of_rmm_does_not_use_counts_as_free(fake_gpu, resource, free):
    assert block_size.free_bytes(fake_gpu(16, resource=resource)) == free


def test_nobody_knows_the_free_memory_of_other_namespaces():
    assert block_size.free_bytes(np) == math.inf


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


def test_blocks_are_as_before_after_an_error():
    with contextlib.suppress(MemoryError), block_size.smaller_blocks(0.5):
        raise MemoryError
    assert block_size.block_bytes(np) == 4 * MIB


def test_a_block_settles_its_size_when_it_is_asked_for(digits):
    with block_size.smaller_blocks(1e-12):
        blocks = distance_blocks(digits)
    assert len(list(blocks)) == 300


@pytest.mark.parametrize("factor", [0.0, 1.5, -1.0, math.nan])
def test_blocks_cannot_be_made_larger_or_vanish(factor):
    with pytest.raises(InputError, match="factor is"), block_size.smaller_blocks(factor):
        pass


def test_segment_sums_of_small_blocks_are_the_same(xp):
    rng = np.random.default_rng(0)
    values, codes = rng.random((7, 500)), rng.integers(0, 9, 500)
    expected = segments.segment_summer([codes], n_segments=[9])(values)
    with block_size.smaller_blocks(1e-5):
        sums = segments.segment_summer([xp.put(codes)], n_segments=[9])
    np.testing.assert_allclose(xp.get(sums(xp.put(values))), expected, rtol=1e-12)

import array_api_strict
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.metrics import pairwise_distances

from gpuclust import ops
from gpuclust.errors import InputError, UnknownNameError

DEVICE = array_api_strict.Device("device1")
CPU = array_api_strict.Device("CPU_DEVICE")


def on_numpy(values):
    return np.asarray(values)


def on_strict(values):
    return array_api_strict.asarray(values, device=DEVICE)


def to_host(values):
    return np.asarray(values if isinstance(values, np.ndarray) else values.to_device(CPU))


@pytest.fixture(params=[on_numpy, on_strict], ids=["numpy", "strict-device1"])
def put(request):
    return request.param


def distances(X, **options):
    return np.concatenate([to_host(D) for _, _, D in ops.distance_blocks(X, **options)])


@pytest.fixture(scope="module")
def digits():
    return load_digits(return_X_y=True)[0][:300]


@pytest.mark.parametrize("metric", ops.METRICS)
@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-12), (np.float32, 1e-5)])
def test_distances_equal_scikit_learn(put, digits, metric, dtype, rtol):
    X = digits.astype(dtype)
    ours = distances(put(X), metric=metric, block_bytes=300 * 8 * 37)
    assert ours.dtype == dtype
    expected = pairwise_distances(X.astype(np.float64), metric=metric)
    np.testing.assert_allclose(ours, expected, rtol=rtol, atol=1e-15)


def test_blocks_tile_the_rows_and_keep_to_their_size(digits):
    blocks = list(ops.distance_blocks(digits, metric="l1", block_bytes=300 * 8 * 37))
    assert [start for start, _, _ in blocks] == list(range(0, 300, 37))
    assert blocks[-1][1] == 300
    assert all(D.shape == (stop - start, 300) for start, stop, D in blocks)


def test_block_smaller_than_a_row_has_one_row(digits):
    assert len(list(ops.distance_blocks(digits, metric="euclidean", block_bytes=1))) == 300


def test_results_stay_on_the_device_of_the_input(digits):
    _, _, D = next(ops.distance_blocks(on_strict(digits), metric="cosine"))
    assert D.device == DEVICE


@pytest.mark.parametrize("metric", ops.METRICS)
def test_distance_to_itself_is_exactly_zero(put, metric):
    X = np.random.default_rng(0).normal(size=(50, 7)).astype(np.float32)
    np.testing.assert_array_equal(np.diag(distances(put(X), metric=metric)), 0.0)


def test_float32_near_duplicates_far_from_the_origin_keep_their_digits(put):
    rng = np.random.default_rng(0)
    # Pairs a hundredth apart, groups a hundred apart, all of it at ten thousand.
    X = np.repeat(rng.normal(size=(40, 4)) * 100, 2, axis=0) + rng.normal(size=(80, 4)) * 0.01
    X = (X + 1e4).astype(np.float32)
    gaps = X[:, None, :].astype(np.float64) - X[None, :, :]
    expected = np.sqrt((gaps**2).sum(axis=2))
    np.testing.assert_allclose(distances(put(X), metric="euclidean"), expected, rtol=1e-4)


def test_cosine_of_nearly_parallel_float32_vectors_keeps_its_digits(put):
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(60, 5)) * 1e-2 + 1.0).astype(np.float32)  # distances of 1e-4
    u = X.astype(np.float64)
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    expected = 0.5 * ((u[:, None, :] - u[None, :, :]) ** 2).sum(axis=2)
    np.testing.assert_allclose(distances(put(X), metric="cosine"), expected, rtol=1e-3, atol=1e-12)


@pytest.mark.parametrize("metric", ops.METRICS)
def test_duplicates_are_at_distance_zero(put, metric):
    X = np.array([[0.1, 0.7], [0.1, 0.7], [5.3, -2.2]], dtype=np.float32)
    D = distances(put(X), metric=metric)
    assert D[0, 1] == D[1, 0] == 0.0
    assert D[0, 2] > 0.1


def test_zero_vector_is_at_cosine_distance_one_from_all_others(put):
    X = np.array([[0.0, 0], [1, 2], [0, 0], [3, -1]])
    D = distances(put(X), metric="cosine")
    np.testing.assert_allclose(D, pairwise_distances(X, metric="cosine"), atol=1e-15)
    assert D[0, 2] == 1.0


def test_cosine_does_not_depend_on_the_length_of_vectors(digits):
    X = digits[:20]
    scale = 10.0 ** np.linspace(-200, 200, 20)[:, None]
    expected = distances(X, metric="cosine")
    np.testing.assert_allclose(distances(X * scale, metric="cosine"), expected, atol=1e-14)


@pytest.mark.parametrize(("dtype", "out"), [(np.int64, np.float64), (np.float16, np.float32)])
def test_integers_and_halves_are_widened(dtype, out):
    X = np.array([[0, 0], [3, 4]], dtype=dtype)
    D = distances(X, metric="euclidean")
    assert D.dtype == out
    np.testing.assert_allclose(D, [[0, 5], [5, 0]], rtol=1e-6)


@pytest.mark.parametrize("metric", ops.METRICS)
def test_no_rows_give_no_blocks(put, metric):
    assert list(ops.distance_blocks(put(np.zeros((0, 3))), metric=metric)) == []


@pytest.mark.parametrize("metric", ops.METRICS)
def test_one_row_is_at_distance_zero(put, metric):
    np.testing.assert_array_equal(distances(put(np.ones((1, 3))), metric=metric), [[0.0]])


@pytest.mark.parametrize(
    ("X", "options", "says"),
    [
        (np.ones(3), {}, r"shape \(3,\)"),
        (np.array([[1.0, np.inf]]), {}, "infinity"),
        (np.eye(2), {"block_bytes": 0}, "block_bytes is 0"),
    ],
)
def test_bad_input_is_refused_at_the_call(X, options, says):
    with pytest.raises(InputError, match=says):
        ops.distance_blocks(X, metric="euclidean", **options)


def test_unknown_metric_is_refused():
    with pytest.raises(UnknownNameError, match="chebyshev"):
        ops.distance_blocks(np.eye(2), metric="hamming")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_segment_sums_of_many_codings_equal_bincount_and_leave_other_codes_out(put, dtype):
    rng = np.random.default_rng(0)
    values = rng.random((40, 10_000)).astype(dtype)  # several pieces, several runs of columns
    sizes = [3, 65, 400]
    codings = [rng.integers(-1, k + 1, 10_000) for k in sizes]
    sums = ops.segment_summer([put(codes) for codes in codings], n_segments=sizes)
    ours = to_host(sums(put(values)))
    expected = [
        np.stack([np.bincount(codes[keep], row[keep], minlength=k) for row in values])
        for codes, k in zip(codings, sizes, strict=True)
        for keep in [(codes >= 0) & (codes < k)]
    ]
    np.testing.assert_allclose(ours, np.concatenate(expected, axis=1), rtol=1e-6)
    assert ours.dtype == np.float64


def test_segment_sums_of_float32_are_made_in_float64_on_numpy():
    values = np.full((1, 100_000), 0.1, dtype=np.float32)
    sums = ops.segment_summer([np.zeros(100_000, dtype=int)], n_segments=[1])
    assert sums(values)[0, 0] == pytest.approx(100_000 * float(np.float32(0.1)), rel=1e-12)


def test_empty_segment_sums_to_zero(put):
    sums = ops.segment_summer([put(np.array([0, 0, 199]))], n_segments=[200])
    total = to_host(sums(put(np.array([[1.0, 2.0, 4.0]]))))
    assert total[0, 0] == 3.0 and total[0, 199] == 4.0 and total.sum() == 7.0


def test_default_block_has_enough_rows_and_bounded_bytes():
    # 20,000 rows of float32 make 80 kB each: 64 rows are 5.1 MB.
    start, stop, D = next(ops.distance_blocks(np.zeros((20_000, 1), dtype=np.float32)))
    assert (start, stop) == (0, 64)
    assert D.shape == (64, 20_000)

"""Conversion of torch tensors to CuPy: shared memory if safe, else a copy, in stream order."""

import contextlib
import logging
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

from gpuclust.device import dlpack, memory

HALVES = [torch.bfloat16, torch.float16]


# ---- CPU tensors --------------------------------------------------------------------------------


def test_a_cpu_tensor_becomes_a_numpy_array_of_the_same_memory():
    tensor = torch.arange(6.0).reshape(2, 3)
    array = dlpack.from_torch(tensor)
    assert array.ctypes.data == tensor.data_ptr()
    tensor[1, 2] = 9
    assert array.tolist() == [[0, 1, 2], [3, 4, 9]]


@pytest.mark.parametrize("dtype", HALVES)
def test_half_precision_becomes_float32(dtype):
    array = dlpack.from_torch(torch.tensor([1.5, -2.0], dtype=dtype))
    assert array.dtype == np.float32
    assert array.tolist() == [1.5, -2.0]


@pytest.mark.parametrize("dtype", [torch.float64, torch.int64, torch.bool])
def test_other_dtypes_stay(dtype):
    assert (
        dlpack.from_torch(torch.ones(2, dtype=dtype)).dtype
        == torch.ones(2, dtype=dtype).numpy().dtype
    )


def test_the_array_is_contiguous_and_detached_from_the_gradient():
    tensor = torch.arange(6.0, requires_grad=True).reshape(2, 3).T
    array = dlpack.from_torch(tensor)
    assert array.flags.c_contiguous
    assert array.tolist() == [[0, 3], [1, 4], [2, 5]]


def test_an_inference_mode_tensor_can_be_converted():
    with torch.inference_mode():
        tensor = torch.ones(3)
    assert dlpack.from_torch(tensor).sum() == 3


# ---- the order of streams, on a fake CuPy -------------------------------------------------------


@pytest.fixture
def streams(monkeypatch):
    """Fake CuPy with a record of the calls per stream; streams are numbers."""
    state = SimpleNamespace(current=0, done=[])

    class Stream:
        def __init__(self, ptr):
            self.ptr = ptr

        def __enter__(self):
            self.before, state.current = state.current, self.ptr

        def __exit__(self, *_):
            state.current = self.before

        def record(self):
            state.done.append(("record", self.ptr))
            return SimpleNamespace(ptr="event")

    class Array:
        def copy(self):
            state.done.append(("copy", state.current))
            return "copied"

    def from_dlpack(tensor):
        state.done.append(("import", state.current))
        return Array()

    def wait(stream, event):
        state.done.append(("wait", stream, event))

    Stream.null = Stream(0)
    cupy = ModuleType("cupy")
    cupy.from_dlpack = from_dlpack
    cupy.cuda = SimpleNamespace(
        Stream=Stream,
        get_current_stream=lambda: Stream(state.current),
        runtime=SimpleNamespace(streamWaitEvent=wait),
    )
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    return state


def imported(maker):
    return dlpack._imported(torch.ones(2), SimpleNamespace(cuda_stream=maker))


@pytest.mark.parametrize(("maker", "user"), [(0, 0), (0, 2), (2, 0), (77, 77)])
def test_between_default_streams_and_within_one_nothing_is_copied(streams, maker, user):
    streams.current = user
    assert type(imported(maker)).__name__ == "Array"
    assert [step[0] for step in streams.done] == ["import"]


def test_the_legacy_stream_replaces_the_per_thread_stream_refused_by_torch(streams):
    streams.current = 2
    imported(0)
    assert streams.done == [("import", 0)]
    assert streams.current == 2


@pytest.mark.parametrize(
    ("maker", "user", "on"), [(77, 0, 0), (77, 2, 0), (0, 88, 88), (77, 88, 88)]
)
def test_between_other_streams_a_copy_is_made_before_the_memory_is_used_again(
    streams, maker, user, on
):
    streams.current = user
    assert imported(maker) == "copied"
    assert streams.done == [("import", on), ("copy", on), ("record", on), ("wait", maker, "event")]


# ---- rows on a device ---------------------------------------------------------------------------


@pytest.fixture
def on_gpu(monkeypatch):
    """CPU tensors claim to be on a GPU with 1,000 free bytes."""
    monkeypatch.setattr(torch.Tensor, "is_cuda", True)
    monkeypatch.setattr(memory, "free_bytes", lambda: 1000)
    monkeypatch.setattr(dlpack, "from_torch", lambda tensor: ("CuPy", tensor))


def gathered(n, batches):
    rows = dlpack.Rows(n)
    for batch in batches:
        rows.add(batch)
    return rows.array()


def test_batches_become_one_array_in_their_order(on_gpu):
    batches = [torch.full((size, 4), float(size)) for size in (5, 5, 2)]
    name, rows = gathered(12, batches)
    assert name == "CuPy"
    assert torch.equal(rows, torch.cat(batches))


def test_with_skipped_images_the_array_has_fewer_rows(on_gpu):
    _, rows = gathered(12, [torch.ones(5, 4), torch.ones(3, 4)])
    assert rows.shape == (8, 4)
    assert rows.is_contiguous()


def test_cpu_batches_are_not_collected(monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda: pytest.fail("asked a GPU"))
    assert gathered(5, [torch.ones(5, 4)]) is None


@pytest.mark.parametrize(("n", "kept"), [(31, True), (32, False)])
def test_half_of_the_free_memory_is_reserved_for_clustering(on_gpu, caplog, n, kept):
    with caplog.at_level(logging.WARNING, "gpuclust"):
        array = gathered(n, [torch.ones(2, 4), torch.ones(2, 4)])
    assert (array is not None) == kept
    assert [record.args[0] for record in caplog.records] == ([] if kept else [(n, 4)])


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("no"), contextlib.nullcontext()),
        (RuntimeError("cudaErrorIllegalAddress"), pytest.raises(RuntimeError, match="Illegal")),
    ],
)
def test_fragmented_free_memory_is_not_an_error(on_gpu, monkeypatch, error, expected):
    def refuse(*_, **__):
        raise error

    batch = torch.ones(2, 4)
    monkeypatch.setattr(torch, "empty", refuse)
    with expected:
        assert gathered(4, [batch, batch]) is None


# ---- on a device --------------------------------------------------------------------------------


@pytest.mark.gpu
def test_on_a_device_the_memory_is_shared_and_kept_alive():
    import cupy

    tensor = torch.arange(6.0, device="cuda").reshape(2, 3)
    pointer = tensor.data_ptr()
    array = dlpack.from_torch(tensor)
    assert array.data.ptr == pointer
    del tensor
    torch.zeros(6, device="cuda")  # would reuse the memory if it were free
    assert array.get().tolist() == [[0, 1, 2], [3, 4, 5]]
    with cupy.cuda.Stream.ptds:
        assert dlpack.from_torch(torch.ones(3, device="cuda")).sum().get() == 3


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", HALVES)
def test_on_a_device_half_precision_becomes_float32(dtype):
    array = dlpack.from_torch(torch.tensor([1.5, -2.0], dtype=dtype, device="cuda"))
    assert array.dtype == np.float32
    assert array.get().tolist() == [1.5, -2.0]


def busy(tensor, times=60):
    """Queue work of some milliseconds on the current stream."""
    for _ in range(times):
        tensor = tensor @ tensor
        tensor /= tensor.norm()
    return tensor


@pytest.mark.gpu
@pytest.mark.parametrize("explicit", [True, False])
def test_on_a_device_cupy_waits_for_another_stream(explicit):
    other, work = torch.cuda.Stream(), torch.rand(4096, 4096, device="cuda")
    torch.cuda.synchronize()
    with torch.cuda.stream(other):
        out = torch.zeros(1 << 20, device="cuda")
        busy(work)
        out.fill_(7)
        if not explicit:
            array = dlpack.from_torch(out)
    if explicit:
        array = dlpack.from_torch(out, other)
    assert not other.query(), "the work ended before the conversion: queue more"
    assert float(array.sum()) == 7 * (1 << 20)


@pytest.mark.gpu
def test_on_a_device_memory_of_another_stream_is_not_reused_too_early():
    import cupy

    other, user = torch.cuda.Stream(), cupy.cuda.Stream(non_blocking=True)
    work = cupy.random.rand(4096, 4096, dtype=cupy.float32)
    torch.cuda.synchronize()
    for _ in range(5):
        with torch.cuda.stream(other):
            out = torch.full((1 << 20,), 7.0, device="cuda")
        with user:
            for _ in range(20):
                work = work @ work
                work /= cupy.linalg.norm(work)
            array = dlpack.from_torch(out, other)
            del out
            with torch.cuda.stream(other):
                torch.full((1 << 20,), 8.0, device="cuda")
            total = array.sum()
        user.synchronize()
        assert float(total) == 7 * (1 << 20)


@pytest.mark.gpu
def test_on_a_device_rows_are_collected_as_a_cupy_array():
    import cupy

    array = gathered(12, [torch.full((size, 4), float(size), device="cuda") for size in (5, 3)])
    assert isinstance(array, cupy.ndarray)
    assert array.dtype == np.float32
    assert array[:, 0].get().tolist() == [5] * 5 + [3] * 3

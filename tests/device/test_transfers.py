"""Counting what crosses: the parser of traces, and the guard that finds who copies."""

import json
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

from gpuclust.device import transfers
from gpuclust.errors import BackendError

MIB = 1 << 20
HERE = Path(__file__).name


# ---- traces -------------------------------------------------------------------------------------


def copy(name, size, **args):
    """A copy as libkineto writes it."""
    facts = {"device": 0, "context": 1, "stream": 7, "correlation": 41, "bytes": size}
    facts["memory bandwidth (GB/s)"] = 11.5
    return {
        "ph": "X", "cat": "gpu_memcpy", "name": name, "pid": 0, "tid": 7,
        "ts": 5141212094.5, "dur": 91.2, "args": facts | args,
    }  # fmt: skip


KERNEL = {
    "ph": "X", "cat": "kernel", "name": "void at::native::vectorized_elementwise_kernel<4>(int)",
    "pid": 0, "tid": 7, "ts": 5141212090.1, "dur": 1.2,
    "args": {"device": 0, "stream": 7, "correlation": 9, "grid": [1, 1, 1], "bytes": 99},
}  # fmt: skip
OTHERS = [
    {"ph": "M", "name": "process_name", "pid": 0, "tid": 0, "ts": 0, "args": {"name": "python"}},
    {"ph": "X", "cat": "cuda_runtime", "name": "cudaMemcpyAsync", "pid": 4, "tid": 4, "ts": 5.0,
     "dur": 100.0, "args": {"cbid": 41, "correlation": 41}},
    {"ph": "X", "cat": "gpu_memset", "name": "Memset (Device)", "pid": 0, "tid": 7, "ts": 5.0,
     "dur": 1.0, "args": {"device": 0, "bytes": 4096}},
    {"ph": "s", "id": 41, "pid": 4, "tid": 4, "ts": 5.0, "cat": "ac2g", "name": "ac2g"},
    {"name": "Record Window End", "ph": "i", "s": "g", "pid": "", "tid": "", "ts": 9.0},
]  # fmt: skip
TRACE = {
    "schemaVersion": 1,
    "deviceProperties": [{"id": 0, "name": "NVIDIA H200"}],
    "displayTimeUnit": "ms",
    "baseTimeNanoseconds": 1790000000000000000,
    "traceEvents": [
        *OTHERS,
        KERNEL,
        copy("Memcpy DtoH (Device -> Pageable)", 1),
        copy("Memcpy DtoH (Device -> Pinned)", MIB),
        copy("Memcpy DtoH (Device -> Pageable)", MIB + 1),
        copy("Memcpy HtoD (Pageable -> Device)", 300),
        copy("Memcpy HtoD (Pinned -> Device)", 7),
        copy("Memcpy DtoD (Device -> Device)", 5000),
        copy("Memcpy PtoP (Device -> Device)", 40, fromDevice=0, inDevice=0, toDevice=1),
        copy("Memcpy AtoH (Array -> Pageable)", 10),
        copy("Memcpy HtoH (Pageable -> Pinned)", 900),
    ],
    "traceName": "trace.json",
}


def test_copies_are_summed_by_where_they_go():
    assert transfers.count_copies(TRACE["traceEvents"]) == {
        "to_host": 2 * MIB + 12,
        "to_device": 307,
        "on_device": 5040,
        "to_host_large": 1,
    }


def test_a_stage_without_copies_has_zeros():
    zeros = {"to_host": 0, "to_device": 0, "on_device": 0, "to_host_large": 0}
    assert transfers.count_copies([*OTHERS, KERNEL]) == zeros


def test_a_trace_in_which_nothing_ran_on_a_gpu_is_an_error_and_not_zero():
    events = [event for event in OTHERS if event.get("cat") != "gpu_memset"]
    with pytest.raises(BackendError, match=r"CUPTI recorded nothing.*--cap-add=SYS_ADMIN"):
        transfers.count_copies(events)


def test_a_copy_of_unknown_kind_is_an_error():
    with pytest.raises(BackendError, match=r"'Memcpy <unknown> \(Unknown -> Device\)', 5 bytes"):
        transfers.count_copies([copy("Memcpy <unknown> (Unknown -> Device)", 5)])


def test_what_torch_really_exports_can_be_read():
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as real:
        torch.ones(3).sum()
    events = transfers._events_of(real)
    assert "aten::sum" in {event["name"] for event in events}
    with pytest.raises(BackendError, match="recorded nothing"):
        transfers.count_copies(events)


@pytest.fixture
def profiler(monkeypatch):
    """A profiler that records TRACE, on a machine where torch sees a device."""
    state = SimpleNamespace(steps=[], start=lambda: None)

    class Profile:
        def __init__(self, activities):
            state.activities = activities

        def start(self):
            state.start()
            state.steps.append("start")

        def stop(self):
            state.steps.append("stop")

        def export_chrome_trace(self, path):
            Path(path).write_text(json.dumps(TRACE))

    monkeypatch.setattr(torch.profiler, "profile", Profile)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: state.steps.append("synchronize"))
    monkeypatch.setattr(torch, "zeros", lambda *_, **__: state.steps.append("seen"))
    return state


def test_a_stage_is_traced_from_end_to_end(profiler):
    with transfers.trace() as found:
        assert found == {}
        profiler.steps.append("stage")
    steps = ["synchronize", "start", "seen", "stage", "synchronize", "stop"]
    assert profiler.steps == steps
    assert profiler.activities == [torch.profiler.ProfilerActivity.CUDA]
    assert found == transfers.count_copies(TRACE["traceEvents"])


def test_a_stage_that_fails_ends_the_trace(profiler):
    with pytest.raises(ZeroDivisionError), transfers.trace() as found:
        raise ZeroDivisionError
    assert profiler.steps[-1] == "stop"
    assert found == {}


def test_a_second_profiler_is_an_error_that_says_what_to_do(profiler):
    def refuse():
        raise RuntimeError("Profiler is already enabled on this thread")

    profiler.start = refuse
    with (
        pytest.raises(BackendError, match=r"already enabled.*end the other one"),
        transfers.trace(),
    ):
        pytest.fail("began")


def test_without_a_device_nothing_can_be_traced(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BackendError, match="sees no CUDA device"), transfers.trace():
        pytest.fail("began")


# ---- the guard ----------------------------------------------------------------------------------


class OnDevice(torch.Tensor):
    """A tensor that passes for one of a GPU; what its methods return does not."""

    is_cuda = True
    __torch_function__ = torch._C._disabled_torch_function_impl


@pytest.fixture
def cupy(monkeypatch):
    """A CuPy whose arrays lie on the host, but say otherwise."""

    class _Base:
        __cuda_array_interface__ = property(lambda self: pytest.fail("made a costly property"))

        def __init__(self, values):
            self.values, self.nbytes = np.asarray(values), np.asarray(values).nbytes

        def get(self):
            return self.values

        def item(self):
            return self.get().item()

        def tolist(self):
            return self.get().tolist()

    fake = ModuleType("cupy")
    fake.__spec__ = ModuleSpec("cupy", None)
    fake.ndarray = type("ndarray", (_Base,), {"get": _Base.get})
    exec("def asnumpy(array): return array.get()", vars(fake))  # in the module itself
    monkeypatch.setitem(sys.modules, "cupy", fake)
    return fake


def lines_of(crossings):
    return [(one.call, one.bytes) for one in crossings.seen]


def test_each_way_to_the_host_is_counted_once(cupy):
    array = cupy.ndarray(np.ones(6, np.float32))
    with transfers.guard() as crossings:
        assert len(array.get()) == 6
        assert array.tolist() == [1.0] * 6
        assert cupy.ndarray(np.float64(2)).item() == 2
        cupy.asnumpy(array)
    assert lines_of(crossings) == [
        ("ndarray.get", 24),
        ("ndarray.tolist", 24),
        ("ndarray.item", 8),
        ("ndarray.get", 24),
    ]
    assert (crossings.calls, crossings.bytes) == (4, 80)


def test_a_crossing_is_blamed_on_our_line_and_not_on_cupys(cupy):
    with transfers.guard() as crossings:
        cupy.asnumpy(cupy.ndarray([1]))
        line = sys._getframe().f_lineno - 1
    assert [one.site for one in crossings.seen] == [f"{__file__}:{line}"]


def test_tensors_of_a_gpu_are_counted_and_those_of_the_cpu_are_not(monkeypatch):
    for name in ("cpu", "to"):
        monkeypatch.setattr(torch.Tensor, name, lambda self, *_: self.as_subclass(torch.Tensor))
    tensor = torch.ones(5).as_subclass(OnDevice)
    with transfers.guard() as crossings:
        for one in (torch.ones(5), tensor):
            one.cpu(), one.to("cpu"), one.tolist(), one.numpy(), one[0].item()
    names = ["Tensor.cpu", "Tensor.to", "Tensor.tolist", "Tensor.numpy"]
    assert lines_of(crossings) == [(name, 20) for name in names]


def test_moving_on_the_device_is_no_crossing(monkeypatch):
    tensor = torch.ones(5).as_subclass(OnDevice)
    monkeypatch.setattr(torch.Tensor, "to", lambda self, *_: tensor)
    with transfers.guard() as crossings:
        tensor.to(torch.float64)
    assert crossings.calls == 0


def test_a_call_that_fails_copied_nothing(cupy):
    cupy.ndarray.get = lambda self: 1 / 0
    with transfers.guard() as crossings:
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                cupy.ndarray([1]).tolist()
    assert crossings.calls == 0


@pytest.mark.parametrize("fails", [False, True])
def test_afterwards_all_is_as_before(cupy, fails):
    before = [dict(vars(cls)) for cls in (cupy.ndarray, torch.Tensor)]
    with pytest.raises(KeyError) if fails else transfers.guard(), transfers.guard():
        assert vars(cupy.ndarray)["get"] is not before[0]["get"]
        if fails:
            raise KeyError
    assert [dict(vars(cls)) for cls in (cupy.ndarray, torch.Tensor)] == before


def test_what_is_within_the_budget_passes(cupy):
    with transfers.guard(8):
        cupy.ndarray(np.float64(1)).item()


def test_what_is_over_the_budget_names_every_call_the_largest_first(cupy):
    with pytest.raises(transfers.TransferError) as caught, transfers.guard(100):
        cupy.ndarray(np.ones(1)).item()
        cupy.ndarray(np.ones(100)).get()
    first, second, third = str(caught.value).splitlines()
    assert first == "808 bytes were copied to the host in 2 calls; 100 are allowed:"
    assert HERE in second
    assert second.endswith("ndarray.get, 800 bytes")
    assert third.endswith("ndarray.item, 8 bytes")


def test_of_many_calls_twenty_are_named(cupy):
    array = cupy.ndarray(np.ones(1))
    with pytest.raises(AssertionError, match=r"\.\.\. and 5 more$"), transfers.guard(0):
        [array.item() for _ in range(25)]


def test_an_error_of_the_block_is_not_hidden_by_the_budget(cupy):
    with pytest.raises(KeyError), transfers.guard(0):
        cupy.ndarray(np.ones(1)).item()
        raise KeyError


def test_the_methods_of_the_real_cupy_can_be_watched():
    real = pytest.importorskip("cupy")
    before = dict(vars(real.ndarray))
    with transfers.guard():
        assert {"get", "item", "tolist"} <= set(vars(real.ndarray))
    assert dict(vars(real.ndarray)) == before
    assert "__cuda_array_interface__" in dir(real.ndarray)


# ---- on a device --------------------------------------------------------------------------------


@pytest.mark.gpu
def test_on_a_device_the_trace_finds_exactly_what_was_copied():
    import cupy

    host = np.ones(2 * MIB, np.uint8)
    tensor, array = torch.ones(3 * MIB, dtype=torch.uint8, device="cuda"), cupy.asarray(host)
    for _ in range(2):  # the first one of a process starts CUPTI
        with transfers.trace() as found:
            tensor.cpu()
            array[: MIB // 2].get()
            cupy.asarray(host)
            torch.from_numpy(host).cuda()
            array.copy()
        assert found["to_host"] == 3 * MIB + MIB // 2
        assert found["to_device"] == 4 * MIB
        assert found["on_device"] >= 2 * MIB
        assert found["to_host_large"] == 1


@pytest.mark.gpu
def test_on_a_device_cuml_is_traced_too():
    import cuml
    import cupy

    X = cupy.random.rand(1000, 8, dtype=cupy.float32)
    with transfers.trace() as found:
        cuml.KMeans(n_clusters=5, random_state=0, output_type="cupy").fit(X)
    assert 0 < found["to_host"] < 1 << 20
    with transfers.trace() as found:
        cuml.KMeans(n_clusters=5, random_state=0, output_type="numpy").fit(X.get())
    assert found["to_device"] >= X.nbytes


@pytest.mark.gpu
def test_on_a_device_traces_do_not_nest_and_the_next_one_works():
    with pytest.raises(BackendError), transfers.trace(), transfers.trace():
        pytest.fail("began")
    with transfers.trace() as found:
        torch.ones(4, device="cuda").cpu()
    assert found["to_host"] == 16


@pytest.mark.gpu
def test_on_a_device_the_guard_sees_real_copies():
    import cupy

    array, tensor = cupy.ones(10, dtype=cupy.float32), torch.ones(10, device="cuda")
    with transfers.guard() as crossings:
        array.get(), cupy.asnumpy(array), array.sum().item(), array.tolist()
        tensor.cpu(), tensor.to("cpu"), tensor.sum().item(), tensor.tolist()
        tensor.to(torch.float64)
    assert [one.bytes for one in crossings.seen] == [40, 40, 4, 40] * 2

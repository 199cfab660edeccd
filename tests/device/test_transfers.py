"""Host-device copies: the parser of traces, and tracing of a stage."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from gpuclust.device import transfers
from gpuclust.errors import BackendError

MIB = 1 << 20


# ---- traces -------------------------------------------------------------------------------------


def copy(name, size, **args):
    """Return the event of a copy in libkineto's format."""
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


def test_copies_are_summed_by_direction():
    assert transfers.count_copies(TRACE["traceEvents"]) == {
        "to_host": 2 * MIB + 12,
        "to_device": 307,
        "on_device": 5040,
        "to_host_large": 1,
    }


def test_a_stage_without_copies_has_zeros():
    zeros = {"to_host": 0, "to_device": 0, "on_device": 0, "to_host_large": 0}
    assert transfers.count_copies([*OTHERS, KERNEL]) == zeros


def test_a_trace_without_gpu_events_is_an_error_and_not_zero():
    events = [event for event in OTHERS if event.get("cat") != "gpu_memset"]
    with pytest.raises(BackendError, match=r"CUPTI recorded nothing.*--cap-add=SYS_ADMIN"):
        transfers.count_copies(events)


def test_a_copy_of_unknown_kind_is_an_error():
    with pytest.raises(BackendError, match=r"'Memcpy <unknown> \(Unknown -> Device\)', 5 bytes"):
        transfers.count_copies([copy("Memcpy <unknown> (Unknown -> Device)", 5)])


def test_a_real_trace_of_torch_can_be_read():
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as real:
        torch.ones(3).sum()
    events = transfers._events_of(real)
    assert "aten::sum" in {event["name"] for event in events}
    with pytest.raises(BackendError, match="recorded nothing"):
        transfers.count_copies(events)


@pytest.fixture
def profiler(monkeypatch):
    """Fake profiler with the events of TRACE; torch claims to have a device."""
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


def test_the_whole_stage_is_traced(profiler):
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


def test_a_second_profiler_is_an_error_with_advice(profiler):
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


# ---- on a device --------------------------------------------------------------------------------


@pytest.mark.gpu
def test_on_a_device_the_trace_counts_every_byte():
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
def test_on_a_device_nested_traces_fail_and_the_next_one_works():
    with pytest.raises(BackendError), transfers.trace(), transfers.trace():
        pytest.fail("began")
    with transfers.trace() as found:
        torch.ones(4, device="cuda").cpu()
    assert found["to_host"] == 16

"""Device memory: allocator of each library, peak of a stage, and out-of-memory errors.

The fakes count like RMM; one section compares them with the real RMM where it is installed.
"""

import logging
import subprocess
import sys
import textwrap
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

from gpuclust.device import memory
from gpuclust.errors import GpuclustError

GIB = 1 << 30


class CudaMemoryResource:
    pass


class ManagedMemoryResource:
    pass


class PoolMemoryResource:
    def __init__(self, upstream, initial_pool_size=None):
        self.upstream, self.size = upstream, initial_pool_size

    def pool_size(self):
        return self.size


class StatisticsResourceAdaptor:
    """Fake of RMM's counters: a stack; a popped counter is added to the one below."""

    def __init__(self, upstream):
        self.upstream, self.stack = upstream, [SimpleNamespace(current_bytes=0, peak_bytes=0)]

    @property
    def allocation_counts(self):
        return self.stack[-1]

    def take(self, size):
        top = self.stack[-1]
        top.current_bytes += size
        top.peak_bytes = max(top.peak_bytes, top.current_bytes)

    def push_counters(self):
        self.stack.append(SimpleNamespace(current_bytes=0, peak_bytes=0))
        return self.stack[-2]

    def pop_counters(self):
        popped, below = self.stack.pop(), self.stack[-1]
        below.peak_bytes = max(below.peak_bytes, below.current_bytes + popped.peak_bytes)
        below.current_bytes += popped.current_bytes
        return popped


def module(name, **attributes):
    made = ModuleType(name)
    vars(made).update(attributes)
    return made


@pytest.fixture
def rapids(monkeypatch):
    """Fake RMM and CuPy with 80 GiB of free device memory, as in a new process."""
    state = SimpleNamespace(current=CudaMemoryResource(), free=80 * GIB, cupy=None, torch=[])
    classes = (
        CudaMemoryResource,
        ManagedMemoryResource,
        PoolMemoryResource,
        StatisticsResourceAdaptor,
    )
    mr = module(
        "rmm.mr",
        **{cls.__name__: cls for cls in classes},
        available_device_memory=lambda: (state.free, 141 * GIB),
        get_current_device_resource=lambda: state.current,
        set_current_device_resource=lambda resource: setattr(state, "current", resource),
    )
    allocators = {"cupy": module("rmm.allocators.cupy", rmm_cupy_allocator="RMM for CuPy")}
    state.plug = module("rmm.allocators.torch", rmm_torch_allocator="RMM for torch")
    cuda = SimpleNamespace(
        set_allocator=lambda allocator: setattr(state, "cupy", allocator),
        is_available=lambda: True,
    )
    state.fake_cupy = module("cupy", cuda=cuda)
    fakes = [module("rmm", mr=mr), mr, module("rmm.allocators"), allocators["cupy"], state.plug]
    for fake in [*fakes, state.fake_cupy]:
        monkeypatch.setitem(sys.modules, fake.__name__, fake)
    monkeypatch.setattr(torch.cuda.memory, "change_current_allocator", state.torch.append)
    monkeypatch.setattr(memory, "_shared", None)
    return state


def torch_has_its_own(monkeypatch, peak=0, **changes):
    """Make torch claim to use CUDA with its own allocator."""
    values = {
        "is_initialized": lambda: True,
        "is_available": lambda: True,
        "get_allocator_backend": lambda: "native",
        "reset_peak_memory_stats": lambda: None,
        "max_memory_allocated": lambda: peak,
    }
    for name, value in (values | changes).items():
        monkeypatch.setattr(torch.cuda, name, value)


# ---- the layouts --------------------------------------------------------------------------------


def test_torch_cupy_and_cuml_allocate_from_one_counted_pool(rapids):
    assert memory.share_pool().name == "shared"
    assert isinstance(rapids.current, StatisticsResourceAdaptor)
    assert isinstance(rapids.current.upstream, PoolMemoryResource)
    assert isinstance(rapids.current.upstream.upstream, CudaMemoryResource)
    assert (rapids.cupy, rapids.torch) == ("RMM for CuPy", ["RMM for torch"])


def test_a_second_call_changes_nothing(rapids):
    first, resource = memory.share_pool(), rapids.current
    assert memory.share_pool() is first
    assert rapids.current is resource
    assert len(rapids.torch) == 1


@pytest.mark.parametrize(
    ("free", "first"), [(80 * GIB, GIB), (GIB, GIB // 8), (GIB - 1, GIB // 8 - 256), (100, 0)]
)
def test_the_pool_starts_with_1_gib_or_an_eighth_of_the_free_memory(rapids, free, first):
    rapids.free = free
    memory.share_pool()
    assert rapids.current.upstream.size == first


def test_torch_used_before_keeps_its_allocator_with_a_warning(rapids, monkeypatch, caplog):
    def refuse(_):
        raise RuntimeError("Can't swap an already initialized allocator\nException raised from ...")

    monkeypatch.setattr(torch.cuda.memory, "change_current_allocator", refuse)
    with caplog.at_level(logging.WARNING, "gpuclust"):
        layout = memory.share_pool()
    assert layout.name == "split"
    assert "already initialized allocator)" in layout.reason
    assert rapids.cupy == "RMM for CuPy"
    assert "torch had used CUDA before" in caplog.text


def test_torch_without_cuda_is_not_changed(rapids):
    rapids.plug.rmm_torch_allocator = None
    layout = memory.share_pool()
    assert layout == ("split", "CuPy and cuML share an RMM pool; torch sees no CUDA device")


def test_an_existing_resource_is_kept_and_counted(rapids):
    rapids.current = mine = ManagedMemoryResource()
    layout = memory.share_pool()
    assert layout.name == "given"
    assert "ManagedMemoryResource" in layout.reason
    assert "torch has its own allocator" in layout.reason
    assert rapids.current.upstream is mine
    assert rapids.torch == []


def test_existing_counters_are_used(rapids, monkeypatch):
    torch_has_its_own(monkeypatch, get_allocator_backend=lambda: "pluggable")
    rapids.current = mine = StatisticsResourceAdaptor(PoolMemoryResource(CudaMemoryResource()))
    assert memory.share_pool().reason.endswith("torch too")
    assert rapids.current is mine
    with memory.stage_peak() as peak:
        mine.take(7)
    assert peak.bytes == 7


# ---- peaks --------------------------------------------------------------------------------------


def test_without_a_pool_there_is_no_peak_and_no_import(monkeypatch):
    monkeypatch.setattr(memory, "_shared", None)
    before = set(sys.modules)
    with memory.stage_peak() as peak:
        pass
    assert peak == memory.Peak(None, None)
    assert set(sys.modules) == before


def test_a_peak_includes_earlier_allocations(rapids):
    memory.share_pool()
    rapids.current.take(100)
    for _ in range(2):
        with memory.stage_peak() as peak:
            rapids.current.take(50)
            rapids.current.take(-50)
            rapids.current.take(20)
            rapids.current.take(-20)
        assert peak == memory.Peak(150, None)


def test_a_failed_stage_has_a_peak_too(rapids):
    memory.share_pool()
    with pytest.raises(MemoryError), memory.stage_peak() as peak:
        rapids.current.take(9)
        raise MemoryError
    assert peak.bytes == 9
    assert len(rapids.current.stack) == 1


def test_nested_stages_are_measured(rapids):
    memory.share_pool()
    rapids.current.take(100)
    with memory.stage_peak() as outer:
        rapids.current.take(10)
        with memory.stage_peak() as inner:
            rapids.current.take(1)
            rapids.current.take(-111)
    assert (outer.bytes, inner.bytes) == (111, 111)


def test_the_peak_of_torchs_own_allocator_is_added(rapids, monkeypatch):
    memory.share_pool()
    resets = []
    torch_has_its_own(monkeypatch, peak=1000, reset_peak_memory_stats=lambda: resets.append(1))
    with memory.stage_peak() as peak:
        rapids.current.take(7)
    assert peak == memory.Peak(1007, 1000)
    assert resets == [1]


# ---- free memory --------------------------------------------------------------------------------


def test_unused_memory_of_the_pool_is_free(rapids, monkeypatch):
    memory.share_pool()
    torch_has_its_own(monkeypatch, get_allocator_backend=lambda: "pluggable")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (5 * GIB, 0))
    rapids.current.take(100)
    with memory.stage_peak():
        rapids.current.take(20)
        assert memory.free_bytes() == 6 * GIB - 120


def test_unused_memory_in_torchs_cache_is_free(monkeypatch):
    torch_has_its_own(monkeypatch)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (1000, 0))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: 50)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda: 30)
    assert memory.free_bytes() == 1020


def test_with_a_given_resource_only_the_drivers_free_memory_counts(rapids, monkeypatch):
    rapids.current = ManagedMemoryResource()
    memory.share_pool()
    torch_has_its_own(monkeypatch, get_allocator_backend=lambda: "pluggable")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (1000, 0))
    assert memory.free_bytes() == 1000


# ---- running out --------------------------------------------------------------------------------


def numpy_error():
    try:
        np.empty(1 << 48, np.float64)
    except MemoryError as error:
        return error


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        numpy_error(),
        type("OutOfMemoryError", (MemoryError,), {})("Out of memory allocating 8 bytes"),
        torch.OutOfMemoryError("Tried to allocate 2 TiB"),
        MemoryError("std::bad_alloc: out_of_memory: CUDA error at: cuda_memory_resource.hpp"),
        RuntimeError("std::bad_alloc: out_of_memory: RMM failure at: pool_memory_resource.cpp:40"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("cudaErrorMemoryAllocation: out of memory"),
        RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate"),
    ],
)
def test_out_of_memory_errors_of_all_libraries_are_recognized(error):
    assert memory.is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        None,
        RuntimeError("shapes cannot be multiplied"),
        RuntimeError("cudaErrorIllegalAddress"),
        RuntimeError("CUSOLVER_STATUS_NOT_INITIALIZED"),
        ValueError("out of memory"),
        GpuclustError("out of memory on cuda with a single image"),
    ],
)
def test_other_errors_are_not_out_of_memory(error):
    assert not memory.is_out_of_memory(error)


def test_an_error_caused_by_out_of_memory_counts():
    error = GpuclustError("the encoder does not fit")
    error.__cause__ = MemoryError()
    assert memory.is_out_of_memory(error)


def test_releasing_empties_the_caches_of_torch_and_cupy(rapids, monkeypatch):
    freed = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: freed.append("torch"))
    for name in ("default_memory", "default_pinned_memory"):
        pool = SimpleNamespace(free_all_blocks=lambda name=name: freed.append(name))
        setattr(rapids.fake_cupy, f"get_{name}_pool", lambda pool=pool: pool)
    memory.release()
    assert freed == ["torch", "default_memory", "default_pinned_memory"]


def test_releasing_without_a_gpu_does_nothing():
    memory.release()


# ---- the real RMM: counters and pool over a counting upstream ------------------------------------


@pytest.fixture
def upstream():
    """Resource of the real RMM with made-up addresses, without a device."""
    mr = pytest.importorskip("rmm").mr
    asked, at = [], [1 << 20]

    def allocate(size, stream):
        asked.append(size)
        at[0] += size // 256 * 256 + 256
        return at[0]

    resource = mr.CallbackMemoryResource(allocate, lambda pointer, size, stream: None)
    return SimpleNamespace(mr=mr, resource=resource, asked=asked)


def test_rmm_counts_as_the_fake_does(upstream):
    real = upstream.mr.StatisticsResourceAdaptor(upstream.resource)
    fake = StatisticsResourceAdaptor(None)
    held = []
    for step in ("+1000", "+500", "-", "push", "+3000", "-", "-", "pop", "+40"):
        if step in ("push", "pop"):
            ours, theirs = (getattr(counters, f"{step}_counters")() for counters in (fake, real))
            assert ours.current_bytes == theirs.current_bytes
            assert ours.peak_bytes == theirs.peak_bytes
        elif step == "-":
            pointer, size = held.pop()
            real.deallocate(pointer, size)
            fake.take(-size)
        else:
            held.append((real.allocate(int(step)), int(step)))
            fake.take(int(step))
        assert fake.allocation_counts.current_bytes == real.allocation_counts.current_bytes
        assert fake.allocation_counts.peak_bytes == real.allocation_counts.peak_bytes


def test_rmms_pool_doubles_or_takes_the_needed_size(upstream):
    try:
        pool = upstream.mr.PoolMemoryResource(upstream.resource, initial_pool_size=4096)
        for size in (4096, 256, 256, 100_096):
            pool.allocate(size)
    except RuntimeError as error:  # its events need a device on some versions
        pytest.skip(f"no pool without a device: {error}")
    assert upstream.asked == [4096, 4096, 100_096]
    assert pool.pool_size() == sum(upstream.asked)


def test_rmm_refuses_sizes_that_are_not_multiples_of_256(upstream):
    with pytest.raises(RuntimeError, match="multiple of 256"):
        upstream.mr.PoolMemoryResource(upstream.resource, initial_pool_size=1000)


def test_errors_of_rmm_are_recognized(upstream):
    limited = upstream.mr.LimitingResourceAdaptor(upstream.resource, 100)
    with pytest.raises(MemoryError, match="std::bad_alloc") as caught:
        limited.allocate(1000)
    assert memory.is_out_of_memory(caught.value)
    assert memory.is_out_of_memory(RuntimeError(str(caught.value)))  # as torch raises it


# ---- on a device, one process each: an allocator cannot be replaced twice -----------------------


def on_device(code):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.gpu
def test_on_a_device_all_three_are_counted_in_one_pool():
    on_device("""
        from gpuclust.device import memory
        assert memory.share_pool().name == "shared", memory.share_pool()
        import cuml, cupy, torch
        with memory.stage_peak() as peak:
            a = torch.ones(1 << 20, device="cuda")
            b = cupy.ones(1 << 20, dtype=cupy.float32)
        assert peak.torch_bytes is None
        assert 8 << 20 <= peak.bytes < 9 << 20, peak
        free = memory.free_bytes()
        c = torch.ones(64 << 20, device="cuda")
        assert (free - memory.free_bytes()) >> 20 == 256, (free, memory.free_bytes())
        with memory.stage_peak() as peak:
            cuml.KMeans(n_clusters=2, random_state=0).fit(b.reshape(-1, 2))
        assert peak.bytes > (8 + 256) << 20, peak
    """)


@pytest.mark.gpu
def test_on_a_device_torch_used_before_is_counted_separately():
    on_device("""
        import torch
        first = torch.ones(1 << 20, device="cuda")
        from gpuclust.device import memory
        assert memory.share_pool().name == "split", memory.share_pool()
        import cupy
        with memory.stage_peak() as peak:
            a = torch.ones(1 << 20, device="cuda")
            b = cupy.ones(1 << 20, dtype=cupy.float32)
        assert (peak.bytes, peak.torch_bytes) == (12 << 20, 8 << 20), peak
    """)


@pytest.mark.gpu
@pytest.mark.parametrize("first", ["memory.share_pool()", "torch.ones(1, device='cuda')"])
def test_on_a_device_a_process_recovers_from_out_of_memory(first):
    on_device(f"""
        import torch
        from gpuclust.device import memory
        {first}
        memory.share_pool()
        import cupy
        for empty in (
            lambda: torch.empty(1 << 45, device="cuda"),
            lambda: cupy.empty(1 << 45, dtype=cupy.float32),
        ):
            try:
                empty()
            except (RuntimeError, MemoryError) as error:
                assert memory.is_out_of_memory(error), repr(error)
            else:
                raise AssertionError("32 TiB cannot be allocated")
            memory.release()
        assert float(torch.ones(4, device="cuda").sum() + int(cupy.ones(4).sum())) == 8
    """)

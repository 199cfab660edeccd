"""Device memory: one pool for torch, CuPy and cuML, its peaks, and what to do when it runs out.

Each of the three would otherwise keep a cache of its own, and what one has freed the others could
not use.  Nothing here imports a library of the GPU before `share_pool` is called.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

LOG = logging.getLogger("gpuclust")
# RMM's pool takes half of the free memory at once by default, and under a maximum it grows by half
# of what is left to it: neither is fit for a card that others use.  Without a maximum it doubles,
# and takes what is needed where doubling fails.  It never gives back, so it ends at no more than
# twice the peak (or at one array that is larger than all before).  It starts at 1 GiB because
# doubling from nothing leaves a trail of small blocks that can never become one large array.
_FIRST_BYTES = 1 << 30
_FIRST_SHARE = 8  # of the free memory, where that is less
_ALIGNMENT = 256  # RMM refuses an initial size that is no multiple of it
# What C++ says through whichever binding: RMM raises std::bad_alloc, which Cython makes a
# MemoryError and torch a RuntimeError; cuBLAS and cuSOLVER have a status; torch's CPU allocator has
# two wordings.
_SAID = (
    "std::bad_alloc",
    "out_of_memory",
    "out of memory",
    "_STATUS_ALLOC_FAILED",
    "DefaultCPUAllocator: can't allocate",
    "DefaultCPUAllocator: not enough memory",
)


class Layout(NamedTuple):
    """Who allocates where.

    Attributes
    ----------
    name : {"shared", "split", "given"}
        ``shared``: torch, CuPy and cuML use one RMM pool.  ``split``: CuPy and cuML do, torch keeps
        its own.  ``given``: the process had chosen an RMM resource before, which stays.
    reason : str
        Why this one, in words.
    """

    name: str
    reason: str


@dataclass
class Peak:
    """The most device memory that was held during a stage, filled in when it ends.

    Attributes
    ----------
    bytes : int or None
        What was held before the stage is included; None where no pool is shared.  Where torch has
        its own allocator its peak is added, and as the two need not have come at the same moment,
        this is then an upper bound.
    torch_bytes : int or None
        The part that torch's own allocator adds; None where torch uses the pool.
    """

    bytes: int | None = None
    torch_bytes: int | None = None


class _Shared(NamedTuple):
    """What `share_pool` set up.

    `counters` is the statistics adaptor on top, `pool` RMM's pool or None for a resource that was
    given, `below` what was held when each of the running stages began.
    """

    layout: Layout
    counters: Any
    pool: Any | None
    below: list[int]


# Allocators belong to the process, so this does too.
_shared: _Shared | None = None


def share_pool() -> Layout:
    """Let torch, CuPy and cuML allocate from one RMM pool, and count what they hold.

    To be called before anything is allocated on the device.  Another call changes nothing and
    returns the same layout.  The pool is that of the current device.

    Torch takes another allocator only before it first touches CUDA in this process (allocating,
    asking for a device's name).  Later than that it keeps its own; then call `release` when the
    encoder is done, or its cache stays taken.
    """
    global _shared
    if _shared is None:
        _shared = _set_up()
        layout = _shared.layout
        level = logging.WARNING if layout.name == "split" else logging.DEBUG
        LOG.log(level, "memory layout %s: %s", layout.name, layout.reason)
    return _shared.layout


def _set_up() -> _Shared:
    import cupy
    import rmm.mr
    from rmm.allocators.cupy import rmm_cupy_allocator

    current = rmm.mr.get_current_device_resource()
    given = type(current) is not rmm.mr.CudaMemoryResource
    pool = None if given else _new_pool(rmm.mr)
    if isinstance(current, rmm.mr.StatisticsResourceAdaptor):
        counters = current
    else:
        counters = rmm.mr.StatisticsResourceAdaptor(current if given else pool)
        rmm.mr.set_current_device_resource(counters)
    cupy.cuda.set_allocator(rmm_cupy_allocator)
    layout = _given(current) if given else _with_torch()
    return _Shared(layout, counters, pool, [])


def _new_pool(mr: Any) -> Any:
    free, _ = mr.available_device_memory()
    first = min(_FIRST_BYTES, free // _FIRST_SHARE) // _ALIGNMENT * _ALIGNMENT
    return mr.PoolMemoryResource(mr.CudaMemoryResource(), initial_pool_size=first)


def _given(resource: Any) -> Layout:
    torch_too = "too" if _torch_plugged() else "not: it has its own"
    return Layout(
        "given",
        f"this process had set the RMM resource {type(resource).__name__} before, which is kept; "
        f"CuPy and cuML use it, torch {torch_too}",
    )


def _with_torch() -> Layout:
    """Move torch into the pool too, or say why it cannot."""
    import torch
    from rmm.allocators.torch import rmm_torch_allocator

    if rmm_torch_allocator is None:
        return Layout("split", "CuPy and cuML share an RMM pool; torch sees no CUDA device")
    try:
        torch.cuda.memory.change_current_allocator(rmm_torch_allocator)
    except RuntimeError as error:
        return Layout(
            "split",
            "CuPy and cuML share an RMM pool; torch had used CUDA before and keeps its own "
            f"allocator ({str(error).splitlines()[0]})",
        )
    return Layout("shared", "torch, CuPy and cuML allocate from one RMM pool")


def _torch_plugged() -> bool:
    """Whether torch has a plugged-in allocator, which here can only be RMM's."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return False
    return torch.cuda.get_allocator_backend() == "pluggable"


def _torch_apart() -> Any | None:
    """Return torch when it is using CUDA with an allocator of its own."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized() or _torch_plugged():
        return None
    return torch


@contextlib.contextmanager
def stage_peak() -> Iterator[Peak]:
    """Measure the most device memory that is held while the block runs.

    The counters are the process's: a stage in another thread counts too.  Without `share_pool`
    nothing is measured, at no cost.

    Yields
    ------
    Peak
        Filled in when the block ends, also by an error.
    """
    peak = Peak()
    if _shared is None:
        yield peak
        return
    counters, below = _shared.counters, _shared.below
    # New counters begin at zero, whatever is held.
    below.append(counters.push_counters().current_bytes)
    if torch := _torch_apart():
        torch.cuda.reset_peak_memory_stats()
    try:
        yield peak
    finally:
        peak.bytes = sum(below) + counters.pop_counters().peak_bytes
        below.pop()
        if torch := _torch_apart():
            peak.torch_bytes = torch.cuda.max_memory_allocated()
            peak.bytes += peak.torch_bytes


def free_bytes() -> int:
    """Count the device bytes that torch can still have: the driver's and those its allocator keeps.

    Fragments count as free, so leave a margin.
    """
    import torch

    free = torch.cuda.mem_get_info()[0]
    if not _torch_plugged():
        return free + torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
    if _shared is None or _shared.pool is None:
        return free
    held = held_before_stages() + _shared.counters.allocation_counts.current_bytes
    return free + _shared.pool.pool_size() - held


def held_before_stages() -> int:
    """Count the bytes that were held when the stages that run began.

    RMM's counters begin at zero with each `stage_peak`: what they tell is to be added to this.
    """
    return 0 if _shared is None else sum(_shared.below)


def is_out_of_memory(error: BaseException | None) -> bool:
    """Tell whether an error, or one that it was raised from, says that memory ran out.

    On the host or on the device, from Python, NumPy, torch, CuPy, RMM or cuML.
    """
    while error is not None:
        if isinstance(error, MemoryError):  # NumPy's and CuPy's are
            return True
        if isinstance(error, RuntimeError) and _says_memory(error):
            return True
        error = error.__cause__
    return False


def _says_memory(error: RuntimeError) -> bool:
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(error, torch.OutOfMemoryError):
        return True
    return any(text in str(error) for text in _SAID)


def release() -> None:
    """Free what nothing refers to and give the caches of torch and CuPy back to the device.

    RMM's pool keeps what it has grown to, for whoever uses it next.  After a failure, leave the
    ``except`` block first: the traceback holds the arrays of the frames that failed.
    """
    gc.collect()
    torch, cupy = sys.modules.get("torch"), sys.modules.get("cupy")
    if torch is not None:
        torch.cuda.empty_cache()  # does nothing before torch uses CUDA, or when RMM allocates
    if cupy is not None and cupy.cuda.is_available():
        cupy.get_default_memory_pool().free_all_blocks()
        cupy.get_default_pinned_memory_pool().free_all_blocks()

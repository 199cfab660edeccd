"""Device memory: one pool for torch, CuPy and cuML, its peak, and recovery when it runs out.

Without a common pool each library keeps a cache of its own, and memory freed by one is not
available to the others.  No GPU library is imported before `share_pool` is called.
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
# By default an RMM pool takes half of the free memory at once; with a maximum it grows by half of
# the remainder.  On a shared GPU both take too much.  A pool without a maximum doubles its size, or
# takes the needed size if doubling fails, and never shrinks: it ends at twice the peak at most.
# It starts at 1 GiB, because many small blocks cannot hold one large array.
_FIRST_BYTES = 1 << 30
_FIRST_SHARE = 8  # start at 1/8 of the free memory if that is less
_ALIGNMENT = 256  # RMM refuses initial sizes that are not a multiple of it
# Messages of C++ libraries: RMM's std::bad_alloc becomes a MemoryError in Cython and a RuntimeError
# in torch; cuBLAS and cuSOLVER return a status; torch's CPU allocator has two messages.
_MESSAGES = (
    "std::bad_alloc",
    "out_of_memory",
    "out of memory",
    "_STATUS_ALLOC_FAILED",
    "DefaultCPUAllocator: can't allocate",
    "DefaultCPUAllocator: not enough memory",
)


class Layout(NamedTuple):
    """Memory allocator of each GPU library.

    Attributes
    ----------
    name : {"shared", "split", "given"}
        ``shared``: torch, CuPy and cuML use one RMM pool.  ``split``: CuPy and cuML share an RMM
        pool, torch has its own allocator.  ``given``: the process had set an RMM resource before,
        which is kept.
    reason : str
        Why this layout.
    """

    name: str
    reason: str


@dataclass
class Peak:
    """Peak device memory of a stage, filled in when the stage ends.

    Attributes
    ----------
    bytes : int or None
        Peak in bytes, including memory allocated before the stage; None without a shared pool.  If
        torch has its own allocator, the peak of torch is added; the two peaks may come at different
        times, so the sum is an upper bound.
    torch_bytes : int or None
        Part of `bytes` in torch's own allocator; None if torch uses the pool.
    """

    bytes: int | None = None
    torch_bytes: int | None = None


class _Shared(NamedTuple):
    """Result of `share_pool`.

    Attributes
    ----------
    layout : Layout
        Memory allocator of each library.
    counters : rmm.mr.StatisticsResourceAdaptor
        Current RMM resource, which counts bytes.
    pool : rmm.mr.PoolMemoryResource or None
        Pool below the counters; None for the layout ``given``.
    below : list of int
        Bytes allocated at the start of each running stage, outermost first.
    """

    layout: Layout
    counters: Any
    pool: Any | None
    below: list[int]


# Global, because a process has one allocator per library.
_shared: _Shared | None = None


def share_pool() -> Layout:
    """Make torch, CuPy and cuML allocate from one RMM pool on the current device.

    Call it before the first allocation on the device.  Later calls change nothing and return the
    same layout.

    torch accepts another allocator only before it first uses CUDA in this process (an allocation,
    or a query of the device's name).  After that it keeps its own allocator: call `release` when
    the encoder is done, otherwise torch keeps its cached memory.

    Returns
    -------
    Layout
        Name of the layout and the reason.  ``split`` is logged as a warning.

    Raises
    ------
    ImportError
        CuPy or RMM is not installed.
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
    torch_too = "too" if _torch_plugged() else "has its own allocator"
    return Layout(
        "given",
        f"this process had set the RMM resource {type(resource).__name__} before, so it is kept; "
        f"CuPy and cuML use it, torch {torch_too}",
    )


def _with_torch() -> Layout:
    """Make torch use the pool, or return the reason why it cannot."""
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
    """Return whether torch has a pluggable allocator; gpuclust only plugs in RMM's."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return False
    return torch.cuda.get_allocator_backend() == "pluggable"


def _torch_apart() -> Any | None:
    """Return the module torch if it uses CUDA with its own allocator, otherwise None."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized() or _torch_plugged():
        return None
    return torch


@contextlib.contextmanager
def stage_peak() -> Iterator[Peak]:
    """Measure the peak of device memory while the block runs.

    The counters belong to the process, so allocations of other threads count too.  Before
    `share_pool` nothing is measured, at no cost.

    Yields
    ------
    Peak
        Filled in when the block ends, with or without an error.

    Examples
    --------
    >>> from gpuclust.device import memory
    >>> with memory.stage_peak() as peak:
    ...     pass
    >>> peak  # no pool is set up
    Peak(bytes=None, torch_bytes=None)
    """
    peak = Peak()
    if _shared is None:
        yield peak
        return
    counters, below = _shared.counters, _shared.below
    # New counters start at zero even if memory is allocated.
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
    """Return the device bytes available to torch: free in the driver or unused in its allocator.

    Needs a CUDA device.  Fragmented memory counts as free, so keep a margin.
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
    """Return the bytes allocated before the running stages began.

    RMM's counters restart at zero in each `stage_peak`: add them to this number for the total.

    Examples
    --------
    >>> from gpuclust.device import memory
    >>> memory.held_before_stages()
    0
    """
    return 0 if _shared is None else sum(_shared.below)


def is_out_of_memory(error: BaseException | None) -> bool:
    """Return True for an error caused by a lack of host or device memory.

    Recognizes errors of Python, NumPy, torch, CuPy, RMM and cuML.

    Examples
    --------
    >>> from gpuclust.device import memory
    >>> memory.is_out_of_memory(RuntimeError("CUDA error: out of memory"))
    True
    >>> memory.is_out_of_memory(ValueError("out of memory"))
    False
    """
    while error is not None:
        if isinstance(error, MemoryError):  # base class of NumPy's and CuPy's errors
            return True
        if isinstance(error, RuntimeError) and _says_memory(error):
            return True
        error = error.__cause__
    return False


def _says_memory(error: RuntimeError) -> bool:
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(error, torch.OutOfMemoryError):
        return True
    return any(text in str(error) for text in _MESSAGES)


def release() -> None:
    """Collect garbage and return the cached memory of torch and CuPy to the device.

    RMM's pool keeps its size for later allocations.  After an error, leave the ``except`` block
    first: the traceback keeps the arrays of the failed frames alive.

    Examples
    --------
    >>> from gpuclust.device import memory
    >>> memory.release()
    """
    gc.collect()
    torch, cupy = sys.modules.get("torch"), sys.modules.get("cupy")
    if torch is not None:
        torch.cuda.empty_cache()  # no effect before torch uses CUDA, or with RMM's allocator
    if cupy is not None and cupy.cuda.is_available():
        cupy.get_default_memory_pool().free_all_blocks()
        cupy.get_default_pinned_memory_pool().free_all_blocks()

"""How large a block of work is: what the cache of a CPU holds, or a share of a device's memory.

The functions are offered by `gpuclust.arrays.distances` too.
"""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import array_api_compat

from ..errors import InputError
from . import memory

# A block that fits in the cache of a CPU makes distances twice as fast as one of 32 MiB.
CACHE_BYTES = 4 << 20
# Elsewhere a block is a kernel launch or a few, and should be large.
_DEVICE_BYTES = 256 << 20
# Work on a block makes up to a dozen arrays of its size.
_SHARE = 16

_factor: ContextVar[float] = ContextVar("share of the usual size of blocks", default=1.0)


@contextlib.contextmanager
def smaller_blocks(factor: float) -> Iterator[None]:
    """Multiply the size of all blocks by `factor`; one in the other, factors multiply.

    For work that ran out of memory.  Each block keeps one row at least.  Threads that are started
    inside do not inherit it: block sizes are settled before work is handed to threads.

    Parameters
    ----------
    factor : float
        Above 0, at most 1.
    """
    if not 0 < factor <= 1:
        raise InputError(f"factor is {factor}; it must be above 0 and at most 1.")
    token = _factor.set(_factor.get() * factor)
    try:
        yield
    finally:
        _factor.reset(token)


def block_bytes(xp: Any, *, cached: int = CACHE_BYTES, asked: int | None = None) -> int:
    """Give the size of a block: `asked`, or `cached` on NumPy, or what suits the device.

    On a device that is 256 MiB, or a sixteenth of the memory that is free where this is less.
    `smaller_blocks` scales it in any case.

    Parameters
    ----------
    xp : namespace
        Of the arrays that are worked on.
    cached : int
        Size on NumPy.
    asked : int, optional
        Size that the user wants, on any namespace.
    """
    if asked is not None:
        size = asked
    elif array_api_compat.is_numpy_namespace(xp):
        size = cached
    else:
        size = min(_DEVICE_BYTES, free_bytes(xp) / _SHARE)
    return int(size * _factor.get())


def block_rows(
    xp: Any, row_bytes: int, *, cached: int = CACHE_BYTES, asked: int | None = None
) -> int:
    """Give the rows of a block, one at least; see `block_bytes`."""
    return max(block_bytes(xp, cached=cached, asked=asked) // max(row_bytes, 1), 1)


def free_bytes(xp: Any) -> float:
    """Give the memory that arrays of this namespace can still take on the current device.

    What the driver calls free, and what the pools of CuPy and RMM hold without using it.

    Returns
    -------
    float
        Bytes; infinity where it cannot be told: for other namespaces than CuPy, and for memory of
        RMM that does not say, such as a pool without an `rmm.mr.StatisticsResourceAdaptor`.
    """
    if not array_api_compat.is_cupy_namespace(xp):
        return math.inf
    import cupy

    free = cupy.cuda.runtime.memGetInfo()[0] + cupy.get_default_memory_pool().free_bytes()
    # Imported by whoever set the pool up; without it, CuPy has its own.
    rmm = sys.modules.get("rmm")
    return free if rmm is None else free + _unused(cupy, rmm.mr.get_current_device_resource())


def _unused(cupy: Any, resource: Any) -> float:
    """Give the bytes that a memory resource of RMM holds and nothing uses.

    Resources are told apart by what they can say: adaptors that count, pools, what lies under them.
    """
    used = None
    while True:
        if hasattr(resource, "pool_handle"):
            return _unused_by_driver(cupy.cuda.runtime, resource.pool_handle())
        if hasattr(resource, "allocation_counts"):
            used = resource.allocation_counts.current_bytes + memory.held_before_stages()
        elif hasattr(resource, "get_allocated_bytes"):
            used = resource.get_allocated_bytes()
        if hasattr(resource, "pool_size"):
            return math.inf if used is None else max(resource.pool_size() - used, 0)
        if not hasattr(resource, "upstream_mr"):
            # Of those that stand alone this one holds nothing back; the others do not say.
            return 0 if type(resource).__name__ == "CudaMemoryResource" else math.inf
        resource = resource.upstream_mr


def _unused_by_driver(runtime: Any, pool: int) -> float:
    """Give what a pool of the driver (cudaMallocAsync) holds and nothing uses: it counts itself."""
    held = runtime.memPoolGetAttribute(pool, runtime.cudaMemPoolAttrReservedMemCurrent)
    return held - runtime.memPoolGetAttribute(pool, runtime.cudaMemPoolAttrUsedMemCurrent)

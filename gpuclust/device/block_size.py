"""Size of blocks of distances: the CPU cache, or a share of device memory.

`gpuclust.arrays.distances` exports these functions too.
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

# Distances are computed twice as fast in blocks that fit in a CPU cache as in blocks of 32 MiB.
CACHE_BYTES = 4 << 20
# On a device every block costs kernel launches, so blocks are large.
_DEVICE_BYTES = 256 << 20
# Work on a block allocates up to a dozen arrays of its size.
_SHARE = 16

_factor: ContextVar[float] = ContextVar("factor on the size of blocks", default=1.0)


@contextlib.contextmanager
def smaller_blocks(factor: float) -> Iterator[None]:
    """Multiply the size of all blocks by `factor`, for a retry after running out of memory.

    Nested factors multiply.  A block keeps at least one row.  Threads started inside do not inherit
    the factor: compute block sizes before work goes to threads.

    Parameters
    ----------
    factor : float
        Above 0, at most 1.

    Raises
    ------
    InputError
        `factor` is outside that range.

    Examples
    --------
    >>> import numpy as np
    >>> from gpuclust.device.block_size import block_bytes, smaller_blocks
    >>> with smaller_blocks(0.25):
    ...     block_bytes(np)
    1048576
    """
    if not 0 < factor <= 1:
        raise InputError(f"factor is {factor}; it must be above 0 and at most 1.")
    token = _factor.set(_factor.get() * factor)
    try:
        yield
    finally:
        _factor.reset(token)


def block_bytes(xp: Any, *, cached: int = CACHE_BYTES, asked: int | None = None) -> int:
    """Return the size of a block in bytes, scaled by `smaller_blocks`.

    On a device it is 256 MiB, or a sixteenth of the free device memory if that is less.

    Parameters
    ----------
    xp : namespace
        Array namespace of the input.
    cached : int
        Bytes on NumPy.
    asked : int, optional
        Bytes requested by the caller, for any namespace.

    Examples
    --------
    >>> import numpy as np
    >>> from gpuclust.device.block_size import block_bytes
    >>> block_bytes(np), block_bytes(np, asked=1000)
    (4194304, 1000)
    """
    size: float
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
    """Return the number of rows in a block, at least one; parameters as in `block_bytes`.

    Examples
    --------
    >>> import numpy as np
    >>> from gpuclust.device.block_size import block_rows
    >>> block_rows(np, row_bytes=8000)
    524
    """
    return max(block_bytes(xp, cached=cached, asked=asked) // max(row_bytes, 1), 1)


def free_bytes(xp: Any) -> float:
    """Return the free memory on the current device for arrays of this namespace.

    Free means free in the driver, or held unused by the pools of CuPy and RMM.

    Returns
    -------
    float
        Bytes.  Infinity if unknown: for namespaces other than CuPy, and for RMM resources without a
        count of used bytes, such as a pool without an `rmm.mr.StatisticsResourceAdaptor`.

    Examples
    --------
    >>> import numpy as np
    >>> from gpuclust.device.block_size import free_bytes
    >>> free_bytes(np)
    inf
    """
    if not array_api_compat.is_cupy_namespace(xp):
        return math.inf
    import cupy

    free = cupy.cuda.runtime.memGetInfo()[0] + cupy.get_default_memory_pool().free_bytes()
    # Imported by the code that set up the pool; if nothing imported it, CuPy uses its own pool.
    rmm = sys.modules.get("rmm")
    return free if rmm is None else free + _unused(cupy, rmm.mr.get_current_device_resource())


def _unused(cupy: Any, resource: Any) -> float:
    """Return the unused bytes held by an RMM memory resource.

    Resources are recognized by their methods: counting adaptors, pools, and upstream resources.
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
            # CudaMemoryResource frees at once, so it holds nothing; the others give no number.
            return 0 if type(resource).__name__ == "CudaMemoryResource" else math.inf
        resource = resource.upstream_mr


def _unused_by_driver(runtime: Any, pool: int) -> float:
    """Return the unused bytes of a driver pool (cudaMallocAsync), from its own counters."""
    held = runtime.memPoolGetAttribute(pool, runtime.cudaMemPoolAttrReservedMemCurrent)
    return held - runtime.memPoolGetAttribute(pool, runtime.cudaMemPoolAttrUsedMemCurrent)

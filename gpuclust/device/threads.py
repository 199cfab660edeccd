"""Cores, threads and compiled kernels on the CPU."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

_threads: int | None = None
# Read by OpenMP, OpenBLAS, MKL and numba, each when it is imported.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)
_ALONE = threading.Lock()


def cores() -> int:
    """Count the cores this process may use, or return the number set by `use_threads`.

    Examples
    --------
    >>> from gpuclust.device.threads import cores
    >>> cores() >= 1
    True
    """
    if _threads is not None:
        return _threads
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def use_threads(count: int) -> None:
    """Set the number of CPU threads of BLAS, OpenMP, numba, torch and gpuclust.

    Sums may round differently with another number of threads: results are equal bit for bit only
    between processes that use the same number.

    Parameters
    ----------
    count : int
        At least 1.

    Examples
    --------
    >>> from gpuclust.device.threads import cores, use_threads
    >>> use_threads(4)  # doctest: +SKIP
    >>> cores()  # doctest: +SKIP
    4
    """
    global _threads
    from threadpoolctl import threadpool_limits

    _threads = count
    for name in THREAD_VARIABLES:
        # numba refuses a changed variable once its threads run.
        if name != "NUMBA_NUM_THREADS" or "numba" not in sys.modules:
            os.environ[name] = str(count)
    threadpool_limits(count)
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(count)
    if "numba" in sys.modules:
        import numba

        started: int = vars(numba.config)["NUMBA_NUM_THREADS"]
        numba.set_num_threads(min(count, started))


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function with numba, and keep the machine code on disk where possible.

    The compiled function releases the GIL.  The compiler may reorder sums to vectorize them, the
    same way in every run.  Do not compile closures over other functions: numba's cache on disk
    never finds them again.

    Examples
    --------
    >>> from gpuclust.device.threads import compiled
    >>> @compiled
    ... def add(a, b):
    ...     return a + b
    >>> add(1, 2)
    3
    """
    import numba

    options: dict[str, Any] = {"nogil": True, "fastmath": {"nsz", "contract", "reassoc"}}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # neither the package's folder nor the home folder is writable
        return numba.njit(**options)(function)


def all_cores() -> Callable[..., None]:
    """Start one thread per core, and return a function to run work on them.

    The threads end when the returned function is garbage collected.

    Returns
    -------
    callable
        ``each(function, n, step=None)`` splits ``range(n)`` into pieces of `step`, by default two
        per core, calls ``function(start, stop)`` on each and waits.  `function` should release the
        GIL; if its result depends on the pieces, give `step`.

    Examples
    --------
    >>> import numpy as np
    >>> from gpuclust.device.threads import all_cores
    >>> each, squares = all_cores(), np.zeros(5)
    >>> def fill(start, stop):
    ...     squares[start:stop] = np.arange(start, stop) ** 2
    >>> each(fill, 5)
    >>> squares.tolist()
    [0.0, 1.0, 4.0, 9.0, 16.0]
    """
    workers = cores()
    pool = ThreadPoolExecutor(workers)

    def each(function: Callable[[int, int], Any], n: int, *, step: int | None = None) -> None:
        # Two pieces per core, so that a core busy with other work does not delay the rest.
        size = max(-(-n // (2 * workers)), 1) if step is None else step
        done = pool.map(lambda start: function(start, min(start + size, n)), range(0, n, size))
        list(done)  # raises an error of a thread here

    return each


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit BLAS to one thread while our own thread pool uses all cores.

    Idle BLAS threads spin while they wait, and would take the cores from our threads.

    Examples
    --------
    >>> import numpy as np
    >>> from gpuclust.device.threads import one_blas_thread
    >>> with one_blas_thread():
    ...     float(np.ones(3) @ np.ones(3))
    3.0
    """
    # The limit is per process: of two overlapping blocks, each would restore the other's limit.
    with _ALONE, _thread_pools().limit(limits=1, user_api="blas"):
        yield


@functools.cache
def _thread_pools() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()

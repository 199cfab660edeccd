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
# What each library reads when it is imported.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)
_ALONE = threading.Lock()


def cores() -> int:
    """Count the cores this process may use: as many as it has, or what `use_threads` said."""
    if _threads is not None:
        return _threads
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def use_threads(count: int) -> None:
    """Let this process compute with so many threads: BLAS, OpenMP, numba, torch and ours.

    Sums may round differently with another number of threads, so results are the same bit for bit
    only between processes that use as many.
    """
    global _threads
    from threadpoolctl import threadpool_limits

    _threads = count
    # numba refuses another number in its variable once its threads run.
    later = [name for name in THREAD_VARIABLES if name[:5].lower() not in sys.modules]
    os.environ.update(dict.fromkeys(later, str(count)))
    threadpool_limits(count)
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(count)
    if "numba" in sys.modules:
        import numba

        numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))


def compiled(function: Callable) -> Callable:
    """Compile by numba for threads; the machine code is kept on disk where that can be written.

    One function each: numba's cache never finds a function that closes over another.  Sums may be
    reordered, so that they are vectorised: by the compiler, the same way every time.
    """
    import numba

    options = {"nogil": True, "fastmath": {"nsz", "contract", "reassoc"}}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # neither the package nor the home can be written to
        return numba.njit(**options)(function)


def all_cores() -> Callable:
    """Return ``each(function, n, step=None)``: calls ``function(start, stop)`` until n are done.

    On as many threads as there are cores, which end with the returned function.  For functions that
    release the GIL, and whose results do not depend on the cuts or that are given a `step`.
    """
    workers = cores()
    pool = ThreadPoolExecutor(workers)

    def each(function: Callable, n: int, *, step: int | None = None) -> None:
        # Two pieces per core: a core that has other work too does not keep the rest waiting.
        step = max(-(-n // (2 * workers)), 1) if step is None else step
        done = pool.map(lambda start: function(start, min(start + step, n)), range(0, n, step))
        list(done)  # raises what a thread raised

    return each


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep products to the thread that asks for them, where all cores have threads of ours.

    Threads of BLAS wait in a loop for one another and for the next product, and take the cores from
    what else there is to do.
    """
    # Two at once would each put back what the other has set.
    with _ALONE, _thread_pools().limit(limits=1, user_api="blas"):
        yield


@functools.cache
def _thread_pools() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()

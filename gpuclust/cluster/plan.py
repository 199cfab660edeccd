"""The cluster of a run, and the start of its workers on this machine."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
from dataclasses import dataclass
from typing import Any

from ..device import backend, threads
from ..errors import InputError
from .reach import check_memory_limit

LOCALHOST = "127.0.0.1"
KINDS = "local, cuda, an address such as tcp://host:8786, or file:scheduler.json"
OWN_CLUSTER = {
    # A worker may hold the interpreter for minutes while it computes.
    "distributed.scheduler.worker-ttl": None,
    # Units wait at the scheduler, so that no worker is idle while another has a queue.
    "distributed.scheduler.worker-saturation": 1.0,
    # After two dead workers in a row run_grid decides about the unit, see grid.run.TRIES.
    "distributed.scheduler.allowed-failures": 1,
    # Workers start processes that decode images.
    "distributed.worker.daemon": False,
    # Ctrl-C is for the client alone.
    "distributed.worker.preload": ["gpuclust.cluster.preload"],
    # No pickles on the disk; a worker holds only the names of units anyway.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
}


@dataclass(frozen=True)
class Plan:
    """The cluster of a run.

    Attributes
    ----------
    scheduler : str
        ``local``: processes of this machine, on its CPU.  ``cuda``: one process per GPU of this
        machine.  An address or ``file:<scheduler file>``: a cluster that runs already.
    workers : int or None
        Number of processes to start; by default one per core or GPU.
    threads : int or None
        Threads of every worker.  By default the cores are divided among the workers that are
        started here; a cluster that runs already keeps its own number.
    memory_limit : str
        Limit of every worker that is started here, in Dask's notation (``auto``, ``8GiB``, ``0``
        for none).  A worker above it is killed, and its unit is tried again.
    """

    scheduler: str
    workers: int | None = None
    threads: int | None = None
    memory_limit: str = "auto"

    def __post_init__(self) -> None:
        if self.scheduler not in ("local", "cuda"):
            if not (self.scheduler.startswith("file:") or "://" in self.scheduler):
                raise InputError(f"unknown scheduler {self.scheduler!r}. Give {KINDS}.")
            if self.workers is not None:
                raise InputError(
                    f"--workers starts workers here, with --scheduler local or cuda. The "
                    f"workers of {self.scheduler} run already: leave --workers out."
                )
        check_memory_limit(self.memory_limit)
        for name, value in (("workers", self.workers), ("threads", self.threads)):
            if value is not None and value < 1:
                raise InputError(f"{name} must be at least 1; got {value}.")

    def threads_each(self, workers: int) -> int | None:
        """Return the threads of each worker: the given number, or an equal share of the cores."""
        if self.threads is not None or self.scheduler not in ("local", "cuda"):
            return self.threads
        return max(1, threads.cores() // workers)


def start(plan: Plan, device: str, stack: contextlib.ExitStack) -> Any:
    """Start the workers on this machine, or return None for a running cluster."""
    how = {
        "threads_per_worker": 1,  # one unit at a time, which uses threads of its own
        "host": LOCALHOST,
        "dashboard_address": f"{LOCALHOST}:0",  # any free port: two grids may run here
        "memory_limit": plan.memory_limit,
        "silence_logs": logging.ERROR,  # losses are reported by run_grid
    }
    if plan.scheduler == "local":
        if device == "gpu":
            raise InputError("--scheduler local computes on the CPU; cuda takes the GPUs.")
        from distributed import LocalCluster

        count = plan.workers or threads.cores()
        return stack.enter_context(LocalCluster(n_workers=count, processes=True, **how))
    if plan.scheduler == "cuda":
        if device == "cpu":
            raise InputError("--scheduler cuda computes on the GPUs; local takes the CPU.")
        backend.select("gpu")  # raises a clear error before dask-cuda fails
        from dask_cuda import LocalCUDACluster

        # No memory pool here: each worker makes its own, see Backend.prepare.
        given = {"n_workers": plan.workers, "resources": {"GPU": 1}, **how}
        return stack.enter_context(LocalCUDACluster(**given))
    return None


def has_pages() -> bool:
    """Return whether Dask's web pages are available."""
    return importlib.util.find_spec("bokeh") is not None

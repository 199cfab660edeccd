"""Which cluster to compute on, and the workers that we start ourselves, on this machine only."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
from dataclasses import dataclass
from typing import Any

from ..device import backend, threads
from ..errors import InputError

LOCALHOST = "127.0.0.1"
KINDS = "local, cuda, an address such as tcp://host:8786, or file:scheduler.json"
OWN_CLUSTER = {
    # A worker that computes for long without letting go of the interpreter is not dead.
    "distributed.scheduler.worker-ttl": None,
    # Nothing waits at one worker while another is idle.
    "distributed.scheduler.worker-saturation": 1.0,
    # A unit that killed two workers in a row is looked at, see grid.TRIES.
    "distributed.scheduler.allowed-failures": 1,
    # Workers may have children: the processes that decode images.
    "distributed.worker.daemon": False,
    # Nothing goes to the disk as a pickle; there is nothing to spill but the names of units.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
}


@dataclass(frozen=True)
class Plan:
    """What cluster to compute on.

    Attributes
    ----------
    scheduler : str
        ``local``: processes of this machine, on its CPU.  ``cuda``: one process per GPU of this
        machine.  An address or ``file:<scheduler file>``: a cluster that runs already.
    workers : int or None
        How many processes to start: as many as cores, or GPUs.
    threads : int or None
        Of every worker.  The cores are shared out where we start the workers; a cluster that runs
        already keeps its own.
    memory_limit : str
        Of every worker that we start, as Dask writes it (``auto``, ``8GiB``, ``0`` for none).  One
        that needs more is killed, and its unit is tried again.
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
                    f"--workers starts workers here, with --scheduler local or cuda; those of "
                    f"{self.scheduler} run already."
                )
        for name, value in (("workers", self.workers), ("threads", self.threads)):
            if value is not None and value < 1:
                raise InputError(f"{name} must be at least 1; got {value}.")

    def threads_each(self, workers: int) -> int | None:
        """Share the cores of this machine out to so many workers, unless it was said."""
        if self.threads is not None or self.scheduler not in ("local", "cuda"):
            return self.threads
        return max(1, threads.cores() // workers)


def start(plan: Plan, device: str, stack: contextlib.ExitStack) -> Any:
    """Start the workers of this machine; None for a cluster that runs already."""
    how = {
        "threads_per_worker": 1,  # one unit at a time; its own threads are ours to count
        "host": LOCALHOST,
        "dashboard_address": f"{LOCALHOST}:0",  # any free port: two grids may run here
        "memory_limit": plan.memory_limit,
        "silence_logs": logging.ERROR,  # what matters we tell ourselves
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
        backend.select("gpu")  # says why not, before dask-cuda fails in words of its own
        from dask_cuda import LocalCUDACluster

        # No pool here: each worker lays its memory out itself, see Backend.prepare.
        given = {"n_workers": plan.workers, "resources": {"GPU": 1}, **how}
        return stack.enter_context(LocalCUDACluster(**given))
    return None


def has_pages() -> bool:
    """Tell whether Dask can show its own pages."""
    return importlib.util.find_spec("bokeh") is not None

"""What a Dask worker does for us: say who it is, and compute one unit at a time."""

from __future__ import annotations

import functools
import os
import platform
import threading
from pathlib import Path

from .. import __version__
from ..cell import Unit
from ..device import backend
from ..events import Relay
from ..grid.unit import Job, Summary, work
from ..store.store import Store

# A worker with several threads would otherwise compute several units in one process.
_ALONE = threading.Lock()


def introduce(device: str) -> tuple[str, str, str]:
    """Say of this worker: version, backend, host."""
    return __version__, backend.select(device).name, platform.node()


def compute(
    unit: Unit, *, job: Job, store: Store, name: str, threads: int | None, topic: str, halt: Path
) -> Summary:
    """Compute a unit on this worker."""
    from distributed import get_worker

    worker = get_worker()
    with _ALONE:
        if halt.exists():
            return Summary(stopped=True)
        if threads is not None:
            threads.use_threads(threads)
        facts = {"worker": worker.address, "host": platform.node(), "pid": os.getpid()}
        told = Relay(functools.partial(worker.log_event, topic), stop=halt.exists, more=facts)
        done = work(unit, job, store, backend.select(name), stop=halt.exists, watcher=told)
    done.errors = []  # they are in the rows
    return done

"""Tasks of a Dask worker: report its version and backend, and compute one unit at a time."""

from __future__ import annotations

import dataclasses
import functools
import os
import platform
import threading
from pathlib import Path

from .. import __version__
from ..cell import Unit
from ..device import backend, threads
from ..embeddings.load import help_unit
from ..events import Relay, Stopped
from ..grid.unit import Run, Summary, compute_unit

# A worker with several threads would otherwise compute several units in one process.
_ALONE = threading.Lock()


def introduce(device: str) -> tuple[str, str, str]:
    """Return the version, the backend and the host of this worker."""
    return __version__, backend.select(device).name, platform.node()


def compute(unit: Unit, *, run: Run, n_threads: int | None, topic: str, halt: Path) -> Summary:
    """Compute a unit on this worker.

    Parameters
    ----------
    unit : Unit
        The unit.
    run : Run
        The run of the client; its backend is selected again here.
    n_threads : int or None
        Threads to compute with; None keeps the worker's own number.
    topic : str
        Dask topic of the progress events.
    halt : Path
        File that appears when the run is to stop.
    """
    with _ALONE:
        if halt.exists():
            return Summary(stopped=True)
        done = compute_unit(unit, _here(run, n_threads, topic, halt))
    # Both are in the rows, and need not be sent back.
    done.errors, done.units = [], []
    return done


def help_embed(unit: Unit, *, run: Run, n_threads: int | None, topic: str, halt: Path) -> int:
    """Help another worker to embed a unit; return the number of images encoded here.

    The parameters are those of `compute`.
    """
    with _ALONE:
        here = _here(run, n_threads, topic, halt)
        try:
            found = here.look_up(unit)
            return help_unit(found, here.store, here.on, here.options, here.watcher)
        except Stopped:
            return 0


def _here(run: Run, n_threads: int | None, topic: str, halt: Path) -> Run:
    """Return the run with the backend of this worker, reporting to the client."""
    from distributed import get_worker

    worker = get_worker()
    if n_threads is not None:
        threads.use_threads(n_threads)
    facts = {"worker": worker.address, "host": platform.node(), "pid": os.getpid()}
    relay = Relay(functools.partial(worker.log_event, topic), stop=halt.exists, more=facts)
    on = backend.select(run.on.name)
    return dataclasses.replace(run, on=on, watcher=relay, stop=halt.exists)

"""Grids on the workers of a Dask cluster.

A worker computes a whole unit, writes its rows to the shared folder, and sends progress events;
only units and events go over the network.  Dask starts the workers, gives them units, longest
first, and gives the unit of a dead worker to another one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib.util
import itertools
import logging
import queue
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..cell import Unit
from ..device.backend import Backend
from ..errors import BackendError, GpuclustError, InputError
from ..events import Watcher
from ..files.paths import expand
from ..grid import cost
from ..grid.run import Done, Lost
from ..grid.unit import Run, Summary, never
from ..store.store import Store
from . import reach, worker
from .helpers import Helpers, resources
from .plan import OWN_CLUSTER, Plan, has_pages, start

if TYPE_CHECKING:
    import distributed

# Longest absence of a scheduler, and longest wait for the first worker.
PATIENCE_SECONDS = 60.0
# Pause between two looks at the list of workers.
LOOK_SECONDS = 5.0


class SchedulerError(GpuclustError):
    """The scheduler or its workers cannot be reached."""


@contextlib.contextmanager
def cluster(plan: Plan, store: Store, device: str = "auto") -> Iterator[Cluster]:
    """Start or join a cluster while the block runs; a cluster started here ends with it.

    Raises
    ------
    InputError, BackendError
        For a device that the workers do not have, or Dask that is not installed.
    SchedulerError
        When there is no scheduler, or no worker has joined it.
    """
    for package in ("distributed",) + ("dask_cuda",) * (plan.scheduler == "cuda"):
        if importlib.util.find_spec(package) is None:
            extra = "gpu-cu13" if package == "dask_cuda" else "dask"
            raise BackendError(
                f"--scheduler needs {package}, which is not installed. Run "
                f'pip install "gpuclust[{extra}]".'
            )
    import dask

    with contextlib.ExitStack() as stack:
        stack.enter_context(dask.config.set(OWN_CLUSTER))
        # A lost scheduler is reported here, as one sentence and not as a traceback.
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
        started = start(plan, device, stack)
        yield stack.enter_context(contextlib.closing(Cluster(plan, store, device, started)))


class Cluster:
    """Computes units for `gpuclust.grid.run.run_grid` on the workers of a cluster.

    Attributes
    ----------
    on : Backend
        Backend of the workers.
    workers : int
        Number of workers at the start.
    dashboard : str or None
        Address of Dask's web pages about a cluster that was started here, if bokeh is installed.
    """

    def __init__(self, plan: Plan, store: Store, device: str, started: Any):
        self._plan = plan
        self._store = Store(store.root.absolute())
        self._started = started
        self._device = {"local": "cpu", "cuda": "gpu"}.get(plan.scheduler, device)
        self._client: distributed.Client | None = None
        self._numbers = itertools.count()
        client = self._connected()
        self.on, self.workers = self._ask_workers(client)
        self.dashboard = client.dashboard_link if started is not None and has_pages() else None

    def close(self) -> None:
        """Leave the cluster."""
        if self._client is not None:
            self._client.close(timeout=5)

    # ---- scheduler and workers ------------------------------------------------------------------

    def _connected(self) -> distributed.Client:
        """Return a client with a live scheduler, waiting for a lost one."""
        if client := self._running_client():
            return client
        self.close()
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                self._client = self._connect()
            except (OSError, ValueError) as error:  # a scheduler file may be half written
                if time.monotonic() > end or self._client is None:
                    raise self._unreachable(error) from error
                time.sleep(1.0)
            else:
                return self._client

    def _running_client(self) -> distributed.Client | None:
        client = self._client
        return client if client is not None and client.status == "running" else None

    def _connect(self) -> distributed.Client:
        from distributed import Client

        where = self._plan.scheduler
        if self._started is not None:
            return Client(self._started)
        if where.startswith("file:"):
            where = reach.scheduler_address(expand(where.removeprefix("file:")))
        reach.knock(where)
        return Client(where, timeout=10)

    def _unreachable(self, error: Exception) -> SchedulerError:
        return SchedulerError(
            f"no scheduler answers at {self._plan.scheduler} ({error}). Start one with `dask "
            f"scheduler`, or name another --scheduler. What was computed is kept; the same command "
            f"goes on from there."
        )

    def _ask_workers(self, client: distributed.Client) -> tuple[Backend, int]:
        """Return the backend and number of the workers; their versions must be equal."""
        try:
            client.wait_for_workers(1, timeout=PATIENCE_SECONDS)
            told = client.run(worker.introduce, self._device)
        except TimeoutError as error:
            raise SchedulerError(
                f"no worker has joined the scheduler {self._plan.scheduler} in "
                f"{PATIENCE_SECONDS:.0f} s. Start some with `dask worker`."
            ) from error
        except ModuleNotFoundError as error:
            raise InputError(
                f"the workers of {self._plan.scheduler} cannot import {error.name}. Install the "
                f"same gpuclust there."
            ) from error
        versions = {version for version, _, _ in told.values()}
        if versions != {__version__}:
            raise InputError(
                f"gpuclust is {__version__} here and {', '.join(sorted(versions))} at the workers. "
                f"Install the same version everywhere."
            )
        names = {name for _, name, _ in told.values()}
        if len(names) > 1:
            raise InputError(
                f"some workers compute on the CPU and some on a GPU: {_listed(told)}. Choose one "
                f"with --device cpu, or leave the others out with --device gpu."
            )
        (name,) = names
        return Backend(name, f"{len(told)} workers, {_listed(told)}", self._device), len(told)

    # ---- computing ------------------------------------------------------------------------------

    def __call__(self, run: Run, units: deque[Unit]) -> Iterator[Done | None]:
        """Compute units on the workers and yield the outcome of each; for `run_grid`."""
        heard: queue.SimpleQueue[Any] = queue.SimpleQueue()
        halt = self._store.root / "running" / f"{run.id}.stop"
        waiting: dict[Any, Unit] = {}
        helpers = Helpers()
        look = 0.0
        try:
            while waiting or units:
                if units:
                    waiting |= self._submit(run, units, heard, halt)
                if run.stop() and not halt.exists():
                    halt.parent.mkdir(parents=True, exist_ok=True)
                    halt.touch()
                if time.monotonic() > look:
                    look = time.monotonic() + LOOK_SECONDS
                    if client := self._running_client():
                        there = client.scheduler_info(n_workers=-1)["workers"]
                        run.watcher.workers(there)
                        task = self._task(worker.help_embed, run, halt)
                        helpers.submit(client, task, waiting.values(), there)
                    yield None
                with contextlib.suppress(queue.Empty):
                    said = heard.get(timeout=0.2)
                    if isinstance(said, dict):
                        helpers.hear(said)
                        run.watcher.tell(said)
                    else:
                        yield waiting.pop(said), _outcome(said)
        finally:
            if client := self._running_client():
                client.cancel(list(waiting))
                helpers.cancel(client)
            halt.unlink(missing_ok=True)
            _pass_on_the_rest(heard, run.watcher)

    def _submit(
        self, run: Run, units: deque[Unit], heard: queue.SimpleQueue[Any], halt: Path
    ) -> dict[Any, Unit]:
        """Submit the units to Dask, the longest first, and subscribe to their events."""
        client, topic = self._connected(), f"gpuclust-{run.id}"
        client.subscribe_topic(topic, lambda event: heard.put(event[1]))
        task = self._task(worker.compute, run, halt)
        needed = resources(client.scheduler_info(n_workers=-1)["workers"])
        futures = {}
        for unit, seconds in self._estimated(run, units):
            future = client.submit(
                task,
                unit,
                key=f"{topic}-{next(self._numbers)}",
                pure=False,
                priority=int(seconds),
                resources=needed,
            )
            future.add_done_callback(heard.put)
            futures[future] = unit
        return futures

    def _task(self, function: Callable[..., Any], run: Run, halt: Path) -> Callable[[Unit], Any]:
        """Return a function of a worker with everything but its unit."""
        return functools.partial(
            function,
            run=dataclasses.replace(run, store=self._store, watcher=Watcher(), stop=never),
            n_threads=self._plan.threads_each(self.workers),
            topic=f"gpuclust-{run.id}",
            halt=halt,
        )

    def _estimated(self, run: Run, units: deque[Unit]) -> list[tuple[Unit, float]]:
        """Empty the queue; a unit without an estimate counts as the longest: it is not embedded."""
        taken = [units.popleft() for _ in range(len(units))]
        seconds = [cost.estimate(unit, self._store, run.options) for unit in taken]
        longest = max((s for s in seconds if s is not None), default=0.0)
        return [
            (unit, longest + 1.0 if s is None else s)
            for unit, s in zip(taken, seconds, strict=True)
        ]


def _pass_on_the_rest(heard: queue.SimpleQueue[Any], watcher: Watcher) -> None:
    """Pass on the events from before the end of the last unit."""
    while not heard.empty():
        said = heard.get()
        if isinstance(said, dict):
            watcher.tell(said)


def _listed(told: dict[str, tuple[str, str, str]]) -> str:
    counts: dict[str, int] = {}
    for _, name, node in told.values():
        counts[f"{name} on {node}"] = counts.get(f"{name} on {node}", 0) + 1
    return ", ".join(f"{count} x {what}" for what, count in sorted(counts.items()))


def _outcome(future: distributed.Future) -> Summary | Lost:
    """Return the outcome of a unit, or raise an error to end the run."""
    from distributed import KilledWorker

    if future.status == "cancelled":
        return Lost("the scheduler went away", blamed=False)
    error = future.exception()
    if isinstance(error, KilledWorker):
        return Lost(
            f"its worker died {error.allowed_failures + 1} times in a row; out of memory is the "
            f"usual reason (the last one was {error.last_worker.name})",
            blamed=True,
        )
    if error is not None:
        raise error
    return future.result()

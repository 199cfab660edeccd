"""A grid on the workers of a Dask cluster.

A worker computes a whole unit, writes its rows itself to the folder that all share, and tells what
it does; only that crosses the network.  Dask starts the workers, gives them units, longest first,
and gives the unit of a worker that died to another one.
"""

from __future__ import annotations

import contextlib
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
from ..grid import cost
from ..grid.run import Done, Lost, Map
from ..grid.unit import Job, Summary
from ..store.store import Store
from . import worker
from .plan import OWN_CLUSTER, Plan, has_pages, start

if TYPE_CHECKING:
    import distributed

# How long a scheduler may be away, and how long the first worker may take to come.
PATIENCE_SECONDS = 60.0
# Between two looks at which workers there are.
LOOK_SECONDS = 5.0


class SchedulerError(GpuclustError):
    """A scheduler or its workers that cannot be reached."""


@contextlib.contextmanager
def cluster(plan: Plan, store: Store, device: str = "auto") -> Iterator[Cluster]:
    """Start or join a cluster for as long as the block runs; ours ends with it.

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
        # A scheduler that goes away is told by us, in a sentence and not as a traceback.
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
        started = start(plan, device, stack)
        yield stack.enter_context(contextlib.closing(Cluster(plan, store, device, started)))


class Cluster:
    """A cluster that computes units for `gpuclust.grid.run.run_grid`.

    Attributes
    ----------
    on : Backend
        What the workers compute on.
    workers : int
        How many there are at the start.
    dashboard : str or None
        Address of Dask's own pages about a cluster that we started, where bokeh is installed.
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

    # ---- who is there ---------------------------------------------------------------------------

    def _connected(self) -> distributed.Client:
        """Return a client with a live scheduler, waiting for one that went away."""
        if self._client is not None and self._client.status == "running":
            return self._client
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

    def _connect(self) -> distributed.Client:
        from distributed import Client

        where = self._plan.scheduler
        if self._started is not None:
            return Client(self._started)
        if where.startswith("file:"):
            path = Path(where.removeprefix("file:"))
            if not path.exists():
                raise FileNotFoundError(f"there is no file {path}")
            return Client(scheduler_file=str(path), timeout=10)
        return Client(where, timeout=10)

    def _unreachable(self, error: Exception) -> SchedulerError:
        return SchedulerError(
            f"no scheduler answers at {self._plan.scheduler} ({error}). Start one with `dask "
            f"scheduler`, or name another --scheduler. What was computed is kept; the same command "
            f"goes on from there."
        )

    def _ask_workers(self, client: distributed.Client) -> tuple[Backend, int]:
        """Ask the workers what they compute on; all must say the same."""
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
                f"some workers compute on the CPU and some on a GPU: {_listed(told)}. Say which "
                f"with --device cpu, or leave the others out with --device gpu."
            )
        (name,) = names
        return Backend(name, f"{len(told)} workers, {_listed(told)}", self._device), len(told)

    # ---- computing ------------------------------------------------------------------------------

    def mapper(self, stop: Callable[[], bool], watcher: Watcher) -> Map:
        """Give the function that computes units here, for `gpuclust.grid.run.run_grid`."""
        return functools.partial(self._map, stop=stop, watcher=watcher)

    def _map(
        self, job: Job, units: deque[Unit], *, stop: Callable[[], bool], watcher: Watcher
    ) -> Iterator[Done | None]:
        """Compute units on the workers and yield what became of each, as they end."""
        heard: queue.SimpleQueue[Any] = queue.SimpleQueue()
        halt = self._store.root / "running" / f"{job.run}.stop"
        waiting: dict[Any, Unit] = {}
        look = 0.0
        try:
            while waiting or units:
                if units:
                    waiting |= self._submit(job, units, heard, halt)
                if stop() and not halt.exists():
                    halt.parent.mkdir(parents=True, exist_ok=True)
                    halt.touch()
                if time.monotonic() > look:
                    look = time.monotonic() + LOOK_SECONDS
                    if self._client.status == "running":
                        watcher.workers(self._client.scheduler_info(n_workers=-1)["workers"])
                    yield None
                with contextlib.suppress(queue.Empty):
                    said = heard.get(timeout=0.2)
                    if isinstance(said, dict):
                        watcher.tell(said)
                    else:
                        yield waiting.pop(said), _outcome(said)
        finally:
            if self._client.status == "running":
                self._client.cancel(list(waiting))
            halt.unlink(missing_ok=True)
            _tell_the_rest(heard, watcher)

    def _submit(
        self, job: Job, units: deque[Unit], heard: queue.SimpleQueue[Any], halt: Path
    ) -> dict[Any, Unit]:
        """Hand the units to Dask, the longest first, and listen to what is told of them."""
        client, topic = self._connected(), f"gpuclust-{job.run}"
        client.subscribe_topic(topic, lambda event: heard.put(event[1]))
        task = functools.partial(
            worker.compute,
            job=job,
            store=self._store,
            name=self.on.name,
            threads=self._plan.threads_each(self.workers),
            topic=topic,
            halt=halt,
        )
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        gpus = any("GPU" in worker["resources"] for worker in workers)
        futures = {}
        for unit, seconds in self._estimated(job, units):
            future = client.submit(
                task,
                unit,
                key=f"{topic}-{next(self._numbers)}",
                pure=False,
                priority=int(seconds),
                resources={"GPU": 1} if gpus else None,
            )
            future.add_done_callback(heard.put)
            futures[future] = unit
        return futures

    def _estimated(self, job: Job, units: deque[Unit]) -> list[tuple[Unit, float]]:
        """Empty the queue; what cannot be estimated counts as long: it has yet to be embedded."""
        taken = [units.popleft() for _ in range(len(units))]
        seconds = [cost.estimate(unit, self._store, job.options) for unit in taken]
        longest = max((s for s in seconds if s is not None), default=0.0)
        return [
            (unit, longest + 1.0 if s is None else s)
            for unit, s in zip(taken, seconds, strict=True)
        ]


def _tell_the_rest(heard: queue.SimpleQueue[Any], watcher: Watcher) -> None:
    """Pass on what was said before the last unit was over."""
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
    """Say what became of a unit; errors that end the run are raised."""
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

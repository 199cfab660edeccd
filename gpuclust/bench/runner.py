"""Time implementations of the same work, run by run in turn, and compare their results."""

from __future__ import annotations

import contextlib
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from ..errors import GpuclustError
from .agreement import agree
from .work import Job

Say = Callable[[str], object]


class Process:
    """Worker process of one implementation.

    Attributes
    ----------
    answers : list of dict
        Answers to the runs of the current job.
    error : str or None
        Reason why the current job ended early.
    """

    def __init__(self, implementation: str, limit: float = math.inf):
        self.implementation = implementation
        self.limit = limit
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gpuclust.bench.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONWARNINGS": "ignore"},
        )

    def start(self, job: Job) -> float:
        """Load and warm up a job; return the seconds until it is ready."""
        self.job, self.answers, self.error = job, list[dict[str, Any]](), cast("str | None", None)
        begun = time.perf_counter()
        self.start_mib = self.ask(job=job._asdict())["start_mib"]
        self.ready_seconds = time.perf_counter() - begun
        return self.ready_seconds

    def run(self, seed: int) -> float:
        """Run once and return the seconds."""
        self.answers.append(self.ask(run=seed))
        return float(self.answers[-1]["seconds"])

    def arrays(self) -> dict[str, np.ndarray]:
        """Fetch the arrays of the last run."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "arrays.npz"
            self.ask(save=str(path))
            with np.load(path, allow_pickle=False) as found:
                return dict(found)

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request and wait for the answer.

        Raises
        ------
        GpuclustError
            When the worker answers with an error, dies, or takes longer than `limit` seconds.
        """
        with self._limited() as late:
            with contextlib.suppress(BrokenPipeError):  # it died; the missing answer shows it
                stdin = cast("IO[str]", self._process.stdin)
                stdin.write(json.dumps(request) + "\n")
                stdin.flush()
            line = cast("IO[str]", self._process.stdout).readline()
        work = f"{self.implementation}, {self.job.what}"
        if not line:
            code = self._process.wait()
            killed = f"was killed after {self.limit:.3g} s"
            why = killed if late.is_set() else f"ended with code {code}"
            raise GpuclustError(
                f"the process of {work} {why}; a negative exit code is a signal, -9 usually means "
                "that memory ran out."
            )
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise GpuclustError(f"{work}: {answer['error']}")
        return answer

    @contextlib.contextmanager
    def _limited(self) -> Iterator[threading.Event]:
        late = threading.Event()

        def stop() -> None:
            late.set()
            self.kill()

        timer = threading.Timer(self.limit, stop)
        if math.isfinite(self.limit):
            timer.start()
        try:
            yield late
        finally:
            timer.cancel()

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End the process at once."""
        if self.alive:
            self._process.kill()

    def stop(self) -> None:
        """End the process and wait for it."""
        self.kill()
        self._process.communicate()


class Pool(contextlib.AbstractContextManager["Pool"]):
    """Worker processes by implementation, started when a job first needs one.

    Pass the same pool to several comparisons to start each library once (a GPU library takes many
    seconds); by default every comparison has fresh processes, for memory peaks that mean one job.
    """

    def __init__(self, limit: float = math.inf):
        self._limit = limit
        self._processes: dict[str, Process] = {}

    def __exit__(self, *exc: object) -> None:
        for process in self._processes.values():
            process.stop()

    def start(self, job: Job, say: Say) -> Process:
        """Start a job in the process of its implementation; a failure is in its `error`."""
        name = job.implementation
        if name not in self._processes or not self._processes[name].alive:
            if name in self._processes:
                self._processes[name].stop()
            self._processes[name] = Process(name, self._limit)
        process = self._processes[name]
        with _recording(process):
            spent = process.start(job)
            # Some baselines compile for a minute: show that this is not timed.
            say(f"{job.what}, {name}: ready after {spent:.1f} s, outside the clock")
        return process

    def rates(self, name: str) -> dict[str, Any]:
        """Measure the roofline rates of an implementation's device, after its first job."""
        return self._processes[name].ask(rates=True)


def compare(
    jobs: Sequence[Job],
    *,
    runs: int,
    once: Collection[str] = (),
    until: float = math.inf,
    pool: Pool | None = None,
    say: Say = lambda text: None,
    save: Callable[[dict[str, Any]], object] = lambda found: None,
) -> dict[str, Any]:
    """Time several implementations of the same work in turns; run r has seed r for all of them.

    Parameters
    ----------
    jobs : sequence of Job
        The same work, one job per implementation.  The first is compared with the others.
    runs : int
        Number of runs of each implementation, after a warm-up.
    once : collection of str
        Implementations that run only once.
    until : float
        Time of `time.monotonic` after which no further turn begins; the first always does.
    pool : Pool, optional
        Processes to use and keep; fresh ones by default.
    say : callable (text), optional
        Called when an implementation is ready and after every run.
    save : callable (dict), optional
        Called with the results so far after every run.

    Returns
    -------
    dict
        ``implementations``: by name the seconds of every run, their median and spread (largest -
        smallest over the median), ``cpu_seconds`` (all processors added up), ``ready_seconds``
        (imports, loading and warm-up, outside the clock), memory peaks, ``ami`` of labels to the
        classes, or an ``error``; ``speedup``: by name of the others their median over the first
        one's; ``agreement``: of the others with the first, mean over the runs; ``between_seeds``:
        of the later runs of an implementation with its first.
    """
    with contextlib.ExitStack() as stack:
        pool = pool or stack.enter_context(Pool())
        processes = [pool.start(job, say) for job in jobs]
        arrays: dict[str, list[dict[str, np.ndarray]]] = {job.implementation: [] for job in jobs}
        for run in range(runs):
            if run and time.monotonic() > until:
                break
            # The order is reversed every second time: the second finds warm caches.
            for process in processes if run % 2 == 0 else processes[::-1]:
                name = process.implementation
                if process.error or (run and name in once):
                    continue
                with _recording(process):
                    seconds = process.run(run)
                    arrays[name].append(process.arrays())
                    work = f"{process.job.what}, {name}"
                    say(f"{work}: run {run + 1} of {runs}: {seconds:.3f} s")
                save(_results(processes, arrays))
        for process in processes:
            if not process.error:
                with _recording(process):
                    process.answers[-1] |= process.ask(peaks=True)
        return _results(processes, arrays)


@contextlib.contextmanager
def _recording(process: Process) -> Iterator[None]:
    """Record an error as the end of the job of one process; the others go on."""
    try:
        yield
    except GpuclustError as error:
        process.error = str(error)


def _results(
    processes: Sequence[Process], arrays: dict[str, list[dict[str, np.ndarray]]]
) -> dict[str, Any]:
    first, *others = (process.implementation for process in processes)
    found = {process.implementation: _summary(process) for process in processes}
    medians = {name: one["median"] for name, one in found.items() if "median" in one}
    pairs = {
        name: [agree(*pair) for pair in zip(arrays[first], arrays[name], strict=False)]
        for name in others
    }
    seeds = {name: [agree(of[0], one) for one in of[1:]] for name, of in arrays.items() if of}
    return {
        "what": processes[0].job.what,
        "n": processes[0].job.n,
        "implementations": found,
        "speedup": {
            name: medians[name] / medians[first]
            for name in others
            if name in medians and first in medians
        },
        "agreement": {name: _means(values) for name, values in pairs.items() if values},
        "between_seeds": {name: _means(values) for name, values in seeds.items() if values},
    }


def _summary(process: Process) -> dict[str, Any]:
    answers = process.answers
    found: dict[str, Any] = {"error": process.error} if process.error else {}
    if not answers:
        return found
    seconds = [answer["seconds"] for answer in answers]
    median = statistics.median(seconds)
    found |= {
        "seconds": seconds,
        "cpu_seconds": [answer["cpu_seconds"] for answer in answers],
        "median": median,
        "spread": (max(seconds) - min(seconds)) / median if median else 0.0,
        "ready_seconds": process.ready_seconds,
        "start_mib": process.start_mib,
    }
    lists = ("stages", "scores", "errors", "ami")
    found |= {key: [one[key] for one in answers if one.get(key)] for key in lists}
    return found | {key: answers[-1][key] for key in answers[-1] if key not in {*found, *lists}}


def _means(values: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.fmean(one.get(name, math.nan) for one in values) for name in values[0]}

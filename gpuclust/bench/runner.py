"""Let the sides of a comparison take turns, and say how well their results agree."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import GpuclustError
from .work import Job

Tell = Callable[[str], None]


class Side:
    """The process of one side of a comparison."""

    def __init__(self, job: Job):
        self.job = job
        self.answers: list[dict[str, Any]] = []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gpuclust.bench.worker", json.dumps(job._asdict())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONWARNINGS": "ignore"},
        )

    def ready(self) -> float:
        """Wait until it has imported, loaded and warmed up; return the seconds of that."""
        start = time.perf_counter()
        self.start_mib = self._answer()["start_mib"]
        self.ready_seconds = time.perf_counter() - start
        return self.ready_seconds

    def run(self, seed: int) -> float:
        """Run once and return the seconds."""
        self.answers.append(self._ask(run=seed))
        return self.answers[-1]["seconds"]

    def arrays(self) -> dict[str, np.ndarray]:
        """Fetch the arrays of the last run."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "arrays.npz"
            self._ask(save=str(path))
            with np.load(path, allow_pickle=False) as found:
                return dict(found)

    def end(self) -> dict[str, Any]:
        """End the process and return its peaks of memory."""
        return self._ask(end=True)

    def kill(self) -> None:
        """End the process at once; who waits for its answer, in whichever thread, gets an error."""
        if self._process.poll() is None:
            self._process.kill()

    def stop(self) -> None:
        """Leave no process behind, whatever happened."""
        self.kill()
        self._process.communicate()

    def _ask(self, **what: Any) -> dict[str, Any]:
        with contextlib.suppress(BrokenPipeError):  # it died; its answer says so
            self._process.stdin.write(json.dumps(what) + "\n")
            self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            raise GpuclustError(
                f"the process of {self.job.side} for {self.job.what} ended with code {code}; "
                "negative codes are signals, -9 usually means that memory ran out."
            )
        answer = json.loads(line)
        if "error" in answer:
            raise GpuclustError(f"{self.job.side}, {self.job.what}: {answer['error']}")
        return answer


@contextlib.contextmanager
def started(jobs: Sequence[Job], tell: Tell = lambda text: None) -> Iterator[list[Side]]:
    """Start the processes of several sides, one after another, and end them in any case."""
    sides: list[Side] = []
    try:
        for job in jobs:
            sides.append(Side(job))
            # Some peers compile for a minute: whoever waits is told that none of it is timed.
            spent = sides[-1].ready()
            tell(f"{job.what}, {job.side}: ready after {spent:.1f} s, outside the clock")
        yield sides
    finally:
        for side in sides:
            side.stop()


def compare(jobs: Sequence[Job], *, runs: int, tell: Tell = lambda text: None) -> dict[str, Any]:
    """Time several sides of one piece of work, in turns; run r has seed r on every side.

    Parameters
    ----------
    jobs : sequence of Job
        The same work, one per side.  The first is what the others are compared with.
    runs : int
        Per side, after a warm-up.
    tell : callable, optional
        Is told when a side is ready and about every run.

    Returns
    -------
    dict
        ``sides``: by name seconds of every run, their median and spread (largest - smallest over
        the median), ``cpu_seconds`` (all processors added up), ``ready_seconds`` (imports, loading
        and warm-up, outside the clock), peak of memory in MiB, joules; ``speedup``: by the other
        sides' names their median over the first one's; ``agreement`` of each with the first, mean
        over the runs.

    Raises
    ------
    GpuclustError
        When a side fails or dies.
    """
    agreement: dict[str, list[dict[str, float]]] = {job.side: [] for job in jobs[1:]}
    with started(jobs, tell) as sides:
        for run in range(runs):
            # The order is reversed every other time: who comes second finds warm caches.
            for side in sides if run % 2 == 0 else sides[::-1]:
                seconds = side.run(run)
                tell(f"{side.job.what}, {side.job.side}: run {run + 1} of {runs}: {seconds:.3f} s")
            found = [side.arrays() for side in sides]
            for side, arrays in zip(sides[1:], found[1:], strict=True):
                agreement[side.job.side].append(agree(found[0], arrays))
        told = {side.job.side: _summary(side, side.end()) for side in sides}
    first = jobs[0].side
    return {
        "what": jobs[0].what,
        "n": jobs[0].n,
        "sides": told,
        "speedup": {
            name: told[name]["median"] / told[first]["median"] for name in told if name != first
        },
        "agreement": {name: _means(values) for name, values in agreement.items()},
    }


def _summary(side: Side, end: dict[str, Any]) -> dict[str, Any]:
    seconds = [answer["seconds"] for answer in side.answers]
    median = statistics.median(seconds)
    joules = [sum(answer["joules"].values()) for answer in side.answers if answer["joules"]]
    return {
        "seconds": seconds,
        "cpu_seconds": [answer["cpu_seconds"] for answer in side.answers],
        "median": median,
        "spread": (max(seconds) - min(seconds)) / median if median else 0.0,
        "ready_seconds": side.ready_seconds,
        "start_mib": side.start_mib,
        "peak_mib": end["peak_mib"],
        "gpu_peak_bytes": end["gpu_peak_bytes"],
        "joules": statistics.median(joules) if joules else None,
        "stages": [answer["stages"] for answer in side.answers if "stages" in answer],
        "scores": [answer["scores"] for answer in side.answers if "scores" in answer],
    }


def _means(values: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.fmean(one[name] for one in values) for name in values[0]}


def agree(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> dict[str, float]:
    """Compare the arrays that two sides have in common, by name.

    Labels by the adjusted Rand index, 1 for the same clusters; reduced spaces by the share of the
    ten nearest neighbours in common, of 500 samples; scores by their largest absolute difference.
    """
    return {name: _agree(a[name], b[name]) for name in a if name in b}


def _agree(a: np.ndarray, b: np.ndarray) -> float:
    if a.dtype.kind == "f" and a.ndim == 1:
        return float(np.abs(a - b).max())
    if a.ndim == 1:
        from ..metrics import adjusted_rand_score

        return float(adjusted_rand_score(a, b))
    rows = np.random.default_rng(0).permutation(len(a))[:500]
    near = [_nearest(Z, rows) for Z in (a, b)]
    return float(np.mean([len(set(x) & set(y)) / len(x) for x, y in zip(*near, strict=True)]))


def _nearest(Z: np.ndarray, rows: np.ndarray, k: int = 10) -> np.ndarray:
    from scipy.spatial.distance import cdist

    k = min(k, len(Z) - 1)
    return np.argsort(cdist(Z[rows], Z), axis=1, kind="stable")[:, 1 : k + 1]

"""Run the jobs of one implementation in a process of its own, one JSON request per line.

Requests come on standard input:

- ``{"job": {...}}`` loads the samples, warms up and answers ``start_mib``;
- ``{"run": seed}`` runs once and answers seconds of the clock and of all processors;
- ``{"save": path}`` writes the arrays of the last run;
- ``{"rates": true}`` measures the roofline rates of the device;
- ``{"peaks": true}`` answers the memory peaks since the job was ready.

The process ends with its input.  Answers go to a descriptor of their own, because libraries print
on standard output.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from ..device import backend, memory
from . import baselines, roofline
from .work import Job, Samples, as_arrays, for_warm_up, prepare, samples


def main() -> None:
    """Answer requests until the input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    worker = Worker()
    for line in sys.stdin:
        ((request, value),) = json.loads(line).items()
        try:
            answer = getattr(worker, request)(value)
        except Exception as error:  # noqa: BLE001 - reported to the process that asked
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
    os._exit(0)  # the allocators of three GPU libraries may not agree on the order of teardown


class Worker:
    """State between the requests; every public method answers one."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._last: dict[str, Any] = {}
        self._run: Any = None

    def job(self, given: dict[str, Any]) -> dict[str, Any]:
        """Load, warm up and prepare a job; forget the one before."""
        self._run, self._last, self._given = None, {}, Samples(np.empty(0), np.empty(0))
        self._stack.close()
        gc.collect()
        self._job = job = Job(**given)
        self._given = samples(job)
        gpu = job.implementation == "gpu" and not job.dry
        self._on = backend.Backend("gpu" if gpu else "cpu", "", "")
        few = for_warm_up(self._given, job)
        k = min(job.k or len(np.unique(few.y)), 10)
        prepare(job._replace(k=k), few)(0)
        self._run = prepare(job, self._given)
        _forget_peak()
        self._start = _status("VmRSS")
        self._peak = self._stack.enter_context(memory.stage_peak())
        return {"start_mib": self._start}

    def run(self, seed: int) -> dict[str, Any]:
        """Run once; nothing else happens while the clock runs."""
        self._last = {}
        self._on.synchronize()
        cpu, start = time.process_time(), time.perf_counter()
        found = self._run(seed)
        self._on.synchronize()
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        self._last = found
        plain = {name: found[name] for name in ("stages", "scores", "errors") if name in found}
        return {"seconds": seconds, "cpu_seconds": cpu, **plain, **self._ami()}

    def save(self, path: str) -> dict[str, Any]:
        """Write the arrays of the last run."""
        np.savez(path, **as_arrays(self._last))  # type: ignore[arg-type]
        return {}

    def rates(self, _: object) -> dict[str, Any]:
        """Measure the roofline rates of the device of the last job."""
        if self._on.name == "cpu":
            return roofline.machine()._asdict()
        import cupy

        return roofline.machine(cupy, self._on.synchronize)._asdict()

    def peaks(self, _: object) -> dict[str, Any]:
        """Return memory peaks since the job was ready, and the facts of a baseline."""
        self._stack.close()
        # The two counters of the kernel are some pages apart.
        peak = max(self._start, _status("VmHWM"))
        peaks: dict[str, Any] = {"peak_mib": peak, "gpu_peak_bytes": self._peak.bytes}
        name = self._job.implementation
        if name not in baselines.BACKENDS and hasattr(module := baselines.load(name), "facts"):
            peaks |= module.facts()
        return peaks

    def _ami(self) -> dict[str, float]:
        """Score the labels of a clusterer against the classes, outside the clock."""
        if "labels" not in self._last or "score" in self._last:
            return {}
        from ..metrics import adjusted_mutual_info_score

        labels = as_arrays({"labels": self._last["labels"]})["labels"]
        return {"ami": float(adjusted_mutual_info_score(self._given.y, labels))}


def _forget_peak() -> None:
    """Reset VmHWM, so loading and warm-up do not count."""
    with contextlib.suppress(OSError):  # where /proc is read-only, they count
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _status(name: str) -> float:
    """Read a figure of this process in MiB."""
    with open("/proc/self/status", encoding="utf-8") as file:  # noqa: PTH123 - a file of the kernel
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith(name + ":"))


if __name__ == "__main__":
    main()

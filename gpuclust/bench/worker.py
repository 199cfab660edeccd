"""The process of one side: reads what to run from standard input, a line of JSON each.

``{"run": seed}`` runs once and answers seconds, of the clock and of all processors; ``{"save":
path}`` writes the arrays of the last run; ``{"end": true}`` answers the peak of memory since it was
ready and ends.  Answers are lines of JSON on a descriptor of their own: libraries print on standard
output.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from ..device import backend, memory
from . import energy
from .work import Job, as_arrays, load, prepare, small


def main(text: str) -> None:
    """Do the job that `text` describes until there is nothing more to run."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    job = Job(**json.loads(text))
    try:
        _serve(job, answers)
    except Exception as error:  # noqa: BLE001 - it is told to the process that asked
        _answer(answers, error=f"{type(error).__name__}: {error}")


def _answer(answers: TextIO, **content: Any) -> None:
    answers.write(json.dumps(content) + "\n")


def _serve(job: Job, answers: TextIO) -> None:
    X, y = load(job)
    few = small(X, y, job)
    prepare(job._replace(k=min(job.k or len(np.unique(few[1])), 10)), *few)(0)
    run, last = prepare(job, X, y), {}
    _forget_peak()
    start = _status("VmRSS")
    _answer(answers, ready=True, start_mib=start)
    with memory.stage_peak() as peak:
        for line in sys.stdin:
            asked = json.loads(line)
            if "end" in asked:
                break
            if "save" in asked:
                np.savez(asked["save"], **as_arrays(last))
                _answer(answers, saved=True)
                continue
            last = _timed(run, asked["run"], job, answers)
    # The kernel's two counters are some pages apart.
    _answer(answers, peak_mib=max(start, _status("VmHWM")), gpu_peak_bytes=peak.bytes)


def _timed(run: Any, seed: int, job: Job, answers: TextIO) -> dict[str, Any]:
    side = backend.Backend(job.side if job.side == "gpu" else "cpu", "", "")
    side.synchronize()
    joules, spent_before, start = energy.joules(), time.process_time(), time.perf_counter()
    found = run(seed)
    side.synchronize()
    seconds, cpu = time.perf_counter() - start, time.process_time() - spent_before
    spent = energy.since(joules)
    plain = {name: found[name] for name in ("stages", "scores") if name in found}
    _answer(answers, seconds=seconds, cpu_seconds=cpu, joules=spent, **plain)
    return found


def _forget_peak() -> None:
    """Let VmHWM start anew, so that it tells of the runs and not of loading or the warm-up."""
    with contextlib.suppress(OSError):  # where /proc cannot be written it tells of both
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _status(name: str) -> float:
    """Read a figure of this process in MiB."""
    with open("/proc/self/status", encoding="utf-8") as file:  # noqa: PTH123 - not a file of ours
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith(name + ":"))


if __name__ == "__main__":
    main(sys.argv[1])

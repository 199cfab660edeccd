"""Many comparisons as one result: what ran where, and every figure; written and read as JSON."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..device import backend, machine
from ..errors import GpuclustError, InputError
from . import roofline
from .runner import Tell, compare
from .work import ENGINES, Job, load, on_gpu, peer


def provenance() -> dict[str, Any]:
    """Say when, where, with which versions and at which commit."""
    threads = {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")}
    return {"date": machine.now(), "commit": _commit(), "host": machine.facts(), "threads": threads}


def _commit() -> str:
    if "GPUCLUST_COMMIT" in os.environ:
        return os.environ["GPUCLUST_COMMIT"]
    here = Path(__file__).parent
    try:
        done = subprocess.run(
            ["git", "-C", str(here), "describe", "--always", "--dirty"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


def run(
    methods: Sequence[str],
    sides: Sequence[str],
    sizes: Sequence[int] | None,
    *,
    data: str,
    k: int | None = None,
    runs: int = 3,
    tell: Tell = lambda text: None,
) -> dict[str, Any]:
    """Time every method at every size on every side; see `runner.compare`.

    A comparison that fails is recorded with its error, and the others go on.

    Raises
    ------
    InputError, BackendError
        For a side that does not exist or is not on this machine, before anything runs.
    """
    for side in sides:
        if side in ENGINES:
            backend.select(side)
        else:
            peer(side)
    X, y = load(Job("cpu", methods[0], data))
    found = {**provenance(), "data": data, "machine": roofline.machine()._asdict(), "results": []}
    rates = roofline.Machine(**found["machine"])
    for what in methods:
        for n in sizes or [len(X)]:
            jobs = [Job(side, what, data, n, k) for side in sides]
            try:
                one = compare(jobs, runs=runs, tell=tell)
            except GpuclustError as error:
                one = {"what": what, "n": n, "error": str(error)}
            for name, side in one.get("sides", {}).items():
                clusters = k or len(set(y.tolist()))
                how = {"n": n, "d": X.shape[1], "k": clusters}
                # A GPU's rates are not those of this process.
                limit = roofline.share(what, side["median"], rates, **how)
                side["of_limit"] = None if on_gpu(name) else limit
            found["results"].append(one)
    return found


def read(path: Path) -> dict[str, Any]:
    """Read a file that `gpuclust bench methods --json` wrote.

    Raises
    ------
    InputError
        When it cannot be read or is something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}.") from error
    if not isinstance(content, dict) or "results" not in content:
        raise InputError(f"{path} is not a result of `gpuclust bench methods --json`.")
    return content

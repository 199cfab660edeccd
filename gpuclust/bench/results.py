"""Run benchmark cases and write results as JSON: every figure, with machine and commit."""

from __future__ import annotations

import contextlib
import json
import math
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..device import backend, machine
from ..errors import BackendError, GpuclustError, InputError
from ..files import output
from . import baselines, inputs, roofline
from .cases import Case
from .runner import Pool, Say, compare
from .work import Job

HERE = Path(__file__).parent


def provenance(say: Say = lambda text: None) -> dict[str, Any]:
    """Return date, commit, host, versions and threads; warn where the tree has changes."""
    threads = {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")}
    commit = _commit()
    dirty = commit.endswith("-dirty")
    if dirty:
        say(
            "warning: the working tree differs from its commit, and so these results cannot be "
            'repeated ("dirty" in the JSON). Commit first if you want to keep them.'
        )
    return {
        "date": machine.now(),
        "commit": commit,
        "dirty": dirty,
        "host": machine.facts(),
        "threads": threads,
    }


def _commit() -> str:
    """Name the commit: from GPUCLUST_COMMIT where there is no git, else from git."""
    if named := os.environ.get("GPUCLUST_COMMIT"):
        return named
    command = ["git", "-C", str(HERE), "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


def run(
    cases: Mapping[str, Case],
    implementation: str,
    *,
    data: str,
    dry: bool = False,
    skip_missing: bool = False,
    pool: Pool | None = None,
    until: float = math.inf,
    say: Say = lambda text: None,
    save: Callable[[dict[str, Any]], object] = lambda found: None,
) -> dict[str, Any]:
    """Time cases: `implementation` against the baselines of each; see `runner.compare`.

    A job that fails is recorded with its error, and the others go on.

    Parameters
    ----------
    cases : mapping of str to Case
        By name.
    implementation : {"cpu", "gpu"} or str
        Backend, or a baseline.
    data : str
        An .npz file with X and y, or ``digits``.
    dry, pool, until
        See `work.Job` and `runner.compare`; cases after `until` are recorded as not run.
    skip_missing : bool
        Leave out baselines that are not installed; listed under ``missing``.
    save : callable (dict), optional
        Called with the results so far after every run.

    Raises
    ------
    InputError, BackendError
        For an unknown or missing implementation, before anything runs.
    """
    missing = _missing(implementation, cases.values(), dry=dry)
    if missing and not skip_missing:
        raise next(iter(missing.values()))
    X, y = inputs.read(data)
    rates = {"cpu": roofline.machine()._asdict()}
    results: list[dict[str, Any]] = []
    found = {**provenance(say), "data": data, "machine": rates["cpu"], "results": results}
    found["missing"] = {name: str(error) for name, error in missing.items()}
    with tempfile.TemporaryDirectory() as folder:
        files: dict[int | None, str] = {None: data}
        for name, case in cases.items():
            n = case.n or len(X)
            entry: dict[str, Any] = {"case": name, "what": case.what, "n": n}
            results.append(entry)
            if time.monotonic() > until:
                entry["not_run"] = "no time"
                continue
            d = case.components
            if d not in files:
                files[d] = inputs.components(data, d or 0, Path(folder))
            size = {"d": min(d or X.shape[1], X.shape[1]), "k": case.k or len(set(y.tolist()))}
            job = Job("", case.what, files[d], n, case.k, case.labels, dry)
            everyone = [implementation, *(one for one in case.baselines if one not in missing)]

            def keep(
                one: dict[str, Any], entry: dict[str, Any] = entry, size: dict[str, int] = size
            ) -> None:
                entry |= _with_limits(one, rates, **size)
                save(found)

            one = compare(
                [job._replace(implementation=of) for of in everyone],
                runs=case.runs,
                once=case.once,
                until=until,
                pool=pool,
                say=say,
                save=keep,
            )
            if pool and implementation == "gpu" and "gpu" not in rates:
                with contextlib.suppress(GpuclustError):  # the device failed; the case shows it
                    rates["gpu"] = found["gpu_machine"] = pool.rates("gpu")
            entry |= {} if case.target is None else {"target": case.target}
            keep(one)
    return found


def _missing(implementation: str, cases: Iterable[Case], *, dry: bool) -> dict[str, BackendError]:
    """Check all names; return the errors of baselines without their packages."""
    if implementation in baselines.BACKENDS and not dry:
        backend.select(implementation)
    missing = {}
    for name in {implementation, *(name for case in cases for name in case.baselines)}:
        try:
            if name not in baselines.BACKENDS:
                baselines.load(name)
        except BackendError as error:
            missing[name] = error
    return missing


def _with_limits(
    one: dict[str, Any], rates: dict[str, dict[str, float]], *, d: int, k: int
) -> dict[str, Any]:
    """Add the share of the machine's limit; a GPU has rates of its own."""
    for name, found in one["implementations"].items():
        known = rates.get("gpu" if baselines.on_gpu(name) else "cpu")
        if known and "median" in found:
            of = roofline.Machine(**known)
            share = roofline.share(one["what"], found["median"], of, n=one["n"], d=d, k=k)
            found["of_limit"] = share
    return one


def product(
    methods: Sequence[str],
    others: Sequence[str],
    sizes: Sequence[int] | None,
    *,
    k: int | None = None,
    runs: int = 3,
) -> dict[str, Case]:
    """Combine methods and sizes into cases, each compared with `others`."""
    return {
        f"{what}, n = {n or 'all'}": Case(what, n, tuple(others), k=k, components=None, runs=runs)
        for what in methods
        for n in sizes or (None,)
    }


def text(content: Mapping[str, Any]) -> str:
    """Write results as JSON text."""
    return json.dumps(content, indent=1) + "\n"


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON in one step: a killed process leaves the old file or the new one."""
    output.write(path, text(content))


def known(path: Path) -> dict[str, Any]:
    """Read the JSON of an earlier run; empty when there is none."""
    content: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return content


def read(path: Path) -> dict[str, Any]:
    """Read a file of ``gpuclust bench methods`` or ``bench kernels``, old keys included.

    Raises
    ------
    InputError
        When it cannot be read or is something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}.") from error
    if not isinstance(content, dict) or not isinstance(content.get("results"), list):
        raise InputError(
            f"{path} is not a result of `gpuclust bench methods --json` or `bench kernels --json`."
        )
    for one in content["results"]:
        if "sides" in one:  # the key until 0.1.0
            one["implementations"] = one.pop("sides")
    return content

"""Parts of `gpu.py`, each run in a process of its own; findings are written as they come.

python3 benchmarks/gpu.py --dry --out DIR --parts speed
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
from gpu_report import LARGE, Report
from gpu_residency import residency

from gpuclust.bench import cases, inputs, render, results
from gpuclust.bench.runner import Pool, compare
from gpuclust.bench.work import Job

ROOT = Path(__file__).resolve().parent.parent
# Share of a part's time that one answer of a worker may take: starting a GPU library is slow.
PATIENCE = 0.7


def run(args: argparse.Namespace) -> None:
    """Run the part named in `args.child`."""
    report = Report(args.folder / f"{args.child}.json")
    if args.dry:
        X, y = inputs.read(str(args.data))
        args.data = args.folder / "few-dimensions.npz"
        np.savez(args.data, X=X[:, :32], y=y)
    PARTS[args.child](args, report)
    report.running(None)


# ---- doctor and tests ---------------------------------------------------------------------------


def doctor(args: argparse.Namespace, report: Report) -> None:
    """Record every check of `gpuclust doctor`."""
    from gpuclust import doctor as of

    failed = []
    for check in of.checks(root=args.folder, fits=not args.dry):
        report.put("checks", check.name, value={"ok": check.ok, "found": check.found})
        failed += [] if check.ok is not False else [f"{check.name}: {check.found}"]
    report.put("failed", value=failed)
    report.line(f"{len(report.content['checks'])} checks, {len(failed)} failed")
    for text in failed:
        report.line(text[:300])


class Tally:
    """Pytest plugin: counts tests, and records failures and figures as they come."""

    def __init__(self, report: Report):
        self._report = report
        self.counts = {"passed": 0, "failed": 0, "skipped": 0, "error": 0}

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Put the tests of whole units first, in case the time does not suffice for all."""
        items.sort(key=lambda item: item.path.parent.name != "gpu")

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Record the beginning of a test."""
        self._report.running(nodeid)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Count a test by its call, or by the reason why it was not called."""
        if report.when != "call" and report.passed:
            return
        outcome = "error" if report.when != "call" and report.failed else report.outcome
        self._count(outcome)
        if report.failed:
            self._report.put("failures", report.nodeid, value=str(report.longrepr)[-1500:])
        if figures := [text for name, text in report.user_properties if name == "figure"]:
            self._report.put("figures", report.nodeid, value=figures)

    def pytest_collectreport(self, report: Any) -> None:
        """Record test files with a failed import."""
        if report.failed:
            self._count("error")
            last = str(report.longrepr).strip().splitlines()[-1]
            self._report.put("not_collected", report.nodeid, value=last)

    def _count(self, outcome: str) -> None:
        self.counts[outcome] += 1
        self._report.put("counts", value=dict(self.counts))


def tests(args: argparse.Namespace, report: Report) -> None:
    """Run the tests marked gpu; warnings of this host's packages are not errors."""
    missing = [m for m in ("pytest", "array_api_strict") if importlib.util.find_spec(m) is None]
    if missing:
        raise ModuleNotFoundError(f"the tests need {', '.join(missing)}: put them on PYTHONPATH")
    import pytest

    dry = [str(ROOT / "tests/methods/test_spec.py")]
    asked = dry if args.dry else ["-m", "gpu", str(ROOT / "tests")]
    options = ["-q", "-p", "no:cacheprovider", "-o", "filterwarnings="]
    options += ["--continue-on-collection-errors", "--rootdir", str(ROOT)]
    tally = Tally(report)
    code = pytest.main([*options, *asked], plugins=[tally])
    report.put("exit_code", value=int(code))
    report.line(", ".join(f"{number} {name}" for name, number in tally.counts.items()))
    for name in report.content.get("failures", {}):
        report.line(f"failed: {name}")
    for name, why in report.content.get("not_collected", {}).items():
        report.line(f"not collected: {name}: {why[:200]}")


# ---- speed, accel and kernels: comparisons as data ----------------------------------------------


def speed(args: argparse.Namespace, report: Report) -> None:
    """Compare the GPU backend with the CPU backend: a unit, five seeds, a large sample."""
    n, d = (400, 16) if args.dry else LARGE
    large = inputs.components(str(args.data), d, args.folder)
    half, end = (time.monotonic() + share * args.limit for share in (0.5, 0.9))
    with Pool(limit=PATIENCE * args.limit) as pool:
        for reducer in ("none", "pca(5)") if args.dry else ("none", "pca(50)", "umap"):
            both(args, report, pool, "study", f"unit {reducer}", runs=3, until=half)
        for what in ("kmeans", "spectral"):
            both(args, report, pool, "seeds", what, runs=5, until=end)
        # The cheapest first: the CPU may not finish.
        for what in ("kmeans", "agglomerative", "spectral", "hdbscan"):
            job = {"data": large, "n": n}
            both(args, report, pool, "large", what, runs=2, until=end, once=("cpu",), **job)


def both(
    args: argparse.Namespace, report: Report, pool: Pool, where: str, what: str, **how: Any
) -> None:
    """Time one piece of work on the GPU backend and on the CPU backend."""
    data, n = how.pop("data", str(args.data)), how.pop("n", None)
    if time.monotonic() > how["until"] and report.content.get(where):
        report.put(where, what, value={"not_run": "no time"})
        return
    jobs = [Job(name, what, data, n, dry=args.dry) for name in ("gpu", "cpu")]
    timed(jobs, report, where, pool=pool, **how)


def accel(args: argparse.Namespace, report: Report) -> None:
    """Compare the GPU backend with scikit-learn's code under cuml.accel.

    The latter begins and ends with NumPy arrays, the former with arrays on the device, as each is
    used.
    """
    other = "sklearn" if args.dry else "cuml_accel"
    components = 5 if args.dry else 50
    until = time.monotonic() + args.limit / 2
    with Pool(limit=PATIENCE * args.limit) as pool:
        for what in (f"pca({components})", "kmeans", "spectral(assign_labels=kmeans)", "hdbscan"):
            jobs = [Job(name, what, str(args.data), dry=args.dry) for name in ("gpu", other)]
            timed(jobs, report, "compared", pool=pool, runs=3, until=until)


def timed(jobs: list[Job], report: Report, where: str, **how: Any) -> None:
    """Compare jobs, save after every run, and add the medians to the summary."""
    what = jobs[0].what

    def save(one: dict[str, Any]) -> None:
        report.put(where, what, value={**one, "stages": stages(one)})

    report.running(f"{where}: {what}")
    save(compare(jobs, **how, say=report.running, save=save))
    show(report, where, report.content[where][what])


def stages(one: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Return the median seconds of every stage of a unit, by implementation."""
    found: dict[str, dict[str, float]] = {}
    for name, of in one["implementations"].items():
        for stage in (of.get("stages") or [{}])[0]:
            values = [run[stage] for run in of["stages"] if stage in run]
            found.setdefault(stage, {})[name] = statistics.median(values)
    return found


def show(report: Report, where: str, one: dict[str, Any]) -> None:
    """Add one comparison to the summary, a line per implementation."""
    header, lines = render.table({"results": [one]})
    for line in lines:
        figures = (
            f"{name} {text}" for name, text in zip(header[3:], line[3:], strict=True) if text
        )
        report.line(f"{where}: {line[0]}, n = {line[1]}, {line[2]}: {', '.join(figures)}")


def kernels(args: argparse.Namespace, report: Report) -> None:
    """Time the cases of `gpuclust.bench.cases.GPU`."""
    table = {name: case.tiny() for name, case in cases.GPU.items()} if args.dry else cases.GPU
    how: dict[str, Any] = {"data": str(args.data), "dry": args.dry, "skip_missing": True}
    how |= {"say": report.running, "save": functools.partial(save_found, report)}
    until = time.monotonic() + 0.9 * args.limit
    with Pool(limit=PATIENCE * args.limit) as pool:
        found = results.run(table, "gpu", pool=pool, until=until, **how)
    save_found(report, found)
    report.put("affinity_iteration", value=iteration(found["results"]))
    for one in found["results"]:
        show(report, one["case"], one)


def save_found(report: Report, found: dict[str, Any]) -> None:
    """Write the cases so far."""
    report.put("found", value=found)


def iteration(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the seconds of one iteration of affinity propagation, from two numbers of them."""
    few, many, more = cases.ITERATIONS
    median = {one["case"]: one.get("implementations", {}).get("gpu", {}) for one in found}
    if not all("median" in median.get(name, {}) for name in (few, many)):
        return {}
    seconds = (median[many]["median"] - median[few]["median"]) / more
    return {"seconds": seconds, "target": cases.ITERATION_TARGET}


PARTS = {
    "doctor": doctor,
    "tests": tests,
    "residency": residency,
    "speed": speed,
    "accel": accel,
    "kernels": kernels,
}

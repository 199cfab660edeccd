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

from gpuclust.bench import cases, execute, inputs, render, results
from gpuclust.bench.runner import Pool, compare
from gpuclust.bench.work import Job
from gpuclust.device.backend import Backend
from gpuclust.embeddings.data import Data
from gpuclust.methods.table import CLUSTERERS

ROOT = Path(__file__).resolve().parent.parent
LARGE = (50_000, 768)
# Share of a part's time that one answer of a worker may take: starting a GPU library is slow.
PATIENCE = 0.7


class Report:
    """Findings of a part, on the disk after every change."""

    def __init__(self, path: Path):
        self._path = path
        self.content: dict[str, Any] = {"running": None, "summary": []}

    def put(self, *keys: str, value: Any) -> None:
        """Set a value at a place in the JSON."""
        place = self.content
        for key in keys[:-1]:
            place = place.setdefault(key, {})
        place[keys[-1]] = value
        results.write(self._path, self.content)

    def running(self, what: str | None) -> None:
        """Record the next action, in case the part is killed."""
        self.put("running", value=what)

    def line(self, text: str) -> None:
        """Add a line to the summary."""
        self.put("summary", value=[*self.content["summary"], text])


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


# ---- residency ----------------------------------------------------------------------------------


def residency(args: argparse.Namespace, report: Report) -> None:
    """Trace the copies and the memory of the stages of two units and of a grid."""
    on = execute.select("gpu", dry=args.dry)
    reducers = ("none", "pca(5)") if args.dry else ("none", "umap")
    trace = not args.dry
    unit = execute.unit_of(reducers, CLUSTERERS)
    follow(on, report, "study", embedding(args, None, None), unit, trace=trace)
    n, d = (400, 16) if args.dry else LARGE
    # All iterations of affinity propagation are alike, and each kernel is an event of the trace.
    some = [f"{name}(max_iter=30)" if name == "affinity" else name for name in CLUSTERERS]
    unit = execute.unit_of(reducers, some)
    follow(on, report, "large", embedding(args, n, d), unit, trace=trace)
    grid(on, report, args)


def embedding(args: argparse.Namespace, n: int | None, d: int | None) -> Data:
    """Load the real embeddings, or `d` principal components of them with copies up to `n`."""
    path = str(args.data) if d is None else inputs.components(str(args.data), d, args.folder)
    X, y, _ = inputs.load(path, n)
    return Data(X, y, "given")


def follow(on: Backend, report: Report, where: str, data: Data, unit: Any, *, trace: bool) -> None:
    """Run a unit and record the copies, the peak and the array library of each stage."""
    from gpuclust.device import transfers

    X_bytes, size = data.X.nbytes, " x ".join(f"{length:,}" for length in data.X.shape)
    with on.watch(transfers.trace if trace else None) as loaded:
        data = on.place(data)
        on.synchronize()
    report.put(where, "embedding", value={"size": size, "bytes": X_bytes, "load": loaded})

    def note(stage: str, outcome: Any) -> None:
        if outcome is None:
            report.running(f"{where}: {stage}")
        else:
            report.put(where, "stages", stage, value=described(outcome, X_bytes))

    for _ in execute.run_unit(unit, data, on, note=note, trace=trace):
        pass
    conclude(report, where, size, type(data.X).__module__.partition(".")[0])


def described(outcome: Any, X_bytes: int) -> dict[str, Any]:
    """Describe a stage; its seconds contain compiling, loading and tracing."""
    found: dict[str, Any] = {"seconds": round(outcome.seconds, 4), **outcome.device}
    if outcome.error is not None:
        found["error"] = f"{type(outcome.error).__name__}: {outcome.error}"[:1000]
    if (array := execute.array_of(outcome.value)) is not None:
        found["array"] = f"{type(array).__module__.partition('.')[0]} {array.dtype}"
    if "to_host" in found:
        found["share_of_X"] = found["to_host"] / X_bytes
    return found


def conclude(report: Report, where: str, size: str, library: str) -> None:
    """Sum up a unit: arrays outside the library of the embedding, and the largest copies."""
    stages = report.content[where]["stages"]
    arrays = {stage: one["array"] for stage, one in stages.items() if "array" in one}
    astray = [stage for stage, of in arrays.items() if not of.startswith(library)]
    failed = [stage for stage, one in stages.items() if "error" in one]
    shares = {stage: one["share_of_X"] for stage, one in stages.items() if "share_of_X" in one}
    result: dict[str, Any] = {"library": library, "astray": astray, "failed": failed}
    if shares:
        most = max(shares, key=lambda stage: shares[stage])
        result |= {"largest_share": [most, shares[most]], "total_share": sum(shares.values())}
        peak = max((one.get("peak_bytes") or 0) for one in stages.values())
        report.line(
            f"{where} {size}: to host {100 * sum(shares.values()):.1f} % of X in all, most in "
            f"{most} ({100 * shares[most]:.1f} %), peak {peak / 2**30:.1f} GiB"
        )
    report.put(where, "result", value=result)
    report.line(f"{where}: {len(arrays)} arrays, not of {library}: {astray}; failed: {failed}")


def photographs(folder: Path, edge: int) -> Path:
    """Cut scikit-learn's two photographs into square patches: a folder of real images."""
    from PIL import Image
    from sklearn.datasets import load_sample_images

    bunch = load_sample_images()
    for name, image in zip(bunch.filenames, bunch.images, strict=True):
        place = folder / "photographs" / Path(name).stem
        place.mkdir(parents=True, exist_ok=True)
        height, width = (length // edge for length in image.shape[:2])
        for i in range(height):
            for j in range(width):
                patch = image[i * edge : (i + 1) * edge, j * edge : (j + 1) * edge]
                Image.fromarray(patch).save(place / f"{i:02}-{j:02}.png")
    return folder / "photographs"


def grid(on: Backend, report: Report, args: argparse.Namespace) -> None:
    """Run two encoders on two datasets as a grid, from images to rows."""
    from gpuclust.report import tables

    photos = f"folder:{photographs(args.folder, edge=100 if args.dry else 32)}"
    places = [(photos, "all")] if args.dry else [("digits", "all"), (photos, "all")]
    encoders = ("random/resnet50", "random/vit_base_patch16_224")
    encoders = ("raw", "random/test_resnet") if args.dry else encoders
    how = (["none"], ["kmeans"]) if args.dry else (["none", "umap"], CLUSTERERS)
    rows: list[dict[str, Any]] = []
    for dataset, split in places:
        for encoder in encoders:
            unit = execute.unit_of(*how, dataset=dataset, split=split, encoder=encoder)
            report.running(f"grid: {unit}")
            rows = execute.run_grid([unit], args.folder / "grid", on, trace=not args.dry)
            report.put("grid", "rows", value=[shortened(row) for row in rows])
    report.put("grid", "table", value=tables.transfers(rows)._asdict())
    failed = [row for row in rows if row["status"] != "ok"]
    report.line(f"grid: {len(rows)} rows, {len(failed)} failed")


def shortened(row: dict[str, Any]) -> dict[str, Any]:
    """Keep the place, stages, device figures and AMI of a row."""
    names = ("dataset", "encoder", "reducer", "clusterer", "status", "n", "d", "stages", "device")
    kept = {name: row[name] for name in names if name in row}
    return kept | {"ami": row["scores"].get("ami"), "error": row.get("error", {}).get("message")}


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

"""What the parts of `gpu.py` do, each in a process of its own; a finding is written as it comes."""

import argparse
import dataclasses
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from scaling import enlarged, write

from gpuclust import pipeline
from gpuclust.cell import Cell, Unit, units_of
from gpuclust.device import backend, transfers
from gpuclust.device.backend import Backend
from gpuclust.embeddings import load
from gpuclust.embeddings.data import Data
from gpuclust.pipeline import Outcome

STAGES = {"reduce": "reduce", "_cluster": "cluster", "_score": "score"}
LARGE = (50_000, 768)


class Report:
    """What a part found so far, on the disk after every change."""

    def __init__(self, path: Path):
        self._path = path
        self.content: dict[str, Any] = {"running": None, "summary": []}

    def put(self, *keys: str, value: Any) -> None:
        """Set a value at a place in the JSON."""
        place = self.content
        for key in keys[:-1]:
            place = place.setdefault(key, {})
        place[keys[-1]] = value
        write(self._path, self.content)

    def running(self, what: str | None) -> None:
        """Say what comes now: the last word, should the part be killed."""
        self.put("running", value=what)

    def tell(self, line: str) -> None:
        """Add a line to what is shown at the end."""
        self.put("summary", value=[*self.content["summary"], line])


def run(args: argparse.Namespace) -> None:
    """Run the part that is asked for."""
    import gpu_accel
    import gpu_residency
    import gpu_speed

    parts = {
        "doctor": doctor,
        "tests": tests,
        "residency": gpu_residency.residency,
        "speed": gpu_speed.speed,
        "accel": gpu_accel.accel,
        "accel_peer": gpu_accel.peer,
    }
    report = Report(args.folder / f"{args.child}.json")
    parts[args.child](args, report)
    report.running(None)


# ---- what the parts share -----------------------------------------------------------------------


def engine(*, dry: bool) -> Backend:
    """Give the GPU engine with its memory laid out; in a dry run the CPU engine takes its place."""
    on = backend.select("cpu" if dry else "gpu")
    on.prepare()
    return on


def real(args: argparse.Namespace) -> Data:
    """Read the real embeddings; a dry run makes do with some of their dimensions."""
    data = load.own_vectors(args.data)[1]
    few = np.ascontiguousarray(data.X[:, :32])
    return dataclasses.replace(data, X=few) if args.dry else data


def large(data: Data, *, dry: bool) -> Data:
    """Give 50,000 x 768: the real samples' principal components, repeated with a little noise."""
    from sklearn.decomposition import PCA

    n, d = (400, 16) if dry else LARGE
    d = min(d, *data.X.shape)
    Z = PCA(d, svd_solver="covariance_eigh", random_state=0).fit_transform(data.X)
    X = np.ascontiguousarray(enlarged(Z.astype(np.float32), n))
    return Data(X, np.resize(data.y, n), "large")


def unit_of(reducers: Iterable[str], clusterers: Iterable[str], **how: Any) -> Unit:
    """Every reducer with every clusterer, of the embedding that is given."""
    place = {"dataset": "given", "split": "all", "encoder": "given"}
    pairs = [(reducer, clusterer) for reducer in reducers for clusterer in clusterers]
    cells = (Cell.of(**(place | how), reducer=r, clusterer=c) for r, c in pairs)
    (unit,) = units_of(cells)
    return unit


def size(data: Data) -> str:
    """Write n x d."""
    return " x ".join(f"{length:,}" for length in data.X.shape)


def recorded(
    on: Backend, note: Callable[[str, str, Outcome], None], *, trace: bool = False
) -> Callable[..., Outcome]:
    """Return how `run_unit` runs a stage: `note` is told its kind, its name and its outcome.

    An error becomes an outcome, as in a grid; what is no stage of its own is not traced.
    """
    space = ""

    def attempt(what: str, stage: Callable[..., Any], *args: Any) -> Outcome:
        nonlocal space
        kind = STAGES.get(getattr(stage, "__name__", ""))
        if kind is None:
            return pipeline.measured(what, stage, *args, on=on)
        space = what if kind == "reduce" else space
        name = f"{space} | {what}" if kind == "score" else what
        note("begin", f"{kind}: {name}", Outcome(None, 0.0))
        start = time.perf_counter()
        try:
            outcome = pipeline.measured(
                what, stage, *args, on=on, trace=transfers.trace if trace else None
            )
        except Exception as error:  # noqa: BLE001 - one cell's failure is a result
            outcome = Outcome(None, time.perf_counter() - start, (), error)
        note(kind, f"{kind}: {name}", outcome)
        return outcome

    return attempt


def array_of(value: Any) -> Any | None:
    """Give the array that a stage handed on: a reduced space, or labels."""
    return getattr(value, "Z", getattr(value, "labels", None))


# ---- doctor -------------------------------------------------------------------------------------


def doctor(args: argparse.Namespace, report: Report) -> None:
    """Write down every check of `gpuclust doctor`."""
    from gpuclust import doctor as of

    failed = []
    for check in of.checks(root=args.folder, fits=not args.dry):
        report.put("checks", check.name, value={"ok": check.ok, "found": check.found})
        failed += [] if check.ok is not False else [f"{check.name}: {check.found}"]
    report.put("failed", value=failed)
    report.tell(f"{len(report.content['checks'])} checks, {len(failed)} failed")
    for line in failed:
        report.tell(line[:300])


# ---- tests --------------------------------------------------------------------------------------


class Tally:
    """A plugin of pytest that counts, and writes down failures and figures as they come."""

    def __init__(self, report: Report):
        self._report = report
        self.counts = {"passed": 0, "failed": 0, "skipped": 0, "error": 0}

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Put whole units first: should the time not do for all, they are the ones to know of."""
        items.sort(key=lambda item: item.path.parent.name != "gpu")

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Say which test begins."""
        self._report.running(nodeid)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Count a test by its call, or by what kept it from being called."""
        if report.when != "call" and report.passed:
            return
        outcome = "error" if report.when != "call" and report.failed else report.outcome
        self._count(outcome)
        if report.failed:
            self._report.put("failures", report.nodeid, value=str(report.longrepr)[-1500:])
        if figures := [text for name, text in report.user_properties if name == "figure"]:
            self._report.put("figures", report.nodeid, value=figures)

    def pytest_collectreport(self, report: Any) -> None:
        """Write down files that could not be read: their imports are missing here."""
        if report.failed:
            self._count("error")
            last = str(report.longrepr).strip().splitlines()[-1]
            self._report.put("not_collected", report.nodeid, value=last)

    def _count(self, outcome: str) -> None:
        self.counts[outcome] += 1
        self._report.put("counts", value=dict(self.counts))


def tests(args: argparse.Namespace, report: Report) -> None:
    """Run the tests that need a GPU; warnings of this host's packages are not errors."""
    import importlib.util

    missing = [m for m in ("pytest", "array_api_strict") if importlib.util.find_spec(m) is None]
    if missing:
        raise ModuleNotFoundError(f"the tests need {', '.join(missing)}: bring them on PYTHONPATH")
    import pytest

    root = Path(__file__).resolve().parent.parent
    asked = (
        [str(root / "tests/methods/test_spec.py")]
        if args.dry
        else ["-m", "gpu", str(root / "tests")]
    )
    options = ["-q", "-p", "no:cacheprovider", "-o", "filterwarnings="]
    options += ["--continue-on-collection-errors", "--rootdir", str(root)]
    tally = Tally(report)
    code = pytest.main([*options, *asked], plugins=[tally])
    report.put("exit_code", value=int(code))
    report.tell(", ".join(f"{number} {name}" for name, number in tally.counts.items()))
    for name in report.content.get("failures", {}):
        report.tell(f"failed: {name}")
    for name, why in report.content.get("not_collected", {}).items():
        report.tell(f"not collected: {name}: {why[:200]}")

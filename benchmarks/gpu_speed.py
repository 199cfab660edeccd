"""The part of `gpu.py` that times the CPU engine against the GPU engine and compares them."""

import argparse
import importlib.util
import itertools
import statistics
import time
import warnings
from typing import Any, NamedTuple

from recipe_gpu import Report, array_of, engine, large, real, recorded, size, unit_of

from gpuclust import pipeline
from gpuclust.arrays.transfer import to_host
from gpuclust.cell import Cell, Unit, units_of
from gpuclust.device import backend
from gpuclust.device.backend import Backend
from gpuclust.embeddings.data import Data
from gpuclust.methods.table import CLUSTERERS
from gpuclust.metrics import adjusted_rand_score
from gpuclust.pipeline import Outcome

# The first is warm-up; the rest by turns, so that drift of the host hits both.
TURNS = ("gpu", "cpu", "gpu", "cpu", "gpu")
ENOUGH = 3
SEEDS = range(5)
NOT_RUN = (
    "hdbscan: scikit-learn's trees took 150 s at 10,000 x 1,280 (benchmarks/LOG.md), and its brute "
    "force takes 20 n^2 bytes, 47 GiB at 50,000"
)


class Side(NamedTuple):
    """An engine, and the data where it works."""

    name: str
    on: Backend
    data: Data


def sides(data: Data, *, dry: bool) -> dict[str, Side]:
    """Give both engines their data."""
    gpu, cpu = engine(dry=dry), backend.select("cpu")
    return {"gpu": Side("gpu", gpu, gpu.place(data)), "cpu": Side("cpu", cpu, data)}


# ---- the two engines ----------------------------------------------------------------------------


def speed(args: argparse.Namespace, report: Report) -> None:
    """Time the study's unit on both engines by turns, then their agreement, then a large unit."""
    data, began = real(args), time.monotonic()
    both = sides(data, dry=args.dry)
    umap = importlib.util.find_spec("umap") is not None and not args.dry
    report.put("umap_on_cpu", value="umap-learn" if umap else "not run: no umap-learn, or dry")
    report.put("study", "size", value=size(data))
    study(both, report, began + 0.5 * args.limit, umap=umap, dry=args.dry)
    report.running("agreement")
    agreement(both, report)
    many = sides(large(data, dry=args.dry), dry=args.dry)
    large_unit(many, report)


def study(both: dict[str, Side], report: Report, deadline: float, *, umap: bool, dry: bool) -> None:
    """Run the unit by turns, at least three of them; then as long as time allows."""
    # Affinity propagation takes most of the time, so it is in one space only.
    parts = [unit_of(["none"], CLUSTERERS)]
    parts.append(
        unit_of(["pca(5)" if dry else "pca(50)"], [c for c in CLUSTERERS if c != "affinity"])
    )
    graph = unit_of(["umap"], ["kmeans", "hdbscan"])
    cells = {side: [*itertools.chain(*(part.cells for part in parts))] for side in both}
    cells["gpu"] += [] if dry else graph.cells
    cells["cpu"] += graph.cells if umap else []
    turns: dict[str, list[dict[str, float]]] = {side: [] for side in both}
    labels: dict[str, dict[str, Any]] = {}
    for turn, side in enumerate(TURNS):
        if turn >= ENOUGH and time.monotonic() > deadline:
            break
        unit = Unit("given", "all", "given", "own", tuple(cells[side]))
        seconds, labels[side] = timed(both[side], unit, report, ("study", f"turn {turn} {side}"))
        turns[side].append(seconds)
        report.put("study", "stages", value=medians(turns))
    report.put("study", "ari_cpu_gpu", value=compared(labels))
    tell(report, "study")


def timed(
    side: Side, unit: Unit, report: Report, place: tuple[str, ...]
) -> tuple[dict[str, float], dict[str, Any]]:
    """Run a unit; give the seconds of its stages, and the labels of its cells, on the host."""
    seconds: dict[str, float] = {}
    labels: dict[str, Any] = {}

    def note(kind: str, stage: str, outcome: Outcome) -> None:
        if kind == "begin":
            report.running(f"{' '.join(place)}: {stage}")
            return
        if outcome.error is not None:
            told = f"{type(outcome.error).__name__}: {outcome.error}"[:500]
            report.put(*place, stage, value={"error": told})
            return
        seconds[stage] = outcome.seconds
        report.put(*place, stage, value=round(outcome.seconds, 5))
        if kind == "cluster":
            labels[stage] = to_host(array_of(outcome.value))

    start = time.perf_counter()
    for _ in pipeline.run_unit(unit, side.data, side.on, attempt=recorded(side.on, note)):
        pass
    side.on.synchronize()
    seconds["all"] = time.perf_counter() - start
    report.put(*place, "all", value=round(seconds["all"], 5))
    return seconds, labels


def medians(turns: dict[str, list[dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Give each stage's median seconds per engine and their ratio; the GPU's first is warm-up."""
    kept = {"cpu": turns["cpu"], "gpu": turns["gpu"][1:] or turns["gpu"]}
    found: dict[str, dict[str, float]] = {}
    for stage in dict.fromkeys(itertools.chain(*turns["gpu"], *turns["cpu"])):
        times = {s: [one[stage] for one in of if stage in one] for s, of in kept.items()}
        line: dict[str, Any] = {s: statistics.median(of) for s, of in times.items() if of}
        line |= {f"runs_{side}": len(of) for side, of in times.items()}
        if stage != "all" and {"cpu", "gpu"} <= line.keys():
            line["ratio"] = line["cpu"] / max(line["gpu"], 1e-9)
        found[stage] = line
    return found


def compared(labels: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Give the adjusted Rand index of every clustering that both engines have."""
    ours, theirs = labels.get("gpu", {}), labels.get("cpu", {})
    return {name: adjusted_rand_score(ours[name], theirs[name]) for name in ours if name in theirs}


def tell(report: Report, where: str) -> None:
    """Show the table of a unit."""
    agree = report.content[where].get("ari_cpu_gpu", {})
    for stage, line in report.content[where]["stages"].items():
        if "ratio" in line:
            ari = f", ARI {agree[stage]:.3f}" if stage in agree else ""
            times = f"cpu {line['cpu']:.3f} s, gpu {line['gpu']:.4f} s"
            report.tell(f"{where} {stage}: {times}, x{line['ratio']:.1f}{ari}")


def agreement(both: dict[str, Side], report: Report) -> None:
    """Compare the seeded methods over five seeds, beside what a seed changes on one engine."""
    for name in ("kmeans", "spectral"):
        found: dict[str, list[Any]] = {}
        for side, of in both.items():
            report.running(f"agreement: {name} on {side}")
            found[side] = seeded(of, name)
            report.put("agreement", name, f"ami_{side}", value=[one[1] for one in found[side]])
        pairs = zip(found["cpu"], found["gpu"], strict=True)
        between = [adjusted_rand_score(a[0], b[0]) for a, b in pairs]
        within = [
            adjusted_rand_score(a[0], b[0]) for a, b in itertools.combinations(found["cpu"], 2)
        ]
        mean = {side: statistics.fmean(one[1] for one in of) for side, of in found.items()}
        sd = {side: statistics.stdev(one[1] for one in of) for side, of in found.items()}
        result = {"ari_cpu_gpu": between, "ari_cpu_cpu": within, "ami_mean": mean, "ami_sd": sd}
        report.put("agreement", name, "result", value=result)
        report.tell(
            f"{name}, 5 seeds: AMI gpu {mean['gpu']:.4f} (sd {sd['gpu']:.4f}), cpu "
            f"{mean['cpu']:.4f} (sd {sd['cpu']:.4f}); ARI cpu-gpu {statistics.fmean(between):.3f}, "
            f"cpu-cpu {statistics.fmean(within):.3f}"
        )


def seeded(side: Side, clusterer: str) -> list[tuple[Any, float]]:
    """Give labels and AMI for every seed."""
    how = {"dataset": "given", "split": "all", "encoder": "given", "metrics": ("external",)}
    (unit,) = units_of(Cell.of(**how, clusterer=clusterer, seed=seed) for seed in SEEDS)
    results = pipeline.run_unit(unit, side.data, side.on)
    return [(to_host(result.labels), result.row["scores"]["ami"]) for result in results]


def large_unit(both: dict[str, Side], report: Report) -> None:
    """Time 50,000 samples without UMAP, the cheapest method first: the CPU may not finish."""
    report.put("large", "size", value=size(both["cpu"].data))
    report.put("large", "not_run_on_cpu", value=NOT_RUN)
    turns: dict[str, list[dict[str, float]]] = {"cpu": [], "gpu": []}
    labels: dict[str, dict[str, Any]] = {"cpu": {}, "gpu": {}}
    for name in ("kmeans", "agglomerative", "spectral", "hdbscan"):
        unit = unit_of(["none"], [name], metrics=("external",))
        for side in ("gpu",) if name == "hdbscan" else ("gpu", "gpu", "cpu"):
            place = ("large", f"{name} {side} {len(turns[side])}")
            seconds, found = timed(both[side], unit, report, place)
            turns[side].append({key: s for key, s in seconds.items() if key.startswith("cluster")})
            labels[side] |= found
        report.put("large", "stages", value={**medians(turns)})
        report.put("large", "ari_cpu_gpu", value=compared(labels))
    passing(both, report)
    tell(report, "large")


def passing(both: dict[str, Side], report: Report) -> None:
    """Time five iterations of affinity propagation's messages on both engines."""
    from gpu_process import clocked_iteration

    from gpuclust.algorithms import AffinityPropagation

    def five(X: Any) -> Any:
        return AffinityPropagation(damping=0.9, max_iter=5, random_state=0).fit(X)

    for side in (both["gpu"], both["cpu"]):
        report.running(f"large: five iterations of affinity propagation on {side.name}")
        start = time.perf_counter()
        with warnings.catch_warnings():  # five iterations do not converge, and need not
            warnings.simplefilter("ignore")
            seconds, _ = clocked_iteration(side.on, five, side.data.X)
        value = {"seconds_per_iteration": seconds, "fit_of_5": time.perf_counter() - start}
        report.put("large", "affinity", side.name, value=value)
        report.tell(f"large affinity on {side.name}: {seconds:.4f} s an iteration, of 5 measured")

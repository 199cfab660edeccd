"""Does the cost of our algorithms grow as their docstrings promise, and where does memory end?

    python benchmarks/scaling.py --data FILE.npz --out benchmarks/results/scaling-cpu-DATE
    python benchmarks/scaling.py --data FILE.npz --out ... --only ward average --max-n 10000

FILE.npz holds real embeddings `X`; they are reduced to 50 dimensions and, for larger n, repeated
with a little noise.  OUT.json is written after every single time, so that a killed run loses
nothing, and a later run with --only adds to it; OUT.svg comes last, shows all that OUT.json holds
and needs matplotlib.  A size that would not fit in the free memory, or that would take longer than
--patience, is not run: the JSON says why under `stopped`.
"""

import argparse
import json
import os
import subprocess
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from kernels import pca50, two_labellings

from gpuclust import algorithms, host, metrics, neighbors

SIZES = (300, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000)
DIMENSIONS = 50
# Temporaries and the rest of the machine: n x n buffers may take so much less than what is free.
HEADROOM = 1.3
MARKERS = "osD^vP*X"


class Subject(NamedTuple):
    """An algorithm, and what its docstring promises."""

    run: Callable[[Any], object]
    cost: str
    power: float  # of n, in the promised time
    memory: str
    bytes: tuple[float, float] | None = None  # c and p of c n^p, where they end the memory
    make: Callable[[np.ndarray, int], Any] = lambda X, n: X[:n]
    largest: int = 50_000


def labellings(*, zipf: bool) -> Callable[[np.ndarray, int], Any]:
    """Return the maker of two labellings of n samples in n / 100 classes."""
    return lambda X, n: two_labellings(n, n // 100, zipf=zipf)


def orthonormal(X: np.ndarray, n: int) -> np.ndarray:
    """Make an embedding (n, 10) as an eigensolver gives it."""
    return np.linalg.qr(np.random.default_rng(0).normal(size=(n, 10)))[0]


def ami(given: Any) -> float:
    """Ours."""
    return metrics.adjusted_mutual_info_score(*given)


AFFINITY = {"damping": 0.9, "max_iter": 20, "random_state": 0}
PAIRS = "O(n^2 d)"
TABLE = "O(n) for the table; unique pairs of marginals (at most about 2 n) times their window"
SUBJECTS = {
    "ward": Subject(
        lambda X: algorithms.linkage(X, "ward"),
        PAIRS,
        2,
        "8 n d bytes: the centroids in float64",
        (8 * DIMENSIONS, 1),
    ),
    "average": Subject(lambda X: algorithms.linkage(X, "average"), PAIRS, 2, "4 n^2 bytes", (4, 2)),
    "mst": Subject(algorithms.minimum_spanning_tree, PAIRS, 2, "O(n d)"),
    "affinity": Subject(  # 20 iterations
        lambda X: algorithms.AffinityPropagation(**AFFINITY).fit(X),
        "O(n^2 d), and O(n^2) an iteration",
        2,
        "8 n^2 bytes",
        (8, 2),
        largest=30_000,
    ),
    "silhouette": Subject(  # one label set
        lambda X: metrics.silhouette_scores(X, [np.arange(len(X)) % 10]),
        PAIRS,
        2,
        "12 n bytes per label set, and a block of distances",
    ),
    "hdbscan_l1": Subject(
        lambda X: algorithms.HDBSCAN(min_samples=5, metric="l1").fit_predict(X),
        PAIRS,
        2,
        "O(n d + n min_samples)",
    ),
    "kneighbors": Subject(lambda X: neighbors.kneighbors(X, 15), PAIRS, 2, "O(n k)"),
    "spectral": Subject(
        lambda X: algorithms.SpectralClustering(10, random_state=0).fit_predict(X),
        "O(n^2 d) for the graph, and the sparse eigensolver",
        2,
        "O(n (neighbours + clusters)), and the factors of the Laplacian",
        largest=20_000,
    ),
    "ami_balanced": Subject(ami, TABLE, 1, "O(n)", make=labellings(zipf=False), largest=1_000_000),
    "ami_zipf": Subject(ami, TABLE, 1, "O(n)", make=labellings(zipf=True), largest=1_000_000),
    "cluster_qr": Subject(
        algorithms.cluster_qr,
        "O(n k^2)",
        1,
        "one copy of the (n, k) vectors",
        make=orthonormal,
        largest=1_000_000,
    ),
}


# ---- one algorithm ------------------------------------------------------------------------------


def enlarged(X: np.ndarray, n: int) -> np.ndarray:
    """Return n samples: the real ones, then theirs moved by a tenth of each dimension's spread."""
    if n <= len(X):
        return X[:n]
    noise = np.random.default_rng(0).normal(size=(n - len(X), X.shape[1]))
    more = np.resize(X, noise.shape) + 0.1 * X.std(axis=0) * noise
    return np.concatenate([X, more]).astype(X.dtype)


def sizes(subject: Subject, most: int) -> list[int]:
    """Give the sizes to measure; the largest one is among them."""
    last = min(subject.largest, most)
    return [*(n for n in SIZES if n < last), last]


def obstacle(subject: Subject, n: int, seconds: dict[int, float], patience: float) -> str | None:
    """Say why n samples cannot be measured; None when they can."""
    coefficient, power = subject.bytes or (0, 1)
    needed, free = coefficient * n**power, available()
    if HEADROOM * needed > free:
        return (
            f"{subject.memory} are {needed / 2**30:.1f} GiB; times {HEADROOM} they are more than "
            f"the {free / 2**30:.1f} GiB that are free"
        )
    if seconds:
        last = max(seconds)
        expected = seconds[last] * (n / last) ** subject.power
        if expected > patience:
            return f"expected to take {expected:.0f} s, more than the {patience:.0f} s allowed"
    return None


def available() -> int:
    """Read the bytes that are free for a new process."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("MemAvailable")).split()[1])


def clocked(run: Callable[[Any], object], given: Any) -> float:
    """Time a run: the best of up to five that begin within 0.3 seconds."""
    times: list[float] = []
    while not times or (len(times) < 5 and sum(times) < 0.3):
        start = time.perf_counter()
        run(given)
        times.append(time.perf_counter() - start)
    return min(times)


def exponent(seconds: dict[int, float]) -> float | None:
    """Fit log seconds = c + e log n over the last decade of n, where fixed costs are small."""
    kept = {n: s for n, s in seconds.items() if n >= max(seconds) / 10}
    if len(kept) < 2:
        return None
    return float(np.polyfit(np.log(list(kept)), np.log(list(kept.values())), 1)[0])


def measure(
    subject: Subject, X: np.ndarray, args: argparse.Namespace, save: Callable[[dict], None]
) -> None:
    """Time an algorithm at all its sizes and save what is known after each."""
    found: dict[str, Any] = {
        "seconds": {},
        "exponent": None,
        "promised": {"power": subject.power, "time": subject.cost, "memory": subject.memory},
        "memory_ends_at": None,
        "stopped": {},
        "date": host.now(),
        "commit": commit(),
    }
    if subject.bytes:
        coefficient, power = subject.bytes
        memory = host.facts()["memory_gib"] * 2**30
        found["memory_ends_at"] = int((memory / coefficient) ** (1 / power))
    subject.run(subject.make(X, 300))
    for n in sizes(subject, args.max_n):
        why = obstacle(subject, n, found["seconds"], args.patience)
        if why:
            found["stopped"][n] = why
        else:
            found["seconds"][n] = clocked(subject.run, subject.make(X, n))
            found["exponent"] = exponent(found["seconds"])
        save(found)


# ---- files --------------------------------------------------------------------------------------


def commit() -> str:
    """Name the commit that runs: from GPUCLUST_COMMIT, else from git, else "unknown"."""
    if named := os.environ.get("GPUCLUST_COMMIT"):
        return named
    command = ["git", "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent)
    except FileNotFoundError:
        return "unknown"
    return done.stdout.strip() or "unknown"


def known(path: Path) -> dict[str, Any]:
    """Read what an earlier run wrote; nothing when there is none."""
    return json.loads(path.read_text()) if path.exists() else {}


def write(path: Path, content: dict[str, Any]) -> None:
    """Write JSON so that a kill leaves the old file or the new one."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    fresh.replace(path)


def draw(results: dict[str, dict], path: Path) -> None:
    """Plot all of it on logarithmic axes: what promises n^2 on the left, less on the right."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(12, 6.5), width_ratios=(3, 2))
    for axes, power in zip(panels, (2, 1), strict=True):
        drawn = [name for name in SUBJECTS if name in results and SUBJECTS[name].power == power]
        lines = {name: numbered(results[name]["seconds"]) for name in drawn}
        for (name, seconds), marker in zip(lines.items(), MARKERS, strict=False):
            grows = results[name]["exponent"]
            told = "" if grows is None else f"  $n^{{{grows:.2f}}}$"
            axes.loglog(seconds.keys(), seconds.values(), marker=marker, label=name + told)
        promise = "$n^2$" if power == 2 else "$n$"
        if any(lines.values()):
            slope(axes, list(lines.values()), power, f"slope of {promise}")
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=2, frameon=False)
        axes.set(xlabel="n", ylabel="seconds", title=f"promised growth: {promise}")
        axes.grid(visible=True, alpha=0.3)
    facts = host.facts()
    figure.suptitle(f"{facts['cpu']}, {facts['cores']} cores; {DIMENSIONS} dimensions")
    figure.savefig(path, bbox_inches="tight")
    plt.close(figure)


def numbered(seconds: dict) -> dict[int, float]:
    """Return times by n; JSON has the n as text."""
    return {int(n): s for n, s in seconds.items()}


def slope(axes: Any, lines: list[dict[int, float]], power: float, label: str) -> None:
    """Draw the promised growth as a dashed line under the others."""
    points = [(n, s) for line in lines for n, s in line.items()]
    ns = np.array([min(points)[0], max(points)[0]], dtype=float)
    lowest = min(s / n**power for n, s in points)
    axes.loglog(ns, lowest / 2 * ns**power, "--", color="grey", label=label)


def main() -> None:
    """Parse, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="path of both files, no suffix")
    parser.add_argument("--only", nargs="+", choices=SUBJECTS, default=list(SUBJECTS))
    parser.add_argument("--max-n", type=int, default=SIZES[-1])
    parser.add_argument("--patience", type=float, default=180, help="seconds one run may take")
    args = parser.parse_args()
    path = args.out.with_name(args.out.name + ".json")
    largest = max(sizes(SUBJECTS[name], args.max_n)[-1] for name in args.only)
    X = enlarged(pca50(args.data), min(largest, 50_000))
    content = known(path) | {"date": host.now(), "commit": commit(), "host": host.facts()}
    results = content.setdefault("results", {})

    def save(name: str, found: dict) -> None:
        results[name] = found
        write(path, content)

    for name in args.only:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # 20 iterations do not converge, and need not
            measure(SUBJECTS[name], X, args, lambda found, name=name: save(name, found))
        print(name, json.dumps(results[name]["seconds"]), results[name]["exponent"], flush=True)
    draw(results, args.out.with_name(args.out.name + ".svg"))


if __name__ == "__main__":
    main()

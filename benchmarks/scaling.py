"""Does the cost of our algorithms grow as they promise?

    python benchmarks/scaling.py --data FILE.npz --out benchmarks/results/scaling-cpu-DATE

FILE.npz holds real embeddings `X`; they are reduced to 50 dimensions and, for larger n, repeated
with a little noise.  Writes OUT.json (seconds per n, fitted exponent) and OUT.svg; needs
matplotlib.
"""

import argparse
import json
import subprocess
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from kernels import pca50, pca50_times_five

from gpuclust import algorithms, host, metrics

SIZES = (1_000, 2_000, 5_000, 10_000, 20_000, 50_000)
# Where memory or patience ends: 4 n^2 and 12 n^2 bytes, and 20 iterations of affinity propagation.
LIMIT = {"average": 20_000, "affinity, 20 iterations": 20_000}


def runs() -> dict[str, Callable[[np.ndarray], object]]:
    """Name what is measured."""
    affinity = {"damping": 0.9, "max_iter": 20, "random_state": 0}
    return {
        "ward": lambda X: algorithms.linkage(X, "ward"),
        "average": lambda X: algorithms.linkage(X, "average"),
        "minimum spanning tree": algorithms.minimum_spanning_tree,
        "affinity, 20 iterations": lambda X: algorithms.AffinityPropagation(**affinity).fit(X),
        "silhouette, 1 set": lambda X: metrics.silhouette_scores(X, [np.arange(len(X)) % 10]),
    }


def measure(
    function: Callable[[np.ndarray], object], X: np.ndarray, limit: int
) -> dict[int, float]:
    """Time a function at every size up to its limit; the better of two runs below 10,000."""
    seconds = {}
    function(X[:300])
    for n in (n for n in SIZES if n <= limit):
        times = []
        for _ in range(2 if n < 10_000 else 1):
            start = time.perf_counter()
            function(X[:n])
            times.append(time.perf_counter() - start)
        seconds[n] = min(times)
    return seconds


def exponent(seconds: dict[int, float]) -> float:
    """Fit log seconds = c + e log n from n = 5,000 on, where fixed costs are small."""
    kept = {n: s for n, s in seconds.items() if n >= 5_000}
    return float(np.polyfit(np.log(list(kept)), np.log(list(kept.values())), 1)[0])


def draw(results: dict[str, dict], path: Path) -> None:
    """Plot all of it on logarithmic axes."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 5))
    for name, found in results.items():
        n, s = zip(*found["seconds"].items(), strict=True)
        axes.loglog(n, s, marker="o", label=f"{name}: n^{found['exponent']:.2f}")
    axes.set(xlabel="n (50 dimensions)", ylabel="seconds", title=host.facts()["cpu"] + ", 2 cores")
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend()
    figure.savefig(path, bbox_inches="tight")


def main() -> None:
    """Parse, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    # The first 10,000 are the real ones; the rest are theirs with noise.
    X = np.concatenate([pca50(args.data), pca50_times_five(args.data)[10_000:]])
    results = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 20 iterations do not converge, and need not
        for name, function in runs().items():
            seconds = measure(function, X, LIMIT.get(name, SIZES[-1]))
            results[name] = {"seconds": seconds, "exponent": exponent(seconds)}
            print(name, json.dumps(results[name]), flush=True)
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=True
    ).stdout.strip()
    content = {"date": host.now(), "commit": commit, "host": host.facts(), "results": results}
    args.out.with_suffix(".json").write_text(json.dumps(content, indent=1) + "\n")
    draw(results, args.out.with_suffix(".svg"))


if __name__ == "__main__":
    main()

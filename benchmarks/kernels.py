"""Are the algorithms we own faster than what people use, and do they agree with it?

    python benchmarks/kernels.py --data FILE.npz --out benchmarks/results/kernels-cpu-DATE.json
    python benchmarks/kernels.py --data FILE.npz --only ward_10k affinity_10k

FILE.npz holds `X` (n, d) and `y` (n,): real embeddings.  Both sides get the same data and
parameters; each run of a side is a fresh process, ours and theirs in turn, so that drift of the
machine hits both.  Imports, loading and a small warm-up are outside the clock.  Peak memory: how
far the process's own VmHWM rose above what it was when the clock started.  Ratios are medians; the
agreement of the two results stands beside them.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np


class Case(NamedTuple):
    """One line of the table: how to make its input, the two sides, and how to compare results."""

    make: Callable[[Path], Any]
    ours: Callable[[Any], Any]
    theirs: Callable[[Any], Any] | None
    agree: Callable[[Any, Any], float]
    runs: int = 3


# ---- inputs -------------------------------------------------------------------------------------


def embeddings(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Load real embeddings as float32."""
    with np.load(path, allow_pickle=False) as data:
        return data["X"].astype(np.float32), data["y"].astype(np.int64)


def pca50(path: Path) -> np.ndarray:
    """Reduce to 50 dimensions, as the study's UMAP does, without its randomness."""
    from sklearn.decomposition import PCA

    return np.ascontiguousarray(PCA(50, random_state=0).fit_transform(embeddings(path)[0]))


def pca50_times_five(path: Path) -> np.ndarray:
    """Make 50,000 samples: every real one five times, moved by a tenth of each spread."""
    X = np.tile(pca50(path), (5, 1))
    noise = np.random.default_rng(0).normal(size=X.shape)
    return (X + 0.1 * X.std(axis=0) * noise).astype(np.float32)


def label_sets(path: Path) -> list[np.ndarray]:
    """Eight clusterings as a unit has them: six with few clusters, two with many."""
    from sklearn.cluster import MiniBatchKMeans

    X = pca50(path)
    counts = (10, 10, 10, 20, 40, 60, 200, 400)
    return [
        MiniBatchKMeans(k, n_init=1, random_state=i).fit_predict(X) for i, k in enumerate(counts)
    ]


def two_labellings(n: int, k: int, *, zipf: bool) -> tuple[np.ndarray, np.ndarray]:
    """Two independent labellings of n samples in k classes, balanced or with Zipf's sizes."""
    rng = np.random.default_rng(0)
    if not zipf:
        return rng.permutation(n) % k, rng.permutation(n) % k
    weight = 1 / np.arange(1, k + 1)
    return tuple(rng.choice(k, n, p=weight / weight.sum()) for _ in range(2))


# ---- the two sides ------------------------------------------------------------------------------


def ami_ours(labels: Any) -> float:
    """Ours."""
    from gpuclust.metrics import adjusted_mutual_info_score

    return adjusted_mutual_info_score(*labels)


def ami_theirs(labels: Any) -> float:
    """scikit-learn's."""
    from sklearn.metrics import adjusted_mutual_info_score

    return adjusted_mutual_info_score(*labels)


def ward_ours(X: Any) -> Any:
    """Ours, cut at ten clusters."""
    from gpuclust.algorithms import linkage

    return linkage(X, "ward").cut(n_clusters=10)


def ward_theirs(X: Any) -> Any:
    """scikit-learn's."""
    from sklearn.cluster import AgglomerativeClustering

    return AgglomerativeClustering(10).fit_predict(X)


def silhouettes_ours(given: Any) -> Any:
    """All label sets in one pass."""
    from gpuclust.metrics import silhouette_scores

    X, sets = given
    return silhouette_scores(X, sets)


def silhouettes_theirs(given: Any) -> Any:
    """One call per label set."""
    from sklearn.metrics import silhouette_score

    X, sets = given
    return [silhouette_score(X, labels) for labels in sets]


def six_clusterings(path: Path) -> dict[str, Any]:
    """A unit: both spaces, the classes, and clusterings as its six methods give them."""
    from sklearn.cluster import MiniBatchKMeans

    (X, y), Z = embeddings(path), pca50(path)
    counts = (10, 10, 10, 40, 20, 380)
    sets = [
        MiniBatchKMeans(k, n_init=1, random_state=i).fit_predict(Z) for i, k in enumerate(counts)
    ]
    return {"X": X, "Z": Z, "y": y, "sets": sets}


COMMON = ("ami", "nmi", "ari", "fmi", "homogeneity", "completeness", "v_measure")


def scores_ours(unit: Any) -> Any:
    """Everything a row holds by default; returned: what scikit-learn has too."""
    from gpuclust.metrics import suite

    done = suite.score_all(unit["sets"], X=unit["X"], Z=unit["Z"], y=unit["y"], names=suite.DEFAULT)
    internal = [name for name in suite.DEFAULT if name not in suite.EXTERNAL]
    return [[one.scores[name] for name in (*COMMON, *internal)] for one in done]


def scores_theirs(unit: Any) -> Any:
    """The same scores, one scikit-learn call each; purity and accuracy are not among them."""
    from sklearn import metrics

    y, rows = unit["y"], []
    for labels in unit["sets"]:
        row = [
            metrics.adjusted_mutual_info_score(y, labels),
            metrics.normalized_mutual_info_score(y, labels),
            metrics.adjusted_rand_score(y, labels),
            metrics.fowlkes_mallows_score(y, labels),
            *metrics.homogeneity_completeness_v_measure(y, labels),
        ]
        spaces = (unit["X"], unit["Z"])
        row += [metrics.calinski_harabasz_score(space, labels) for space in spaces]
        row += [metrics.davies_bouldin_score(space, labels) for space in spaces]
        for metric in ("euclidean", "cosine"):
            row += [metrics.silhouette_score(space, labels, metric=metric) for space in spaces]
        rows.append(row)
    return rows


def dear_silhouettes_ours(unit: Any) -> Any:
    """l1 and chebyshev of the six, one pass each."""
    from gpuclust.metrics import silhouette_scores

    return [silhouette_scores(unit["Z"], unit["sets"], metric=m) for m in ("l1", "chebyshev")]


def dear_silhouettes_theirs(unit: Any) -> Any:
    """The same, one call each."""
    from sklearn.metrics import silhouette_score

    return [
        [silhouette_score(unit["Z"], labels, metric=metric) for labels in unit["sets"]]
        for metric in ("manhattan", "chebyshev")
    ]


AFFINITY = {"damping": 0.9, "max_iter": 100, "random_state": 0}


def affinity_ours(X: Any) -> Any:
    """Ours, at most 100 iterations."""
    from gpuclust.algorithms import AffinityPropagation

    return AffinityPropagation(**AFFINITY).fit_predict(X)


def affinity_theirs(X: Any) -> Any:
    """scikit-learn's, at most 100 iterations."""
    from sklearn.cluster import AffinityPropagation

    return AffinityPropagation(**AFFINITY).fit_predict(X)


def hdbscan_ours(metric: str) -> Callable[[Any], Any]:
    """Ours, where the tree is unique."""

    def run(X: Any) -> Any:
        from gpuclust.algorithms import HDBSCAN

        return HDBSCAN(min_cluster_size=5, min_samples=1, metric=metric).fit_predict(X)

    return run


def hdbscan_theirs(metric: str) -> Callable[[Any], Any]:
    """scikit-learn's, where the tree is unique."""

    def run(X: Any) -> Any:
        from sklearn.cluster import HDBSCAN

        model = HDBSCAN(min_cluster_size=5, min_samples=1, metric=metric, copy=True)
        return model.fit_predict(X)

    return run


def difference(a: Any, b: Any) -> float:
    """Give the largest difference of two scores or lists of scores."""
    return float(np.max(np.abs(np.asarray(a) - np.asarray(b))))


def same_clusters(a: Any, b: Any) -> float:
    """Give the adjusted Rand index."""
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(a, b))


CASES = {
    "ami_50k_balanced": Case(
        lambda path: two_labellings(50_000, 1_000, zipf=False), ami_ours, ami_theirs, difference
    ),
    "ami_50k_zipf": Case(
        lambda path: two_labellings(50_000, 1_000, zipf=True), ami_ours, ami_theirs, difference
    ),
    "ami_100k_10k_classes": Case(
        lambda path: two_labellings(100_000, 10_000, zipf=False),
        ami_ours,
        ami_theirs,
        difference,
        runs=1,
    ),
    "ward_10k": Case(pca50, ward_ours, ward_theirs, same_clusters),
    "ward_50k": Case(pca50_times_five, ward_ours, None, same_clusters, runs=1),
    "silhouette_8_sets_d50": Case(
        lambda path: (pca50(path), label_sets(path)),
        silhouettes_ours,
        silhouettes_theirs,
        difference,
    ),
    "silhouette_8_sets_d1280": Case(
        lambda path: (embeddings(path)[0], label_sets(path)),
        silhouettes_ours,
        silhouettes_theirs,
        difference,
    ),
    "default_scores_6": Case(six_clusterings, scores_ours, scores_theirs, difference, runs=1),
    "l1_chebyshev_silhouettes_6": Case(
        six_clusterings, dear_silhouettes_ours, dear_silhouettes_theirs, difference, runs=1
    ),
    "affinity_10k": Case(pca50, affinity_ours, affinity_theirs, same_clusters, runs=1),
    "hdbscan_10k": Case(
        pca50, hdbscan_ours("euclidean"), hdbscan_theirs("euclidean"), same_clusters
    ),
    "hdbscan_l1_10k": Case(pca50, hdbscan_ours("l1"), hdbscan_theirs("manhattan"), same_clusters),
    "hdbscan_chebyshev_10k": Case(
        pca50, hdbscan_ours("chebyshev"), hdbscan_theirs("chebyshev"), same_clusters
    ),
}


# ---- measuring ----------------------------------------------------------------------------------


def peak_kib() -> int:
    """Read this process's own high-water mark."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if "VmHWM" in line).split()[1])


def run_child(name: str, side: str, data: Path) -> None:
    """Measure one side once and print it as JSON; the result goes with it."""
    case = CASES[name]
    given = case.make(data)
    function = getattr(case, side)
    warm = case.make(data) if name.startswith("ami") else small(given)
    function(warm if not name.startswith("ami") else (warm[0][:500] % 7, warm[1][:500] % 7))
    before = peak_kib()
    start = time.perf_counter()
    result = function(given)
    seconds = time.perf_counter() - start
    peak = peak_kib()
    told = {"seconds": seconds, "rise_mib": (peak - before) / 1024, "peak_mib": peak / 1024}
    told["result"] = result
    sys.stdout.write(json.dumps(told, default=lambda a: np.asarray(a).tolist()))


def small(given: Any) -> Any:
    """Cut an input to 300 samples, for the warm-up."""
    if isinstance(given, dict):
        cut = {name: given[name][:300] for name in ("X", "Z", "y")}
        return cut | {"sets": [labels[:300] % 5 for labels in given["sets"]]}
    if isinstance(given, tuple):
        return given[0][:300], [labels[:300] % 5 for labels in given[1]]
    return given[:300]


def measure(name: str, data: Path) -> dict[str, Any]:
    """Run both sides of a case in turn and summarise them."""
    case = CASES[name]
    sides = [side for side in ("ours", "theirs") if getattr(case, side) is not None]
    seen: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
    for _ in range(case.runs):
        for side in sides:
            command = [sys.executable, __file__, "--data", str(data), "--child", name, side]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            seen[side].append(json.loads(done.stdout))
    summary: dict[str, Any] = {}
    for side in sides:
        times = [run["seconds"] for run in seen[side]]
        summary[side] = {
            "seconds": statistics.median(times),
            "spread": max(times) - min(times),
            "rise_mib": max(run["rise_mib"] for run in seen[side]),
            "peak_mib": max(run["peak_mib"] for run in seen[side]),
        }
    if len(sides) == 2:
        summary["ratio"] = summary["theirs"]["seconds"] / summary["ours"]["seconds"]
        summary["agreement"] = case.agree(seen["ours"][0]["result"], seen["theirs"][0]["result"])
    return summary


def main() -> None:
    """Parse, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        run_child(*args.child, args.data)
        return
    from gpuclust.device import machine

    results = {}
    for name in args.only:
        results[name] = measure(name, args.data)
        print(name, json.dumps(results[name]), flush=True)
    if args.out:
        commit = subprocess.run(
            ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=True
        ).stdout.strip()
        content = {
            "date": machine.now(),
            "commit": commit,
            "host": machine.facts(),
            "cases": results,
        }
        args.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

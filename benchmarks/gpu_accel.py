"""The part of `gpu.py` that runs scikit-learn's code under cuml.accel against the GPU engine."""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from gpu_speed import Side, sides, timed
from recipe_gpu import Report, real, unit_of
from scaling import known

from gpuclust.metrics import adjusted_rand_score

RUNS = 3


def peers(n: int, k: int, components: int) -> dict[str, tuple[Callable[[], Any], str, str]]:
    """Give scikit-learn's estimator, and our reducer and clusterer that do the same."""
    from sklearn.cluster import HDBSCAN, KMeans, SpectralClustering
    from sklearn.decomposition import PCA

    graph = {"affinity": "nearest_neighbors", "n_neighbors": 10, "assign_labels": "kmeans"}
    density = {"max_cluster_size": round(0.2 * n), "algorithm": "brute", "copy": True}
    return {
        "pca": (lambda: PCA(components, random_state=0), f"pca({components})", "kmeans"),
        "kmeans": (lambda: KMeans(k, n_init=1, max_iter=1000, random_state=0), "none", "kmeans"),
        "spectral": (
            lambda: SpectralClustering(k, random_state=0, **graph),
            "none",
            "spectral(assign_labels=kmeans)",
        ),
        "hdbscan": (lambda: HDBSCAN(min_cluster_size=5, **density), "none", "hdbscan"),
    }


def accel(args: argparse.Namespace, report: Report) -> None:
    """Run ours, then scikit-learn's code in a process under cuml.accel, then ours again.

    Theirs begin and end with NumPy arrays, ours with arrays on the device, as each is used.
    """
    data = real(args)
    side = sides(data, dry=args.dry)["gpu"]
    found = {name: [] for name in peers(len(data.X), 2, 2)}
    ours(side, report, found, args)
    report.running("scikit-learn's code under cuml.accel")
    script = [str(Path(__file__).parent / "gpu.py"), "--child", "accel_peer"]
    script += ["--folder", str(args.folder), "--data", str(args.data)]
    # Without managed memory: it can hang a card that is short of memory, and it pages.
    under = ["--dry"] if args.dry else []
    accelerated = [] if args.dry else ["-m", "cuml.accel", "--disable-uvm"]
    done = subprocess.run(
        [sys.executable, *accelerated, *script, *under], capture_output=True, text=True, check=False
    )
    theirs = known(args.folder / "accel_peer.json").get("peers", {})
    if done.returncode:
        report.put("peer_error", value=(done.stdout + done.stderr)[-2000:])
        report.tell(f"the peer ended with {done.returncode}")
    ours(side, report, found, args)
    for name, runs in found.items():
        conclude(report, name, runs[1:], theirs.get(name, {}), args.folder)


def ours(side: Side, report: Report, found: dict[str, list], args: argparse.Namespace) -> None:
    """Time our stage of each peer, twice after a warm-up."""
    n, k = len(side.data.X), side.data.n_classes
    for name, (_, reducer, clusterer) in peers(n, k, components(args)).items():
        kind = "reduce" if name == "pca" else "cluster"
        for _ in range(1 + RUNS):
            unit = unit_of([reducer], [clusterer], metrics=("external",))
            seconds, labels = timed(side, unit, report, ("ours", name))
            stage = next((s for key, s in seconds.items() if key.startswith(kind)), None)
            found[name].append((stage, next(iter(labels.values()), None)))


def components(args: argparse.Namespace) -> int:
    """Count the components of the PCA."""
    return 5 if args.dry else 50


def conclude(report: Report, name: str, runs: list, theirs: dict[str, Any], folder: Path) -> None:
    """Put our median beside the peer's, with the agreement of the labels."""
    times = [seconds for seconds, _ in runs if seconds is not None]
    line: dict[str, Any] = {"peer": theirs, "runs": len(times)}
    if times:
        line["ours"] = statistics.median(times)
    if "seconds" in theirs and times:
        line["ratio"] = theirs["seconds"] / line["ours"]
    saved = folder / f"peer-{name}.npy"
    if name != "pca" and saved.exists() and runs[-1][1] is not None:
        line["ari"] = adjusted_rand_score(runs[-1][1], np.load(saved))
    report.put("compared", name, value=line)
    told = [f"{key} {line[key]:.4g}" for key in ("ours", "ratio", "ari") if key in line]
    report.tell(f"{name}: {', '.join(told)}; theirs {theirs}"[:300])


def peer(args: argparse.Namespace, report: Report) -> None:
    """Fit scikit-learn's estimators on NumPy arrays, as its users do; under cuml.accel or not."""
    data = real(args)
    for name, (make, _, _) in peers(len(data.X), data.n_classes, components(args)).items():
        try:
            found = fitted(make, data.X, args.folder / f"peer-{name}.npy", pca=name == "pca")
        except Exception as error:  # noqa: BLE001 - one peer's failure is a result
            found = {"error": f"{type(error).__name__}: {error}"[:1000]}
        report.put("peers", name, value=found)


def fitted(make: Callable[[], Any], X: np.ndarray, path: Path, *, pca: bool) -> dict[str, Any]:
    """Fit an estimator, once for warm-up and thrice more unless that took long."""
    times = []
    for _ in range(1 + RUNS):
        model = make()
        start = time.perf_counter()
        result = model.fit_transform(X) if pca else model.fit_predict(X)
        times.append(time.perf_counter() - start)
        if times[0] > 5:
            break
    np.save(path, np.asarray(result))
    on_gpu = getattr(model, "_gpu", None) is not None  # where cuml.accel keeps its own estimator
    kept = times[1:] or times
    return {"seconds": statistics.median(kept), "runs": len(kept), "on_gpu": on_gpu}

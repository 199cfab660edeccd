"""What `gpu_kernels.py` measures: inputs, both sides, their agreement, the least possible work."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import kernels
import numpy as np
from scaling import enlarged

from gpuclust import algorithms
from gpuclust.arrays import neighbors, transfer

K = 15
# It runs on the CPU, so last and up to this size.
CPU_PEER, CPU_SIZE = "sklearn", 10_000
COUNTS = (10, 10, 10, 20, 40, 60, 200, 400)


# ---- inputs, on the host ------------------------------------------------------------------------


class Inputs(NamedTuple):
    """The real samples (m, 50), and eight clusterings of them as a unit has them (8, m)."""

    X: np.ndarray
    sets: np.ndarray

    def samples(self, n: int) -> np.ndarray:
        """Give n samples; beyond the real ones theirs with noise."""
        return enlarged(self.X, n)

    def with_label_sets(self, n: int) -> tuple[np.ndarray, list[np.ndarray]]:
        """Give n samples and their eight label sets."""
        return self.samples(n), [np.resize(labels, n) for labels in self.sets]


def prepare(data: Path, folder: Path) -> None:
    """Reduce and cluster the data once, for all processes."""
    from sklearn.cluster import MiniBatchKMeans

    X = kernels.pca50(data)
    models = [
        MiniBatchKMeans(min(k, len(X) // 10), n_init=1, random_state=i)
        for i, k in enumerate(COUNTS)
    ]
    np.savez(folder / "inputs.npz", X=X, sets=[model.fit_predict(X) for model in models])


def load(folder: Path) -> Inputs:
    """Read what `prepare` wrote."""
    with np.load(folder / "inputs.npz", allow_pickle=False) as data:
        return Inputs(data["X"], data["sets"].astype(np.int64))


def labellings(share: int, *, zipf: bool = False) -> Callable[[Inputs, int], Any]:
    """Return the maker of two labellings of n samples in n / `share` classes."""
    return lambda inputs, n: kernels.two_labellings(n, max(n // share, 2), zipf=zipf)


# ---- sides, and how they agree ------------------------------------------------------------------


def linkage_ours(method: str) -> Callable[[Any], Any]:
    """Ours, cut at ten clusters."""
    return lambda X: algorithms.linkage(X, method).cut(n_clusters=10)


def linkage_sklearn(method: str) -> Callable[[Any], Any]:
    """scikit-learn's."""

    def run(X: Any) -> Any:
        from sklearn.cluster import AgglomerativeClustering

        return AgglomerativeClustering(10, linkage=method).fit_predict(X)

    return run


def single_cuml(X: Any) -> Any:
    """Single linkage over all pairs by cuML, which has no other."""
    from cuml.cluster import AgglomerativeClustering

    model = AgglomerativeClustering(n_clusters=10, linkage="single", connectivity="pairwise")
    return model.fit_predict(X)


def silhouettes_cuml(given: Any) -> list[float]:
    """One call per label set."""
    from cuml.metrics.cluster import silhouette_score

    X, sets = given
    return [float(silhouette_score(X, labels)) for labels in sets]


def ami_torchmetrics(labels: Any) -> float:
    """torchmetrics': loops in Python over classes, clusters and counts."""
    from torch import from_dlpack
    from torchmetrics.functional.clustering import adjusted_mutual_info_score

    y, found = (from_dlpack(one) for one in labels)
    return float(adjusted_mutual_info_score(found, y))


def nearest_cuml(X: Any) -> Any:
    """Brute force by cuML."""
    from cuml.neighbors import NearestNeighbors

    model = NearestNeighbors(n_neighbors=K, algorithm="brute", metric="euclidean").fit(X)
    return model.kneighbors(return_distance=False)


def nearest_sklearn(X: Any) -> Any:
    """scikit-learn's, by brute force."""
    from sklearn.neighbors import NearestNeighbors

    model = NearestNeighbors(n_neighbors=K, algorithm="brute").fit(X)
    return model.kneighbors(return_distance=False)


def on_host(result: Any) -> Any:
    """Copy arrays to NumPy; scores are handed on."""
    return transfer.to_host(result) if hasattr(result, "shape") else result


def rand(a: Any, b: Any) -> float:
    """Give the adjusted Rand index of two labellings on any device."""
    return kernels.same_clusters(on_host(a), on_host(b))


def recall(a: Any, b: Any) -> float:
    """Give the share of neighbours that both sides name."""
    return float((on_host(a)[:, :, None] == on_host(b)[:, None, :]).any(axis=2).mean())


# ---- the table ----------------------------------------------------------------------------------


class Least(NamedTuple):
    """What an algorithm cannot do without, however it is written."""

    bytes: Callable[[int, int], float]  # of device memory, for n samples of d dimensions
    operations: Callable[[int, int], float]
    why: str


class Algorithm(NamedTuple):
    """A row of the table for each of its sizes."""

    given: Callable[[Inputs, int], Any]
    ours: Callable[[Any], Any]
    peers: dict[str, Callable[[Any], Any]]
    agree: Callable[[Any, Any], float]
    least: Least | None
    sizes: tuple[int, ...] = (10_000, 50_000, 100_000)
    targets: dict[int, float] = {}  # noqa: RUF012 - read only
    per_iteration: bool = False


def once(n: int, d: int) -> float:
    """Count the bytes of reading X once."""
    return 4.0 * n * d


def twice_all_pairs(n: int, d: int) -> float:
    """Count the operations of two products of X with itself."""
    return 4.0 * n * n * d


ONE_PASS = "X read once; one product of X with itself, 2 n^2 d operations"
AMI = Least(lambda n, d: 16 * n, lambda n, d: 0, "two int64 labellings read once, 16 n bytes")
ALGORITHMS = {
    "ward": Algorithm(
        Inputs.samples,
        linkage_ours("ward"),
        {"sklearn": linkage_sklearn("ward")},
        rand,
        Least(once, twice_all_pairs, "X read once; 2 n^2 distances (docstring), 4 n^2 d"),
        targets={100_000: 2.0},
    ),
    "silhouette_8_sets": Algorithm(
        Inputs.with_label_sets,
        kernels.silhouettes_ours,
        {"cuml": silhouettes_cuml, "sklearn": kernels.silhouettes_theirs},
        kernels.difference,
        Least(
            once,
            lambda n, d: 2.0 * n * n * d + len(COUNTS) * n * n,
            ONE_PASS + ", and 8 n^2 additions",
        ),
        targets={50_000: 0.3},
    ),
    "affinity_iteration": Algorithm(
        Inputs.samples,
        kernels.affinity_ours,
        {},
        rand,
        Least(
            lambda n, d: 20.0 * n * n,
            lambda n, d: 10.0 * n * n,
            "20 n^2 bytes (docstring): S, R and A read, R and A written",
        ),
        sizes=(10_000, 50_000),
        targets={50_000: 0.03},
        per_iteration=True,
    ),
    "ami": Algorithm(
        labellings(10),
        kernels.ami_ours,
        {"sklearn": kernels.ami_theirs},
        kernels.difference,
        AMI,
        targets={100_000: 0.02},
    ),
    "ami_zipf": Algorithm(
        labellings(10, zipf=True),
        kernels.ami_ours,
        {"sklearn": kernels.ami_theirs},
        kernels.difference,
        AMI,
        sizes=(10_000, 100_000),
    ),
    "ami_20_classes": Algorithm(  # as many as torchmetrics has the patience for
        labellings(500),
        kernels.ami_ours,
        {"torchmetrics": ami_torchmetrics, "sklearn": kernels.ami_theirs},
        kernels.difference,
        AMI,
        sizes=(10_000,),
    ),
    "average": Algorithm(
        Inputs.samples,
        linkage_ours("average"),
        {"sklearn": linkage_sklearn("average")},
        rand,
        Least(
            lambda n, d: 24.0 * n * n,
            lambda n, d: 2.0 * n * n * d,
            "the float32 matrix written once and 5 n^2 of its entries read (docstring), 24 n^2",
        ),
        sizes=(10_000, 50_000),
    ),
    "single": Algorithm(
        Inputs.samples,
        linkage_ours("single"),
        {"cuml": single_cuml, "sklearn": linkage_sklearn("single")},
        rand,
        Least(once, twice_all_pairs, "X read once; two passes (docstring), 4 n^2 d"),
    ),
    "hdbscan_l1": Algorithm(
        Inputs.samples,
        kernels.hdbscan_ours("l1"),
        {"sklearn": kernels.hdbscan_theirs("manhattan")},
        rand,
        Least(
            once,
            lambda n, d: 6.0 * n * n * d,
            "X read once; two passes (docstring) of a difference, a modulus and a sum",
        ),
    ),
    "kneighbors": Algorithm(
        Inputs.samples,
        lambda X: neighbors.kneighbors(X, K)[1],
        {"cuml": nearest_cuml, "sklearn": nearest_sklearn},
        recall,
        Least(
            lambda n, d: once(n, d) + 12.0 * n * K,
            lambda n, d: 2.0 * n * n * d,
            ONE_PASS + "; the graph written",
        ),
    ),
    "affinity": Algorithm(  # the whole fit, at most 100 iterations
        Inputs.samples,
        kernels.affinity_ours,
        {"sklearn": kernels.affinity_theirs},
        rand,
        None,
        sizes=(10_000, 50_000),
    ),
}


class Case(NamedTuple):
    """An algorithm at one size."""

    algorithm: str
    n: int

    @property
    def name(self) -> str:
        """The case as the JSON calls it."""
        return f"{self.algorithm}_{self.n // 1000}k" if self.n >= 1000 else f"{self.algorithm}_tiny"


def cases(*, dry: bool) -> dict[str, Case]:
    """List all cases; a dry run has one tiny case per algorithm."""
    found = [
        Case(name, n)
        for name, algorithm in ALGORITHMS.items()
        for n in ((300,) if dry else algorithm.sizes)
    ]
    return {case.name: case for case in found}

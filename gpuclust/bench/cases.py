"""List the benchmarks of gpuclust's own algorithms, on a CPU and on a GPU."""

from __future__ import annotations

from typing import NamedTuple

# Clusterings of one unit: six with few clusters, two with many.
EIGHT = "kmeans:10,10,10,20,40,60,200,400"
SIX = "kmeans:10,10,10,40,20,380"
# The minimum spanning tree is unique with min_samples=1: labels can be compared one by one.
HDBSCAN = "hdbscan(min_samples=1,max_cluster_size=None,metric={})"
SINGLE = "agglomerative(linkage=single)"
AVERAGE = "agglomerative(linkage=average)"


class Case(NamedTuple):
    """A comparison on a file of embeddings.

    Attributes
    ----------
    what, n, k, labels
        See `work.Job`.
    baselines : tuple of str
        Implementations that the backend is compared with.
    components : int or None
        Number of principal components to take first; None: the embeddings as they are.
    runs : int
        Number of runs; of `once`, a part of `baselines`, one.
    target : float or None
        Seconds that the backend should stay below.
    """

    what: str
    n: int | None = None
    baselines: tuple[str, ...] = ()
    labels: str | None = None
    k: int | None = None
    components: int | None = 50
    runs: int = 3
    once: tuple[str, ...] = ()
    target: float | None = None

    def tiny(self) -> Case:
        """Return the same case with 300 samples and few labels, for tests."""
        kind = (self.labels or "").partition(":")[0]
        labels = {"kmeans": "kmeans:4,9", "balanced": "balanced:20", "zipf": "zipf:20"}.get(kind)
        return self._replace(n=300, labels=labels, runs=1)


SKLEARN = ("sklearn",)
CPU = {
    "ami_50k_balanced": Case("ami", 50_000, SKLEARN, "balanced:1000"),
    "ami_50k_zipf": Case("ami", 50_000, SKLEARN, "zipf:1000"),
    "ami_100k_10k_classes": Case("ami", 100_000, SKLEARN, "balanced:10000", runs=1),
    "ward_10k": Case("agglomerative", 10_000, SKLEARN, k=10),
    "ward_50k": Case("agglomerative", 50_000, k=10, runs=1),
    "silhouette_8_sets_d50": Case("silhouette_euclidean", 10_000, SKLEARN, EIGHT),
    "silhouette_8_sets_d1280": Case(
        "silhouette_euclidean", 10_000, SKLEARN, EIGHT, components=None
    ),
    "default_scores_6": Case("default_scores", 10_000, SKLEARN, SIX, components=1280, runs=1),
    "l1_silhouettes_6": Case("silhouette_l1", 10_000, SKLEARN, SIX, runs=1),
    "chebyshev_silhouettes_6": Case("silhouette_chebyshev", 10_000, SKLEARN, SIX, runs=1),
    "affinity_10k": Case("affinity(max_iter=100)", 10_000, SKLEARN, runs=1),
    "hdbscan_10k": Case(HDBSCAN.format("euclidean"), 10_000, SKLEARN),
    "hdbscan_l1_10k": Case(HDBSCAN.format("l1"), 10_000, SKLEARN),
    "hdbscan_chebyshev_10k": Case(HDBSCAN.format("chebyshev"), 10_000, SKLEARN),
}
# A CUDA library takes half a minute to start: one size of each algorithm, scikit-learn where it
# ends within seconds, and the CPU backend of gpuclust in place of it elsewhere.
GPU = {
    "ward_100k": Case("agglomerative", 100_000, k=10, target=2.0),
    "silhouette_8_sets_50k": Case(
        "silhouette_euclidean", 50_000, ("cuml",), EIGHT, once=("cuml",), target=0.3
    ),
    # Neither stops before 15 iterations: the difference over ten is the time of one.
    "affinity_5_iterations_50k": Case("affinity(max_iter=5)", 50_000),
    "affinity_15_iterations_50k": Case("affinity(max_iter=15)", 50_000),
    "ami_100k": Case("ami", 100_000, labels="balanced:10000", target=0.02),
    "ami_zipf_100k": Case("ami", 100_000, SKLEARN, "zipf:10000", once=SKLEARN),
    # Few classes: torchmetrics loops over them in Python.
    "ami_20_classes_10k": Case(
        "ami", 10_000, ("torchmetrics", "sklearn"), "balanced:20", once=("torchmetrics",)
    ),
    "average_50k": Case(AVERAGE, 50_000, k=10),
    "single_100k": Case(SINGLE, 100_000, ("cuml",), k=10),
    "hdbscan_l1_100k": Case(HDBSCAN.format("l1"), 100_000, runs=2),
    "neighbors_100k": Case("neighbors", 100_000, ("cuml",)),
    "ward_10k": Case("agglomerative", 10_000, SKLEARN, k=10, once=SKLEARN),
    "affinity_10k": Case("affinity(max_iter=100)", 10_000, ("cpu",), once=("cpu",)),
}
ITERATIONS = ("affinity_5_iterations_50k", "affinity_15_iterations_50k", 10)
ITERATION_TARGET = 0.03

"""The study's own recipe: one library call after another, as its protocol describes them.

Nothing is shared: each clusterer and each score is called as in scikit-learn's examples.  UMAP to
50 dimensions with 30 neighbors; K-Means; spectral clustering with `cluster_qr`; Ward's tree twice,
at k and at height 2 (in units of the mean standard deviation of the dimensions times the root of
their number); affinity propagation with damping 0.9; HDBSCAN with at most a fifth of the samples
in a cluster.  Scores: AMI and ARI, Calinski-Harabasz, Davies-Bouldin and the silhouettes, euclidean
and cosine on the original and the reduced embedding, l1 and chebyshev in the reduced one.
"""

import time
import warnings

NEEDS = {"umap": "umap-learn"}


def reduced(X, seed):
    from umap import UMAP

    how = {"n_components": 50, "n_neighbors": 30, "min_dist": 0.0, "metric": "euclidean"}
    return UMAP(**how, random_state=seed, n_jobs=1).fit_transform(X)


def clusterers(Z, k, seed):
    """Return the six estimators by name."""
    from sklearn import cluster

    n, m = Z.shape
    unit = Z.std(axis=0).mean() * m**0.5
    spectral = {"affinity": "nearest_neighbors", "n_neighbors": 10, "assign_labels": "cluster_qr"}
    affinity = {"damping": 0.9, "max_iter": 1000, "convergence_iter": 15}
    return {
        "kmeans": cluster.KMeans(k, n_init=1, max_iter=1000, random_state=seed),
        "spectral": cluster.SpectralClustering(k, **spectral, random_state=seed),
        "agglomerative": cluster.AgglomerativeClustering(k),
        "agglomerative_threshold": cluster.AgglomerativeClustering(
            n_clusters=None, distance_threshold=2.0 * float(unit)
        ),
        "affinity": cluster.AffinityPropagation(**affinity, random_state=seed),
        "hdbscan": cluster.HDBSCAN(
            min_cluster_size=5, max_cluster_size=max(round(0.2 * n), 1), copy=True
        ),
    }


def scores(X, Z, y, labels):
    """Score one clustering."""
    from sklearn import metrics

    found = {
        "ami": metrics.adjusted_mutual_info_score(y, labels),
        "ari": metrics.adjusted_rand_score(y, labels),
    }
    if not 2 <= len(set(labels)) < len(labels):
        return found
    for of, points in (("original", X), ("reduced", Z)):
        found[f"calinski_harabasz_{of}"] = metrics.calinski_harabasz_score(points, labels)
        found[f"davies_bouldin_{of}"] = metrics.davies_bouldin_score(points, labels)
        for metric in ("euclidean", "cosine"):
            name = f"silhouette_{metric}_{of}"
            found[name] = metrics.silhouette_score(points, labels, metric=metric)
    for metric in ("l1", "chebyshev"):
        found[f"silhouette_{metric}_reduced"] = metrics.silhouette_score(Z, labels, metric=metric)
    return {name: float(value) for name, value in found.items()}


def unit(X, y, k, seed):
    results = {"stages": {}, "scores": {}}

    def timed(stage, call, *args):
        start = time.perf_counter()
        value = call(*args)
        spent = results["stages"].get(stage, 0.0)
        results["stages"][stage] = spent + time.perf_counter() - start
        return value

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Z = timed("reduce", reduced, X, seed)
        for name, estimator in clusterers(Z, k, seed).items():
            results[name] = timed(name, estimator.fit_predict, Z)
            results["scores"][name] = timed("score", scores, X, Z, y, results[name])
    return results


METHODS = {"unit": unit}

"""Our algorithms against their oracles on real embeddings.

`data/fashionmnist-300.npz` holds the first 300 images of the Fashion-MNIST test set (MIT) as
EfficientNet-Lite0 sees them: 300 x 1,280 float16, as `gpuclust embed fashionmnist
efficientnet_lite0` writes them, rounded.
"""

import itertools
from pathlib import Path

import numpy as np
import pytest
import sklearn.cluster
from scipy.cluster import hierarchy
from scipy.spatial.distance import cdist
from sklearn import metrics as oracle
from sklearn.metrics import adjusted_rand_score

from gpuclust import algorithms, metrics

NAMES = {"l1": "cityblock"}
METRICS = ("euclidean", "l1", "chebyshev", "cosine")


@pytest.fixture(scope="module", params=[np.float32, np.float64])
def fashion(request):
    with np.load(Path(__file__).parents[1] / "data" / "fashionmnist-300.npz") as data:
        X, y = data["X"].astype(np.float64), data["y"].astype(np.int64)
    # float16 has few values and hence ties; far below its steps, noise makes trees unique.
    X += np.random.default_rng(0).normal(scale=1e-4, size=X.shape)
    return X.astype(request.param), y


@pytest.mark.parametrize(
    ("method", "metric"),
    [
        ("ward", "euclidean"),
        *itertools.product(("average", "complete", "weighted", "single"), METRICS),
    ],
)
def test_trees_are_scipys(xp, fashion, method, metric):
    X, _ = fashion
    if xp.name == "strict":  # which puts rows one by one
        X = X[:120]
    theirs = hierarchy.linkage(X.astype(np.float64), method, NAMES.get(metric, metric))
    ours = algorithms.linkage(xp.put(X), method, metric=metric)
    scale = theirs[-1, 2]
    np.testing.assert_allclose(ours.Z[:, 2], theirs[:, 2], rtol=0, atol=1e-6 * scale)
    wide = xp.put(X.astype(np.float64))
    exact = algorithms.linkage(wide, method, metric=metric, dtype=xp.namespace.float64)
    np.testing.assert_allclose(exact.Z[:, 2], theirs[:, 2], rtol=0, atol=1e-12 * scale)
    for k in (2, 10, 50):
        flat = hierarchy.fcluster(theirs, k, "maxclust")
        assert adjusted_rand_score(ours.cut(n_clusters=k), flat) == 1.0


@pytest.mark.parametrize("metric", METRICS)
def test_hdbscan_is_scikit_learns_where_the_tree_is_unique(xp, fashion, metric):
    X, _ = fashion
    D = cdist(X.astype(np.float64), X.astype(np.float64), NAMES.get(metric, metric))
    theirs = sklearn.cluster.HDBSCAN(
        min_cluster_size=5, min_samples=1, metric="precomputed", copy=True
    ).fit_predict(D)
    model = algorithms.HDBSCAN(min_cluster_size=5, min_samples=1, metric=metric)
    ours = xp.get(model.fit_predict(xp.put(X)))
    np.testing.assert_array_equal(ours == -1, theirs == -1)
    assert adjusted_rand_score(ours, theirs) == 1.0


@pytest.mark.parametrize("damping", [0.5, 0.9])
def test_affinity_propagation_is_scikit_learns(xp, fashion, damping):
    X, _ = fashion
    options = {"damping": damping, "max_iter": 1000, "random_state": 0}
    theirs = sklearn.cluster.AffinityPropagation(**options).fit(X)
    ours = algorithms.AffinityPropagation(**options).fit(xp.put(X))
    centers = xp.get(ours.cluster_centers_indices_)
    np.testing.assert_array_equal(centers, theirs.cluster_centers_indices_)
    np.testing.assert_array_equal(xp.get(ours.labels_), theirs.labels_)


@pytest.mark.parametrize("metric", METRICS)
def test_silhouettes_are_scikit_learns(xp, fashion, metric):
    X, y = fashion
    sets = [y, np.arange(300) % 7, algorithms.linkage(X).cut(n_clusters=40)]
    name = {"l1": "manhattan"}.get(metric, metric)
    expected = [oracle.silhouette_score(X.astype(np.float64), s, metric=name) for s in sets]
    tolerance = 1e-5 if X.dtype == np.float32 else 1e-9
    found = metrics.silhouette_scores(xp.put(X), [xp.put(s) for s in sets], metric=metric)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)

"""Results do not depend on the unit of the samples: float32 and float64, tiny and huge."""

import numpy as np
import pytest
from scipy.cluster.hierarchy import linkage as scipy_linkage
from scipy.spatial.distance import pdist, squareform
from sklearn.cluster import HDBSCAN as TheirHDBSCAN
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score
from sklearn.neighbors import NearestNeighbors

from gpuclust.algorithms import (
    HDBSCAN,
    AffinityPropagation,
    Agglomerative,
    SpectralClustering,
    UnitLength,
    ZScore,
    linkage,
    minimum_spanning_tree,
)
from gpuclust.algorithms.hdbscan.estimator import mutual_reachability_tree
from gpuclust.algorithms.scale import mean_spread
from gpuclust.algorithms.umap import UMAP
from gpuclust.arrays import METRICS
from gpuclust.arrays.neighbors import kneighbors
from gpuclust.errors import InputError
from gpuclust.methods import units
from gpuclust.metrics import silhouette_scores

# By dtype: powers of two that bring denormal numbers, squares of 0, squares of infinity, and
# the largest numbers.
EXPONENTS = [
    *((np.float32, exponent) for exponent in (-138, -100, -60, 70, 120)),
    *((np.float64, exponent) for exponent in (-1060, -520, -170, 140, 520, 1010)),
]
SIZES = pytest.mark.parametrize(("dtype", "exponent"), EXPONENTS)
SCIPY = {"euclidean": "euclidean", "l1": "cityblock", "chebyshev": "chebyshev", "cosine": "cosine"}
LINKAGES = ("ward", "average", "complete", "weighted", "single")


@pytest.fixture(scope="module")
def groups():
    """Four groups of 15 samples, (60, 8) float64, each value a multiple of 2^-10."""
    random = np.random.default_rng(0)
    X = random.normal(size=(60, 8)) + 8 * np.eye(8)[np.repeat(np.arange(4), 15)]
    return np.round(X * 1024) / 1024


@pytest.fixture(scope="module")
def truth():
    return np.repeat(np.arange(4), 15)


def scaled(X, dtype, exponent):
    """Multiply by a power of two, exactly: all values have few digits."""
    found = np.ldexp(X, exponent).astype(dtype)
    assert np.array_equal(np.ldexp(found.astype(np.float64), -exponent), X)
    return found


def rtol(exponent):
    """Return a tolerance for lengths in this unit: denormal numbers have few digits."""
    return 1e-4 if exponent == -1060 else 1e-5


def unscaled(values, exponent):
    return np.ldexp(np.asarray(values, np.float64), -exponent)


@SIZES
@pytest.mark.parametrize("metric", METRICS)
def test_neighbors_are_scikit_learns_of_samples_of_ordinary_size(
    xp, groups, dtype, exponent, metric
):
    name = "manhattan" if metric == "l1" else metric
    expected, _ = NearestNeighbors(n_neighbors=5, metric=name).fit(groups).kneighbors()
    X = scaled(groups, dtype, exponent)
    distances, indices = (xp.get(part) for part in kneighbors(xp.put(X), 5, metric=metric))
    unit = 0 if metric == "cosine" else exponent
    np.testing.assert_allclose(unscaled(distances, unit), expected, 2e-5)
    every = squareform(pdist(groups, SCIPY[metric]))
    np.testing.assert_allclose(np.take_along_axis(every, indices, axis=1), expected, 2e-5)


@SIZES
@pytest.mark.parametrize("method", LINKAGES)
def test_trees_are_scipys_of_samples_of_ordinary_size(xp, groups, truth, dtype, exponent, method):
    tree = linkage(xp.put(scaled(groups, dtype, exponent)), method)
    np.testing.assert_allclose(
        unscaled(tree.Z[:, 2], exponent), scipy_linkage(groups, method)[:, 2], rtol(exponent)
    )
    np.testing.assert_array_equal(tree.cut(n_clusters=4), truth)


@SIZES
@pytest.mark.parametrize("metric", ["l1", "chebyshev", "cosine"])
def test_trees_of_other_metrics_are_scipys(xp, groups, dtype, exponent, metric):
    X = groups + 20  # no zero vector, and angles that differ
    tree = linkage(xp.put(scaled(X, dtype, exponent)), "complete", metric=metric)
    expected = scipy_linkage(X, "complete", SCIPY[metric])[:, 2]
    unit = 0 if metric == "cosine" else exponent
    np.testing.assert_allclose(unscaled(tree.Z[:, 2], unit), expected, rtol(exponent))


@SIZES
def test_spanning_trees_and_core_distances_are_in_the_unit_of_the_samples(
    xp, groups, dtype, exponent
):
    X = xp.put(scaled(groups, dtype, exponent))
    for build in (minimum_spanning_tree, mutual_reachability_tree):
        np.testing.assert_allclose(
            unscaled(build(X).weight, exponent), build(groups).weight, rtol(exponent)
        )
    core = np.linspace(0, 3, 60)
    found = minimum_spanning_tree(X, core_distances=np.ldexp(core, exponent))
    expected = minimum_spanning_tree(groups, core_distances=core)
    np.testing.assert_allclose(unscaled(found.weight, exponent), expected.weight, rtol(exponent))


@SIZES
def test_clusters_do_not_depend_on_the_unit(xp, groups, truth, dtype, exponent):
    X = xp.put(scaled(groups, dtype, exponent))
    expected = TheirHDBSCAN(min_cluster_size=8, min_samples=4, copy=True).fit(groups).labels_
    own = HDBSCAN(min_cluster_size=8, min_samples=4).fit_predict(X)
    assert adjusted_rand_score(xp.get(own), expected) == 1
    for model in (
        AffinityPropagation(random_state=0, damping=0.9),
        AffinityPropagation(random_state=0, preference=-np.ldexp(1.0, 2 * exponent) * 100)
        if -500 < exponent < 500
        else AffinityPropagation(random_state=0, damping=0.8),
    ):
        assert adjusted_rand_score(xp.get(model.fit_predict(X)), truth) == 1
    spectral = SpectralClustering(4, n_neighbors=25, random_state=0)
    ordinary = spectral.fit_predict(xp.put(groups))
    np.testing.assert_array_equal(xp.get(spectral.fit_predict(X)), xp.get(ordinary))


@SIZES
def test_thresholds_are_in_the_unit_of_the_samples(xp, groups, truth, dtype, exponent):
    X = xp.put(scaled(groups, dtype, exponent))
    height = float(np.ldexp(12.0, exponent))
    if np.isfinite(height) and height > 0:
        cut = Agglomerative(distance_threshold=height, linkage="complete").fit_predict(X)
        np.testing.assert_array_equal(xp.get(cut), truth)
        for epsilon in (0.0, 1.0, 4.0):
            model = {"min_cluster_size": 3, "min_samples": 2}
            there = HDBSCAN(**model, cluster_selection_epsilon=float(np.ldexp(epsilon, exponent)))
            here = HDBSCAN(**model, cluster_selection_epsilon=epsilon).fit_predict(groups)
            np.testing.assert_array_equal(xp.get(there.fit_predict(X)), here)
    spread = mean_spread(X)
    assert np.ldexp(spread, -exponent) == pytest.approx(mean_spread(groups), rel=1e-3)


@SIZES
def test_silhouettes_do_not_depend_on_the_unit(xp, groups, truth, dtype, exponent):
    X = scaled(groups, dtype, exponent)
    for metric in (*METRICS, ("euclidean", "cosine")):
        found = silhouette_scores(xp.put(X), [truth], metric=metric)
        np.testing.assert_allclose(found, silhouette_scores(groups, [truth], metric=metric), 1e-5)


@SIZES
def test_scalings_do_not_depend_on_the_unit(xp, groups, dtype, exponent):
    X = xp.put(scaled(groups, dtype, exponent))
    for scaling in (UnitLength(), ZScore()):
        found = xp.get(scaling.fit_transform(X))
        assert found.dtype == dtype
        np.testing.assert_allclose(found, scaling.fit_transform(groups), 1e-4, atol=1e-6)


@SIZES
def test_classes_of_libraries_get_samples_whose_squares_are_in_range(groups, dtype, exponent):
    X = scaled(groups, dtype, exponent)
    components = units.fit_transform(PCA(3, random_state=0), X)
    assert components.dtype == dtype
    expected = PCA(3, random_state=0).fit_transform(groups)
    np.testing.assert_allclose(unscaled(components, exponent), expected, 1e-4, atol=1e-2)
    theirs = TheirHDBSCAN(min_cluster_size=8, copy=True)
    labels = units.fit_predict(theirs, X)
    np.testing.assert_array_equal(labels, theirs.fit_predict(groups))


@SIZES
def test_umap_has_the_same_layout_in_any_unit(groups, dtype, exponent):
    if exponent in (-1060, -138):
        pytest.skip("rounded distances")
    how = {"n_components": 2, "n_neighbors": 10, "min_dist": 0.1, "metric": "euclidean"}

    def layout(X):
        graph = kneighbors(X, 10, include_self=True)
        return UMAP(neighbors=graph, random_state=0, **how).fit_transform(X)

    Z = layout(scaled(groups, dtype, exponent))
    nearest = kneighbors(Z, 5)[1]
    assert (nearest // 15 == np.arange(60)[:, None] // 15).mean() > 0.95


@pytest.mark.parametrize("huge", [1e12, 1e20, 1e30])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_huge_feature_beside_ordinary_ones_hides_none_of_them(xp, groups, dtype, huge):
    # The huge feature separates two halves; within them distances are those of the others.
    X = np.column_stack([groups, np.repeat([0.0, huge], 30)]).astype(dtype)
    expected = scipy_linkage(X.astype(np.float64), "average")[:, 2]
    np.testing.assert_allclose(linkage(xp.put(X), "average").Z[:, 2], expected, 1e-5)
    weights = minimum_spanning_tree(xp.put(X)).weight
    expected = scipy_linkage(X.astype(np.float64), "single")[:, 2]
    np.testing.assert_allclose(weights, expected, 1e-5)
    distances, _ = kneighbors(xp.put(X), 3)
    theirs = NearestNeighbors(n_neighbors=3).fit(X.astype(np.float64)).kneighbors()[0]
    np.testing.assert_allclose(xp.get(distances), theirs, 1e-4)


@pytest.mark.parametrize("tiny", [1e-12, 1e-20, 1e-30])
def test_a_constant_feature_of_ordinary_size_hides_no_tiny_ones(xp, groups, tiny):
    X = np.column_stack([groups * tiny, np.full(60, 3.0)]).astype(np.float32)
    heights = linkage(xp.put(X), "ward").Z[:, 2] / tiny
    np.testing.assert_allclose(heights, scipy_linkage(groups, "ward")[:, 2], 1e-4)
    weights = minimum_spanning_tree(xp.put(X)).weight / tiny
    np.testing.assert_allclose(weights, minimum_spanning_tree(groups).weight, 1e-4)


@pytest.mark.parametrize("method", LINKAGES)
def test_heights_beyond_float64_are_refused(xp, method):
    X = xp.put(np.array([[1.7e308, 1.0], [-1.7e308, 3.0], [1.0, 1.7e308]]))
    with pytest.raises(InputError, match="Divide X"):
        linkage(X, method)
    with pytest.raises(InputError, match="Divide X"):
        kneighbors(X, 2)


def test_the_order_of_the_samples_does_not_matter_in_any_unit(xp, groups):
    order = np.random.default_rng(1).permutation(60)
    X = scaled(groups, np.float32, -100)
    there, here = (minimum_spanning_tree(xp.put(part)).weight for part in (X[order], X))
    np.testing.assert_array_equal(there, here)
    twice = np.concatenate([X, X[:20]])
    assert np.count_nonzero(minimum_spanning_tree(xp.put(twice)).weight == 0) == 20

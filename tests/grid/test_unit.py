"""How much work is done, counted: a regression shows here on any machine, however noisy it is."""

import collections

import numpy as np
import pytest
from sklearn.datasets import load_digits

from gpuclust.algorithms import HDBSCAN, linkage, minimum_spanning_tree
from gpuclust.algorithms.linkage import ward
from gpuclust.algorithms.umap.ahead import prepare
from gpuclust.arrays import distances, gram, neighbors
from gpuclust.cell import Cell, units_of
from gpuclust.device import backend
from gpuclust.embeddings.data import Data
from gpuclust.methods.table import CLUSTERERS
from gpuclust.pipeline import run_unit

CPU = backend.select("cpu")


@pytest.fixture(scope="module")
def X():
    return load_digits(return_X_y=True)[0].astype(np.float32)


@pytest.fixture
def passes(monkeypatch):
    """Count the passes over all distances, by metric and number of dimensions."""
    counted = collections.Counter()
    original = distances.distance_blocks

    def distance_blocks(X, *, metric="euclidean", **how):
        counted[metric, X.shape[1]] += 1
        return original(X, metric=metric, **how)

    monkeypatch.setattr(distances, "distance_blocks", distance_blocks)
    return counted


@pytest.fixture
def bounded(monkeypatch):
    """Count the pairs of clusters in Ward's search."""
    counted = []
    original = ward._LowerBounds.block

    def block(self, rows):
        found = original(self, rows)
        counted.append(found.shape[0] * found.shape[1])
        return found

    monkeypatch.setattr(ward._LowerBounds, "block", block)
    return counted


def unit_of(X, reducer, **how):
    y = load_digits(return_X_y=True)[1][: len(X)]
    names = {"dataset": "digits", "split": "all", "encoder": "raw"}
    (unit,) = units_of(Cell.of(**names, reducer=reducer, clusterer=c, **how) for c in CLUSTERERS)
    return list(run_unit(unit, Data(X, y, "f"), CPU))


def test_six_clusterings_are_scored_in_one_pass_per_space_and_metric(X, passes):
    scores = ("silhouette_euclidean", "silhouette_cosine", "silhouette_l1_reduced")
    unit_of(X[:300], "pca(20)", metrics=scores)
    of_scores = {key: count for key, count in passes.items() if key != ("euclidean", 20)}
    assert of_scores == {(distances.PAIR, 64): 1, (distances.PAIR, 20): 1, ("l1", 20): 1}
    # The other scores need no distances, and HDBSCAN has trees in so few dimensions.
    assert passes["euclidean", 20] == 0


def test_two_metrics_of_wide_rows_take_one_product(monkeypatch):
    rows = np.random.default_rng(0).normal(size=(300, 256)).astype(np.float32)
    multiplied = []
    original = gram.squared_blocks
    monkeypatch.setattr(
        gram, "squared_blocks", lambda xp, X: multiplied.append(1) or original(xp, X)
    )
    for _ in distances.distance_blocks(rows, metric=distances.PAIR):
        pass
    assert len(multiplied) == 1


def test_neighbors_are_searched_once_per_representation(X, monkeypatch):
    searched = []
    original = neighbors.kneighbors

    def kneighbors(X, k, **how):
        searched.append((X.shape[1], k))
        return original(X, k, **how)

    prepare()  # compiles once per process, by a search of its own
    monkeypatch.setattr(neighbors, "kneighbors", kneighbors)
    unit_of(X[:200], "umap(n_components=4)", metrics=("ami",))
    assert searched == [(64, 30)]


@pytest.mark.parametrize(("n", "most"), [(900, 3.0), (1797, 3.0)])
def test_wards_tree_looks_at_few_times_n_squared_pairs(X, bounded, n, most):
    linkage(X[:n], "ward")
    assert 0 < sum(bounded) < most * n * n


def test_a_spanning_tree_and_hdbscan_take_few_passes(X, passes):
    minimum_spanning_tree(X[:600])
    assert 0 < sum(passes.values()) <= 4
    passes.clear()
    HDBSCAN(min_samples=5, metric="l1").fit_predict(X[:600])
    assert 0 < sum(passes.values()) <= 4

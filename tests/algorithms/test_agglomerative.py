import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster import hierarchy
from sklearn.cluster import AgglomerativeClustering
from sklearn.metrics import adjusted_rand_score

from gpuclust.algorithms import Agglomerative, linkage
from gpuclust.algorithms.linkage import agglomerative
from gpuclust.errors import CellError, InputError

SKLEARN = {"l1": "manhattan"}


def without_ties(X):
    """Add a little noise: integer pixels have tied heights, and the tree is not unique."""
    return X + np.random.default_rng(0).normal(scale=1e-3, size=X.shape)


PAIRS = [
    ("ward", "euclidean"),
    ("average", "cosine"),
    ("complete", "l1"),
    ("single", "chebyshev"),
]


@pytest.mark.parametrize(("method", "metric"), PAIRS)
@pytest.mark.parametrize("k", [1, 2, 10, 599, 600])
def test_a_cut_by_number_is_scikit_learns_clustering(digits, method, metric, k):
    X = without_ties(digits.X)
    ours = linkage(X, method, metric=metric).cut(n_clusters=k)
    theirs = AgglomerativeClustering(
        n_clusters=k, linkage=method, metric=SKLEARN.get(metric, metric)
    ).fit_predict(X)
    assert len(set(ours)) == k
    assert adjusted_rand_score(ours, theirs) == 1.0


@pytest.mark.parametrize(("method", "metric"), PAIRS)
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_heights_are_scipys(xp, digits, method, metric, offset):
    X = without_ties(digits.X[:300].astype(np.float64)) + offset
    X[7] = X[8] + 1e-5  # a near-duplicate: the matrix product alone would lose its distance
    theirs = hierarchy.linkage(X, method, {"l1": "cityblock"}.get(metric, metric))
    ours = linkage(xp.put(X), method, metric=metric)
    np.testing.assert_allclose(ours.Z[:, 2], theirs[:, 2], rtol=1e-6, atol=1e-9 * theirs[-1, 2])


def test_a_cut_by_height_is_scikit_learns_clustering(xp, digits):
    ours = xp.get(Agglomerative(distance_threshold=90.0).fit_predict(xp.put(digits.X)))
    theirs = AgglomerativeClustering(n_clusters=None, distance_threshold=90.0)
    assert adjusted_rand_score(ours, theirs.fit_predict(digits.X)) == 1.0
    assert 2 < len(set(ours)) < 100


@given(st.integers(1, 40), st.floats(0, 50), st.integers(0, 100))
@settings(max_examples=50, deadline=None)
def test_every_cut_agrees_with_scipy_and_labels_count_from_zero(n, height, seed):
    X = np.random.default_rng(seed).normal(scale=10, size=(n, 3))
    tree = linkage(X)
    labels = tree.cut(distance_threshold=height)
    assert list(dict.fromkeys(labels)) == list(range(labels.max() + 1))
    if n > 1:
        below = np.nextafter(height, -np.inf)  # fcluster keeps merges at the height, `cut` does not
        assert adjusted_rand_score(labels, hierarchy.fcluster(tree.Z, below, "distance")) == 1.0


def test_one_tree_serves_every_cut_and_labels_are_where_x_is(xp, digits, monkeypatch):
    memory, X = {}, xp.put(digits.X[:200])
    Agglomerative(n_clusters=3, memory=memory).fit_predict(X)
    monkeypatch.setattr(agglomerative, "linkage", None)
    labels = xp.get(Agglomerative(n_clusters=5, memory=memory).fit_predict(X))
    assert len(set(labels.tolist())) == 5
    assert labels.dtype == np.int64
    assert type(memory["ward", "euclidean"][1].cut(n_clusters=5)) is np.ndarray


@pytest.mark.parametrize("factor", [1e-3, 1.0, 1e3])
def test_a_standardized_threshold_does_not_depend_on_the_units_of_the_data(xp, digits, factor):
    X = without_ties(digits.X)
    reference = Agglomerative(distance_threshold=2.0, standardize=True).fit_predict(X)
    model = Agglomerative(distance_threshold=2.0, standardize=True)
    scaled = xp.get(model.fit_predict(xp.put(X * factor)))
    assert adjusted_rand_score(reference, scaled) == 1.0


def test_the_standardized_threshold_is_the_studys(digits):
    # azscore and the division by sqrt(d), applied to the data instead of the threshold.
    X = without_ties(digits.X)
    scaled = (X - X.mean(axis=0)) / X.std(axis=0).mean() / np.sqrt(X.shape[1])
    theirs = AgglomerativeClustering(n_clusters=None, distance_threshold=2.0).fit_predict(scaled)
    ours = Agglomerative(distance_threshold=2.0, standardize=True).fit_predict(X)
    assert adjusted_rand_score(ours, theirs) == 1.0


@pytest.mark.parametrize("cut", [{}, {"n_clusters": 2, "distance_threshold": 1.0}])
def test_a_tree_is_cut_in_exactly_one_way(digits, cut):
    with pytest.raises(InputError, match="give one"):
        linkage(digits.X[:10]).cut(**cut)


@pytest.mark.parametrize("k", [0, 11])
def test_an_impossible_number_of_clusters_says_what_is_possible(digits, k):
    with pytest.raises(InputError, match="from 1 to 10"):
        linkage(digits.X[:10]).cut(n_clusters=k)


def test_cosine_of_a_zero_vector_is_an_error_not_a_nan(xp):
    X = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    with pytest.raises(CellError, match="all zeros"):
        linkage(xp.put(X), "average", metric="cosine")

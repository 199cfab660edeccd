import warnings

import numpy as np
import pytest
import sklearn.cluster
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.cluster._spectral import cluster_qr as their_cluster_qr
from sklearn.cluster._spectral import discretize as their_discretize
from sklearn.datasets import load_digits, make_blobs
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score

from gpuclust.algorithms.spectral.estimator import (
    SpectralClustering,
    assign,
    cluster_qr,
    connectivity,
    discretize,
)
from gpuclust.arrays.neighbors import kneighbors
from gpuclust.errors import InputError, UnknownNameError

# The array libraries keep no state between examples.
EACH_LIBRARY = [HealthCheck.function_scoped_fixture]


@pytest.fixture(scope="module")
def digits():
    X = load_digits().data[:500]
    return PCA(15, random_state=0).fit_transform(X)  # integer pixels tie, components do not


@pytest.fixture(scope="module")
def overlapping():
    return make_blobs(300, 8, centers=6, cluster_std=4, random_state=1)[0]


def embedding(n, k, seed):
    """Return indicators of k clusters with noise, rotated, and the clusters."""
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.arange(k), rng.integers(0, k, n - k)])
    rotation = np.linalg.qr(rng.standard_normal((k, k)))[0]
    return (np.eye(k)[y] + 0.05 * rng.standard_normal((n, k))) @ rotation, y


@pytest.mark.parametrize("assign", ["cluster_qr", "discretize"])
@pytest.mark.parametrize("data", ["digits", "overlapping"])
def test_labels_are_those_of_scikit_learn(request, data, assign):
    X = request.getfixturevalue(data)
    theirs = sklearn.cluster.SpectralClustering(
        8, affinity="nearest_neighbors", assign_labels=assign, random_state=0
    ).fit_predict(X)
    ours = SpectralClustering(8, assign_labels=assign, random_state=0).fit_predict(X)
    assert adjusted_rand_score(ours, theirs) == 1
    assert len(np.unique(ours)) == 8


def test_another_device_gives_the_same_labels_on_that_device(device_xp, overlapping):
    model = SpectralClustering(6, random_state=0)
    labels = device_xp.get(model.fit_predict(device_xp.put(overlapping)))
    np.testing.assert_array_equal(labels, model.fit_predict(overlapping))


def test_a_given_graph_of_more_neighbors_gives_the_same_labels(xp, overlapping):
    model = SpectralClustering(6, n_neighbors=10, random_state=0)
    graph = kneighbors(xp.put(overlapping), 14)
    labels = xp.get(model.fit_predict(xp.put(overlapping), neighbors=graph))
    np.testing.assert_array_equal(labels, model.fit_predict(overlapping))


def test_a_graph_that_does_not_fit_is_refused(overlapping):
    model = SpectralClustering(6, n_neighbors=10)
    with pytest.raises(InputError, match="kneighbors"):
        model.fit(overlapping, neighbors=kneighbors(overlapping, 8))
    with pytest.raises(InputError, match="kneighbors"):
        model.fit(overlapping, neighbors=kneighbors(overlapping[:-1], 9))


def test_permuting_the_rows_permutes_the_clusters(overlapping):
    order = np.random.default_rng(0).permutation(len(overlapping))
    model = SpectralClustering(6, random_state=0)
    labels, permuted = model.fit_predict(overlapping), model.fit_predict(overlapping[order])
    assert adjusted_rand_score(labels[order], permuted) == 1


def test_an_unconnected_graph_warns_and_its_components_are_found():
    X, y = make_blobs(90, 3, centers=[[0] * 3, [50] * 3, [99] * 3], random_state=0)
    with pytest.warns(UserWarning, match="not fully connected"):
        labels = SpectralClustering(3, n_neighbors=8, random_state=0).fit_predict(X)
    assert adjusted_rand_score(labels, y) == 1


@settings(max_examples=40, deadline=None, suppress_health_check=EACH_LIBRARY)
@given(k=st.integers(1, 6), more=st.integers(0, 30), seed=st.integers(0, 10**6))
def test_both_assignments_agree_with_scikit_learn(xp, k, more, seed):
    vectors, y = embedding(k + more, k, seed)
    quick = xp.get(assign(xp.put(vectors), "cluster_qr"))
    rotated = xp.get(assign(xp.put(vectors), "discretize", 0))
    assert quick.dtype == rotated.dtype == np.int64
    assert adjusted_rand_score(quick, their_cluster_qr(vectors)) == 1
    assert adjusted_rand_score(quick, y) == 1
    assert adjusted_rand_score(rotated, their_discretize(vectors, random_state=0)) == 1


def test_the_graph_is_that_of_scikit_learn(xp, overlapping):
    model = sklearn.cluster.SpectralClustering(6, affinity="nearest_neighbors", n_neighbors=10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = model.fit(overlapping).affinity_matrix_
    _, indices = kneighbors(xp.put(overlapping), 12)
    np.testing.assert_array_equal(connectivity(indices, 10).toarray(), theirs.toarray())


def test_a_graph_of_each_sample_with_itself_is_the_identity(xp):
    graph = connectivity(xp.put(np.zeros((3, 2), dtype=np.int64)), 1)
    np.testing.assert_array_equal(graph.toarray(), np.eye(3))


def test_a_graph_of_too_few_neighbors_is_refused(xp, overlapping):
    _, indices = kneighbors(xp.put(overlapping), 8)
    with pytest.raises(InputError, match=r"kneighbors\(X, 9\)"):
        connectivity(indices, 10)


def test_zero_rows_of_an_embedding_get_a_label_without_a_warning(xp):
    vectors = np.concatenate([np.eye(3), np.zeros((2, 3))])
    for labels in (cluster_qr(xp.put(vectors)), discretize(xp.put(vectors), 0)):
        labels = xp.get(labels)
        assert sorted(set(labels[:3].tolist())) == [0, 1, 2]
        assert set(labels.tolist()) <= {0, 1, 2}


def test_equal_rows_are_clustered_without_failing(xp):
    model = SpectralClustering(2, n_neighbors=3, random_state=0)
    assert set(xp.get(model.fit_predict(xp.put(np.ones((8, 2))))).tolist()) <= {0, 1}


@pytest.mark.parametrize(("n", "k"), [(2, 1), (3, 1)])
def test_a_single_cluster_holds_all_samples(xp, n, k):
    X = xp.put(np.arange(float(n))[:, None])
    assert xp.get(SpectralClustering(k, n_neighbors=2).fit_predict(X)).tolist() == [0] * n


@pytest.mark.parametrize(
    ("n", "params", "message"),
    [
        (1, {"n_clusters": 1, "n_neighbors": 1}, "n_clusters"),
        (5, {"n_clusters": 5, "n_neighbors": 2}, "n_clusters"),
        (5, {"n_clusters": 2, "n_neighbors": 6}, "n_neighbors"),
    ],
)
def test_more_clusters_or_neighbors_than_samples_are_refused(n, params, message):
    with pytest.raises(InputError, match=message):
        SpectralClustering(**params).fit(np.arange(float(n))[:, None])


def test_an_unknown_assignment_and_a_vector_are_refused():
    with pytest.raises(UnknownNameError, match="cluster_qr"):
        SpectralClustering(2, assign_labels="qr").fit(np.eye(4))
    with pytest.raises(UnknownNameError, match="discretize"):
        assign(np.eye(4), "discretise")
    with pytest.raises(InputError, match="shape"):
        SpectralClustering(2).fit(np.ones(4))
    with pytest.raises(InputError, match="k <= n"):
        cluster_qr(np.ones((2, 3)))

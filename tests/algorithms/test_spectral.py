import array_api_strict
import numpy as np
import pytest
import sklearn.cluster
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster._spectral import cluster_qr as their_cluster_qr
from sklearn.cluster._spectral import discretize as their_discretize
from sklearn.datasets import load_digits, make_blobs
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score

from gpuclust.algorithms.spectral import SpectralClustering, cluster_qr, discretize
from gpuclust.errors import InputError, UnknownNameError
from gpuclust.neighbors import kneighbors
from gpuclust.ops import to_host

DEVICE = array_api_strict.Device("device1")


def on_numpy(values):
    return np.asarray(values)


def on_strict(values):
    return array_api_strict.asarray(values, device=DEVICE)


@pytest.fixture(params=[on_numpy, on_strict], ids=["numpy", "strict-device1"])
def put(request):
    return request.param


@pytest.fixture(scope="module")
def digits():
    X = load_digits().data[:500]
    return PCA(15, random_state=0).fit_transform(X)  # whole pixels tie, components do not


@pytest.fixture(scope="module")
def overlapping():
    return make_blobs(300, 8, centers=6, cluster_std=4, random_state=1)[0]


def embedding(n, k, seed):
    """Indicators of k clusters, blurred and rotated."""
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


def test_another_device_gives_the_same_labels_on_that_device(overlapping):
    model = SpectralClustering(6, random_state=0)
    labels = model.fit_predict(on_strict(overlapping))
    assert labels.device == DEVICE
    np.testing.assert_array_equal(to_host(labels), model.fit_predict(overlapping))


def test_a_wider_graph_that_is_handed_in_gives_the_same_labels(put, overlapping):
    model = SpectralClustering(6, n_neighbors=10, random_state=0)
    graph = kneighbors(put(overlapping), 14)
    labels = to_host(model.fit_predict(put(overlapping), neighbors=graph))
    np.testing.assert_array_equal(labels, model.fit_predict(overlapping))


def test_a_graph_that_does_not_fit_is_refused(overlapping):
    model = SpectralClustering(6, n_neighbors=10)
    with pytest.raises(InputError, match="kneighbors"):
        model.fit(overlapping, kneighbors(overlapping, 8))
    with pytest.raises(InputError, match="kneighbors"):
        model.fit(overlapping, kneighbors(overlapping[:-1], 9))


def test_permuting_the_rows_permutes_the_clusters(overlapping):
    order = np.random.default_rng(0).permutation(len(overlapping))
    model = SpectralClustering(6, random_state=0)
    labels, permuted = model.fit_predict(overlapping), model.fit_predict(overlapping[order])
    assert adjusted_rand_score(labels[order], permuted) == 1


def test_a_graph_in_pieces_is_warned_about_and_its_pieces_are_found():
    X, y = make_blobs(90, 3, centers=[[0] * 3, [50] * 3, [99] * 3], random_state=0)
    with pytest.warns(UserWarning, match="not fully connected"):
        labels = SpectralClustering(3, n_neighbors=8, random_state=0).fit_predict(X)
    assert adjusted_rand_score(labels, y) == 1


@settings(max_examples=40, deadline=None)
@given(k=st.integers(1, 6), more=st.integers(0, 30), seed=st.integers(0, 10**6))
def test_both_assignments_agree_with_scikit_learn_on_every_namespace(k, more, seed):
    vectors, y = embedding(k + more, k, seed)
    for put in (on_numpy, on_strict):
        quick = to_host(cluster_qr(put(vectors)))
        rotated = to_host(discretize(put(vectors), 0))
        assert quick.dtype == rotated.dtype == np.int64
        assert adjusted_rand_score(quick, their_cluster_qr(vectors)) == 1
        assert adjusted_rand_score(quick, y) == 1
        assert adjusted_rand_score(rotated, their_discretize(vectors, random_state=0)) == 1


def test_zero_rows_of_an_embedding_get_a_label_without_a_warning(put):
    vectors = np.concatenate([np.eye(3), np.zeros((2, 3))])
    for labels in (cluster_qr(put(vectors)), discretize(put(vectors), 0)):
        labels = to_host(labels)
        assert sorted(set(labels[:3].tolist())) == [0, 1, 2]
        assert set(labels.tolist()) <= {0, 1, 2}


def test_equal_rows_are_clustered_without_failing():
    labels = SpectralClustering(2, n_neighbors=3, random_state=0).fit_predict(np.ones((8, 2)))
    assert set(labels.tolist()) <= {0, 1}


@pytest.mark.parametrize(("n", "k"), [(2, 1), (3, 1)])
def test_a_single_cluster_holds_all_samples(n, k):
    X = np.arange(float(n))[:, None]
    assert SpectralClustering(k, n_neighbors=2).fit_predict(X).tolist() == [0] * n


@pytest.mark.parametrize(
    ("n", "params", "message"),
    [
        (1, {"n_clusters": 1, "n_neighbors": 1}, "n_clusters"),
        (5, {"n_clusters": 5, "n_neighbors": 2}, "n_clusters"),
        (5, {"n_clusters": 2, "n_neighbors": 6}, "n_neighbors"),
    ],
)
def test_more_clusters_or_neighbours_than_samples_are_refused(n, params, message):
    with pytest.raises(InputError, match=message):
        SpectralClustering(**params).fit(np.arange(float(n))[:, None])


def test_an_unknown_assignment_and_a_vector_are_refused():
    with pytest.raises(UnknownNameError, match="cluster_qr"):
        SpectralClustering(2, assign_labels="qr").fit(np.eye(4))
    with pytest.raises(InputError, match="shape"):
        SpectralClustering(2).fit(np.ones(4))
    with pytest.raises(InputError, match="k <= n"):
        cluster_qr(np.ones((2, 3)))

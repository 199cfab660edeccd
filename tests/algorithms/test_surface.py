"""Surface of our algorithms: scikit-learn's methods, and input as people have it."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from gpuclust import metrics
from gpuclust.algorithms import (
    HDBSCAN,
    AffinityPropagation,
    Agglomerative,
    Identity,
    SpectralClustering,
    UnitLength,
    ZScore,
    cluster_qr,
    discretize,
    linkage,
    minimum_spanning_tree,
)
from gpuclust.arrays.neighbors import kneighbors
from gpuclust.errors import GpuclustError, InputError, UnknownNameError

CLUSTERERS = [
    Agglomerative(n_clusters=3),
    HDBSCAN(),
    AffinityPropagation(random_state=0),
    SpectralClustering(3, random_state=0),
]
SCALINGS = [Identity(), UnitLength(), ZScore()]
Y = np.repeat([0, 1, 2], 20)
X = np.random.default_rng(0).normal(size=(60, 4)) + 5 * np.eye(4)[Y]


def name_of(model):
    return type(model).__name__


@pytest.mark.parametrize("model", CLUSTERERS, ids=name_of)
@pytest.mark.filterwarnings("ignore:Graph is not fully connected")
@pytest.mark.filterwarnings("ignore:Affinity propagation did not converge")
def test_a_second_fit_gives_the_labels_of_its_own_samples(model):
    other = np.random.default_rng(1).permutation(X)[:50] * 3
    model = clone(model)
    model.fit_predict(X)
    np.testing.assert_array_equal(model.fit_predict(other), clone(model).fit(other).labels_)
    changed = X.copy()
    model.fit(changed)
    changed[:30] += 100.0  # the same object with other content
    np.testing.assert_array_equal(model.fit(changed).labels_, clone(model).fit(changed).labels_)


def test_a_memory_of_trees_serves_only_the_samples_it_was_built_from():
    memory, other = {}, X[::-1] * 2
    first = Agglomerative(n_clusters=3, memory=memory).fit(X)
    assert Agglomerative(n_clusters=2, memory=memory).fit(X).tree_ is first.tree_
    got = Agglomerative(n_clusters=3, memory=memory).fit_predict(other)
    np.testing.assert_array_equal(got, Agglomerative(n_clusters=3).fit_predict(other))
    with pytest.raises(InputError, match="memory is '/tmp/cache'"):
        Agglomerative(memory="/tmp/cache").fit(X)


@pytest.mark.parametrize("model", [*CLUSTERERS, *SCALINGS], ids=name_of)
def test_parameters_are_read_set_and_cloned(model):
    params = model.get_params()
    assert clone(model).get_params() == params
    for name, value in params.items():
        assert model.set_params(**{name: value}) is model
    with pytest.raises(UnknownNameError, match="n_cluster"):
        model.set_params(n_cluster=3)
    assert eval(repr(model)).get_params() == params


@pytest.mark.parametrize("model", [*CLUSTERERS, *SCALINGS], ids=name_of)
@pytest.mark.filterwarnings("ignore:Graph is not fully connected")
def test_lists_frames_and_tensors_are_samples(model):
    run = model.fit_predict if hasattr(model, "fit_predict") else model.fit_transform
    expected = run(X)
    for given in (X.tolist(), pd.DataFrame(X), np.asfortranarray(X), np.ma.masked_array(X)):
        got = run(given)
        assert type(got) is type(given) or type(got) is np.ndarray
        np.testing.assert_allclose(np.asarray(got), expected, rtol=1e-12, atol=1e-12)
    tensor = run(torch.tensor(X, requires_grad=True))
    assert isinstance(tensor, torch.Tensor)
    np.testing.assert_array_equal(tensor.numpy(), expected)


@pytest.mark.filterwarnings("ignore:Graph is not fully connected")
def test_scalings_and_clusterers_make_a_pipeline():
    for model in CLUSTERERS:
        labels = make_pipeline(ZScore(), clone(model)).fit_predict(X)
        np.testing.assert_array_equal(labels, model.fit_predict(ZScore().fit_transform(X)))


def test_functions_take_lists_frames_and_tensors():
    for given in (X.tolist(), pd.DataFrame(X), torch.tensor(X)):
        np.testing.assert_array_equal(linkage(given).Z, linkage(X).Z)
        np.testing.assert_array_equal(
            minimum_spanning_tree(given).weight, minimum_spanning_tree(X).weight
        )
        distances, indices = kneighbors(given, 3)
        assert isinstance(distances, torch.Tensor) == isinstance(given, torch.Tensor)
        np.testing.assert_array_equal(np.asarray(indices), kneighbors(X, 3)[1])
        assert metrics.silhouette_scores(given, [Y]) == metrics.silhouette_scores(X, [Y])
        for score in (metrics.davies_bouldin_score, metrics.calinski_harabasz_score):
            assert score(given, Y) == score(X, Y)
    for labels in (Y.tolist(), pd.Series(Y), torch.tensor(Y), Y.astype("i1"), Y.astype(str)):
        assert metrics.adjusted_rand_score(labels, Y) == 1.0
        assert metrics.silhouette_scores(X, [labels]) == metrics.silhouette_scores(X, [Y])
    assert cluster_qr([[1.0, 0.0], [0.0, 1.0]]).tolist() == [0, 1]


BAD_SAMPLES = {
    "vector": X[0],
    "cube": X[:, :, None],
    "no features": X[:, :0],
    "NaN": np.where(X > 2, np.nan, X),
    "infinity": np.where(X > 2, np.inf, X),
    "complex": X.astype(complex),
    "text": X.astype(str),
    "dates": np.full((60, 2), np.datetime64("2026-01-01")),
    "masked": np.ma.masked_greater(X, 1),
    "sparse": scipy.sparse.csr_array(X),
    "ragged": [[1.0], [1.0, 2.0]],
    "missing": [[1.0, None]] * 60,
    "a word": "X",
    "nothing": None,
}
FUNCTIONS = {
    "linkage": linkage,
    "tree": minimum_spanning_tree,
    "neighbors": lambda V: kneighbors(V, 2),
    "silhouette": lambda V: metrics.silhouette_scores(V, [Y]),
    "silhouettes": lambda V: metrics.silhouette_scores(V, [Y], metric=("euclidean", "cosine")),
    "dispersion": lambda V: metrics.dispersion_scores(V, [Y]),
    "Davies-Bouldin": lambda V: metrics.davies_bouldin_score(V, Y),
    "cluster_qr": cluster_qr,
    "discretize": discretize,
    **{name_of(model): model.fit for model in [*CLUSTERERS, UnitLength(), ZScore()]},
}


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("bad", BAD_SAMPLES)
def test_samples_that_are_no_finite_matrix_are_refused_by_a_sentence(function, bad):
    run = FUNCTIONS[function]
    if function == "UnitLength":
        run = UnitLength().fit_transform
    with pytest.raises(InputError) as caught:
        run(BAD_SAMPLES[bad])
    assert len(str(caught.value)) < 400


BAD_LABELS = {
    "NaN": np.where(Y == 0, np.nan, Y),
    "infinity": np.where(Y == 0, np.inf, Y),
    "masked": np.ma.masked_equal(Y, 0),
    "complex": Y.astype(complex),
    "missing": [None, *Y[1:].tolist()],
    "mixed": np.array(["a", *Y[1:]], dtype=object),
    "matrix": Y[:, None],
    "one number": 3,
    "a word": "labels",
}
SCORES = {
    name: getattr(metrics, name)
    for name in metrics.__all__
    if name.endswith("_score") and name not in ("calinski_harabasz_score", "davies_bouldin_score")
}
SCORES |= {
    "external": metrics.external_scores,
    "accuracy": metrics.cluster_accuracy,
    "contingency": metrics.contingency,
    "homogeneity": metrics.homogeneity_completeness_v_measure,
    "silhouette": lambda y, labels: metrics.silhouette_scores(X, [labels]),
    "dispersion": lambda y, labels: metrics.dispersion_scores(X, [labels]),
    "label set": lambda y, labels: metrics.label_set(X, labels),
}


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("bad", BAD_LABELS)
def test_labels_that_are_no_labels_are_refused_by_a_sentence(score, bad):
    with pytest.raises(InputError) as caught:
        SCORES[score](Y, BAD_LABELS[bad])
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "call",
    [
        lambda: Agglomerative(distance_threshold=np.nan).fit(X),
        lambda: Agglomerative(distance_threshold=-1).fit(X),
        lambda: Agglomerative(distance_threshold=[1.0]).fit(X),
        lambda: Agglomerative(distance_threshold=1.0, standardize=1).fit(X),
        lambda: Agglomerative(n_clusters=True).fit(X),
        lambda: Agglomerative(n_clusters=2.0).fit(X),
        lambda: Agglomerative(n_clusters=10**30).fit(X),
        lambda: Agglomerative(n_clusters=None).fit(X),
        lambda: Agglomerative(linkage=["ward"]).fit(X),
        lambda: Agglomerative(metric=["cosine"], linkage="average").fit(X),
        lambda: linkage(X, dtype="xfloat32x"),
        lambda: linkage(X, dtype=np.float16),
        lambda: linkage(X, dtype=float),
        lambda: linkage(X).cut(n_clusters=2.5),
        lambda: linkage(X).cut(distance_threshold=np.nan),
        lambda: HDBSCAN(min_samples=2.0).fit(X),
        lambda: HDBSCAN(min_samples=True).fit(X),
        lambda: HDBSCAN(min_cluster_size=None).fit(X),
        lambda: HDBSCAN(max_cluster_size=0.2).fit(X),
        lambda: HDBSCAN(cluster_selection_epsilon=np.nan).fit(X),
        lambda: HDBSCAN(allow_single_cluster="no").fit(X),
        lambda: HDBSCAN(metric=None).fit(X),
        lambda: AffinityPropagation(preference=np.nan).fit(X),
        lambda: AffinityPropagation(preference=np.inf).fit(X),
        lambda: AffinityPropagation(preference=[1.0, 2.0]).fit(X),
        lambda: AffinityPropagation(preference=["a"] * 60).fit(X),
        lambda: AffinityPropagation(max_iter=1.5).fit(X),
        lambda: AffinityPropagation(convergence_iter=True).fit(X),
        lambda: AffinityPropagation(damping=np.nan).fit(X),
        lambda: AffinityPropagation(random_state=-1).fit(X),
        lambda: SpectralClustering(2.0).fit(X),
        lambda: SpectralClustering(2, n_neighbors=None).fit(X),
        lambda: SpectralClustering(2, random_state="seed").fit(X),
        lambda: SpectralClustering(2, assign_labels=["discretize"]).fit(X),
        lambda: discretize(X, random_state=1.5),
        lambda: kneighbors(X, 2.0),
        lambda: kneighbors(X, True),
        lambda: kneighbors(X, None),
        lambda: kneighbors(X, 2, metric=("euclidean", "cosine")),
        lambda: kneighbors(X, 2, metric=["l1"]),
        lambda: kneighbors(X, 2, include_self="yes"),
        lambda: minimum_spanning_tree(X, metric=["l1"]),
        lambda: minimum_spanning_tree(X, core_distances=np.full(60, np.nan)),
        lambda: minimum_spanning_tree(X, core_distances=["a"] * 60),
        lambda: metrics.silhouette_scores(X, [Y], metric=["euclidean", "cosine"]),
        lambda: metrics.silhouette_scores(X, [Y], metric=("euclidean", ["cosine"])),
        lambda: metrics.silhouette_scores(X, [Y], metric=("euclidean", "l1")),
        lambda: metrics.silhouette_scores(X, [Y], samples="no"),
        lambda: metrics.silhouette_scores(X, [Y], block_bytes=1.5),
        lambda: metrics.silhouette_scores(X, None),
        lambda: metrics.silhouette_scores(X, "labels"),
        lambda: metrics.silhouette_scores(X, [Y], masks=3),
        lambda: metrics.silhouette_scores(X, [Y], masks=[Y]),
        lambda: metrics.dispersion_scores(X, [Y], scores=["silhouette"]),
        lambda: metrics.dispersion_scores(X, [Y], scores=[["davies_bouldin"]]),
        lambda: metrics.dispersion_scores(X, [Y], scores=3),
        lambda: metrics.dispersion_scores(X, [Y], scores=[]),
        lambda: metrics.silhouette_scores(X, np.array(2)),
        lambda: metrics.silhouette_scores(X, [Y], metric=10**5000),
        lambda: linkage(X, dtype=10**5000),
        lambda: HDBSCAN(min_samples=10**5000).fit(X),
        lambda: metrics.adjusted_mutual_info_score(Y, Y, normalizer=["true"]),
        lambda: metrics.adjusted_rand_score(Y, Y, mask=Y),
        lambda: metrics.adjusted_rand_score(Y, Y, mask=np.ma.masked_array(Y > 0, Y > 0)),
        lambda: metrics.expected_mutual_information([2.5, 2.5], [5]),
        lambda: metrics.expected_mutual_information([-1, 3], [2]),
        lambda: metrics.expected_mutual_information([np.nan], [2]),
    ],
)
def test_parameters_of_another_type_or_range_are_refused_by_a_sentence(call):
    with pytest.raises(GpuclustError) as caught:
        call()
    assert len(str(caught.value)) < 400


@pytest.mark.filterwarnings("ignore:Graph is not fully connected")
def test_numbers_of_numpy_are_parameters():
    same = np.testing.assert_array_equal
    same(
        Agglomerative(n_clusters=np.int8(3)).fit_predict(X),
        Agglomerative(n_clusters=3).fit_predict(X),
    )
    same(
        HDBSCAN(min_cluster_size=np.int64(4)).fit_predict(X),
        HDBSCAN(min_cluster_size=4).fit(X).labels_,
    )
    same(kneighbors(X, np.uint8(3))[1], kneighbors(X, 3)[1])
    same(linkage(X, dtype=np.dtype("float64")).Z, linkage(X, dtype="float64").Z)
    spectral = SpectralClustering(np.int32(3), random_state=np.int64(0))
    same(spectral.fit_predict(X), SpectralClustering(3, random_state=0).fit_predict(X))
    affinity = AffinityPropagation(damping=np.float32(0.5), random_state=0)
    same(affinity.fit_predict(X), AffinityPropagation(random_state=0).fit_predict(X))

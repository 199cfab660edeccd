"""Estimators against scikit-learn, on all types of arrays."""

import pickle  # noqa: TID251 - joblib pickles estimators, in memory or in a user's own file

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import cluster, decomposition
from sklearn.base import clone
from sklearn.metrics import adjusted_rand_score
from sklearn.pipeline import make_pipeline

import gpuclust
from gpuclust.errors import InputError

ESTIMATORS = [
    gpuclust.KMeans(4, random_state=0, device="cpu"),
    gpuclust.SpectralClustering(4, random_state=0, device="cpu"),
    gpuclust.Agglomerative(4, device="cpu"),
    gpuclust.AffinityPropagation(random_state=0, device="cpu"),
    gpuclust.HDBSCAN(device="cpu"),
    gpuclust.UMAP(n_neighbors=5, random_state=0, device="cpu"),
    gpuclust.PCA(3, device="cpu"),
]
each = pytest.mark.parametrize("model", ESTIMATORS, ids=lambda one: type(one).__name__)


def result(model, X):
    """Fit a copy, and return its labels or the reduced samples."""
    model = clone(model)
    return (model.fit_predict if hasattr(model, "fit_predict") else model.fit_transform)(X)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (gpuclust.KMeans(10, random_state=3), cluster.KMeans(10, random_state=3)),
        (
            gpuclust.KMeans(10, init="random", random_state=3),
            cluster.KMeans(10, init="random", random_state=3),
        ),
        (
            gpuclust.SpectralClustering(8, n_neighbors=20, random_state=0),
            cluster.SpectralClustering(
                8,
                affinity="nearest_neighbors",
                n_neighbors=20,
                assign_labels="cluster_qr",
                random_state=0,
            ),
        ),
        (gpuclust.Agglomerative(7), cluster.AgglomerativeClustering(7)),
        (
            gpuclust.Agglomerative(None, distance_threshold=90.0),
            cluster.AgglomerativeClustering(None, distance_threshold=90.0),
        ),
        (
            gpuclust.AffinityPropagation(damping=0.9, preference=-5e3, random_state=0),
            cluster.AffinityPropagation(damping=0.9, preference=-5e3, random_state=0),
        ),
        (gpuclust.HDBSCAN(8), cluster.HDBSCAN(min_cluster_size=8, copy=True)),
        (
            gpuclust.HDBSCAN(4, min_samples=3, max_cluster_size=50),
            cluster.HDBSCAN(min_cluster_size=4, min_samples=3, max_cluster_size=50, copy=True),
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:Graph is not fully connected")
def test_clusters_are_those_of_scikit_learn(ours, theirs, digits):
    X = digits.X[:400].astype(np.float64)
    ours.set_params(device="cpu")
    got, expected = ours.fit_predict(X), theirs.fit_predict(X)
    assert adjusted_rand_score(got, expected) == 1.0
    np.testing.assert_array_equal(got == -1, expected == -1)


@pytest.mark.parametrize("n_components", [None, 5, 0.9])
@pytest.mark.parametrize("whiten", [False, True])
def test_components_are_those_of_scikit_learn(digits, n_components, whiten):
    X, new = digits.X[:300].astype(np.float64), digits.X[300:].astype(np.float64)
    X, new = X[:, 2:6], new[:, 2:6]  # no constant dimension, which whitening would blow up
    n_components = n_components if n_components != 5 else 3
    ours = gpuclust.PCA(n_components, whiten=whiten, device="cpu")
    theirs = decomposition.PCA(n_components, whiten=whiten)
    np.testing.assert_allclose(ours.fit_transform(X), theirs.fit_transform(X), atol=1e-8)
    np.testing.assert_allclose(ours.transform(new), theirs.transform(new), atol=1e-8)
    back = ours.inverse_transform(ours.transform(new))
    np.testing.assert_allclose(back, theirs.inverse_transform(theirs.transform(new)), atol=1e-8)
    assert ours.n_components_ == theirs.n_components_
    for name in ("components_", "explained_variance_ratio_", "singular_values_", "mean_"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), atol=1e-8)


@each
@pytest.mark.parametrize(
    "give",
    [
        np.ndarray.tolist,
        pd.DataFrame,
        np.asfortranarray,
        lambda X: X.astype(np.uint8),
        lambda X: X.astype(">f8"),
        lambda X: X.astype(object),
        lambda X: X.astype(np.longdouble),
        lambda X: np.ma.masked_array(X),
        lambda X: pd.DataFrame(X).convert_dtypes(),
        torch.tensor,
        lambda X: torch.tensor(X, requires_grad=True),
        lambda X: torch.tensor(X.T.copy()).T,
    ],
)
def test_every_type_of_array_gives_the_same_and_tensors_give_tensors(model, give, digits):
    X = digits.X[:80].astype(np.float64)
    expected, got = result(model, X), result(model, give(X))
    assert type(got) is (torch.Tensor if isinstance(give(X), torch.Tensor) else np.ndarray)
    got = np.asarray(got)
    assert got.dtype == expected.dtype
    np.testing.assert_allclose(got, expected, atol=1e-4)


@each
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(model, dtype, digits):
    X = torch.tensor(digits.X[:80]).to(dtype)  # small integers, which both hold exactly
    expected = result(model, digits.X[:80])
    got = result(model, X)
    np.testing.assert_allclose(got.numpy(), expected, atol=1e-4)


@each
def test_attributes_of_a_fit_to_a_tensor_are_tensors(model, digits):
    model = clone(model).fit(torch.tensor(digits.X[:80]))
    arrays = {key: value for key, value in vars(model).items() if hasattr(value, "shape")}
    assert arrays
    assert {type(value) for value in arrays.values()} == {torch.Tensor}, arrays


@each
def test_a_fitted_estimator_is_pickled_and_fitted_again(model, digits):
    X, other = digits.X[:80], digits.X[200:290]
    model = clone(model).fit(X)
    again = pickle.loads(pickle.dumps(model))
    for name in ("transform", "predict"):
        if hasattr(model, name):
            np.testing.assert_array_equal(getattr(again, name)(other), getattr(model, name)(other))
    name = next(one for one in ("labels_", "embedding_", "components_") if hasattr(model, one))
    np.testing.assert_array_equal(
        getattr(again.fit(other), name), getattr(clone(model).fit(other), name)
    )


def test_a_pipeline_of_ours_reduces_and_clusters(digits):
    frame = pd.DataFrame(digits.X[:200]).add_prefix("pixel")
    reducer = gpuclust.PCA(5, device="cpu").set_output(transform="pandas")
    labels = make_pipeline(reducer, gpuclust.KMeans(4, random_state=0, device="cpu")).fit_predict(
        frame
    )
    assert set(labels.tolist()) == {0, 1, 2, 3}
    assert list(reducer.transform(frame).columns) == [f"pca{i}" for i in range(5)]
    assert reducer.feature_names_in_[0] == "pixel0"
    with pytest.raises(InputError, match="feature names"):
        reducer.transform(frame.add_prefix("x"))
    with pytest.raises(InputError, match="all input features have string names"):
        reducer.fit(frame.rename(columns={"pixel0": 0}))


@each
def test_parameters_are_checked_in_fit_and_kept_as_given(model, digits):
    bad = {
        "n_clusters": [0, -1, True, 2.0, 1.5, np.nan, "3", [2], 10**30, 81, np.array(3), None],
        "n_neighbors": [0, True, 5.0, np.nan, "5", [5], 80, 10**30, None],
        "n_components": [0, -1, True, np.nan, "2", [2], 81, np.inf, 10**30],
        "min_cluster_size": [1, True, 5.0, np.nan, "5", None, 10**30],
        "min_samples": [0, 2.0, True, "2", 81],
        "max_cluster_size": [0, 0.2, True, "2", np.nan],
        "max_iter": [0, -1, True, 1.5, np.nan, "9", 10**30],
        "convergence_iter": [0, True, 1.5, "9"],
        "n_init": [0, True, 1.5, "many", None, np.nan],
        "init": ["best", 1, ["random"], digits.X[:4]],
        "damping": [0.4, 1.0, np.nan, "0.5", True, None, [0.5]],
        "preference": [np.nan, np.inf, "low", True, [1.0, 2.0], [np.nan] * 80],
        "distance_threshold": [-1.0, np.nan, np.inf, "1", True, [1.0]],
        "linkage": ["wards", ["ward"], None, 1, np.array(["ward", "single"])],
        "metric": ["euclid", ("euclidean", "cosine"), None, 1],
        "assign_labels": ["qr", None, ["discretize"]],
        "cluster_selection_method": ["leaves", None, 1],
        "min_dist": [-0.1, 1.5, np.nan, "0", True, None],
        "whiten": [1, "yes", None, np.nan],
        "random_state": [-1, 1.5, "0", True, [0], 2**32, np.nan],
        "device": ["cuda", None, ["cpu"], 0],
    }
    names = set(model.get_params())
    assert names <= set(bad)
    odd = [10**5000, object(), {}, pd.NA, 1j, slice(2)]
    for name in names:
        for value in [*bad[name], *odd]:
            tried = clone(model).set_params(**{name: value})
            assert tried.get_params()[name] is value
            with pytest.raises(InputError) as caught:
                tried.fit(digits.X[:80])
            assert len(str(caught.value)) < 400, caught.value


@each
def test_numbers_of_numpy_are_parameters(model, digits):
    kinds = {int: np.int16, float: np.float64, str: np.str_, bool: np.bool_}
    given = {
        name: kinds[type(value)](value) if type(value) in kinds else value
        for name, value in model.get_params().items()
    }
    X = digits.X[:80]
    np.testing.assert_array_equal(result(clone(model).set_params(**given), X), result(model, X))


BAD_SAMPLES = [
    np.ones(5),
    np.ones((3, 2, 2)),
    np.ones((0, 3)),
    np.ones((9, 0)),
    np.ones((1, 3)),
    np.full((9, 2), np.nan),
    np.array([[1.0, np.inf]] * 9),
    np.ones((9, 2), dtype=complex),
    np.full((9, 2), "a"),
    np.full((9, 2), "1", dtype=object),
    np.full((9, 2), np.datetime64("2026-01-01")),
    np.ma.masked_equal(np.eye(9), 1),
    [[1, 2], [3]],
    [[1, None]] * 9,
    [[2**70, 10**400]] * 9,
    "text",
    7,
    None,
    {"a": [1, 2]},
    pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]}),
    pd.DataFrame({"a": pd.array([1, None], dtype="Int64")}),
    pd.Series([1.0, 2.0]),
    torch.ones(9, 2).to_sparse(),
    torch.ones(9, 2, dtype=torch.complex64),
    np.array([[2**60 + 1, 0]] * 9),
]


@each
def test_samples_that_are_no_finite_matrix_are_refused_by_a_sentence(model):
    import scipy.sparse

    for X in [*BAD_SAMPLES, scipy.sparse.csr_array(np.eye(9)), scipy.sparse.eye(9)]:
        with pytest.raises(InputError) as caught:
            clone(model).fit(X)
        assert len(str(caught.value)) < 400, caught.value

"""Estimators on a GPU, pretended by the stand-ins for RAPIDS."""

import numpy as np
import pytest
import standin
import torch

import gpuclust
from gpuclust.device import backend
from gpuclust.errors import BackendError


@pytest.fixture
def gpu(monkeypatch):
    standin.install(monkeypatch)
    monkeypatch.setattr(backend, "why_no_gpu", lambda: None)


ESTIMATORS = {
    "kmeans": (gpuclust.KMeans(4, random_state=0), "cuml.cluster:KMeans"),
    "spectral": (
        gpuclust.SpectralClustering(4, random_state=0),
        "gpuclust.algorithms.cuml:SpectralClustering",
    ),
    "agglomerative": (gpuclust.Agglomerative(4), "gpuclust.algorithms.linkage:Agglomerative"),
    "affinity": (
        gpuclust.AffinityPropagation(random_state=0),
        "gpuclust.algorithms.affinity:AffinityPropagation",
    ),
    "hdbscan": (gpuclust.HDBSCAN(), "cuml.cluster:HDBSCAN"),
    "umap": (gpuclust.UMAP(2, n_neighbors=5, random_state=0), "cuml.manifold:UMAP"),
    "pca": (gpuclust.PCA(3), "gpuclust.algorithms.cuml:PCA"),
}


def result(model, X):
    """Fit, and return labels or the reduced samples."""
    return (model.fit_predict if hasattr(model, "fit_predict") else model.fit_transform)(X)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_gpu_runs_the_class_named_by_methods(gpu, name, digits):
    model, ran = ESTIMATORS[name]
    X = digits.X[:80]
    there = result(model, standin.put(X))
    assert there.device == standin.DEVICE
    assert (model.backend_, model.ran_) == ("gpu", ran)
    on_host = result(model, X)  # auto takes the GPU, and copies the result back
    assert type(on_host) is np.ndarray
    np.testing.assert_array_equal(standin.host(there), on_host)
    tensor = result(model, torch.tensor(X))
    assert (type(tensor), tensor.device.type) == (torch.Tensor, "cpu")
    model.set_params(device="cpu").fit(X)
    model.set_params(device="auto")
    assert model.backend_ == "cpu"


@pytest.mark.parametrize("n_components", [3, 0.8])
@pytest.mark.parametrize("whiten", [False, True])
def test_pca_of_a_gpu_transforms_new_samples_as_scikit_learn(gpu, digits, n_components, whiten):
    from sklearn.decomposition import PCA

    X, new = digits.X[:200].astype(np.float64), digits.X[200:300].astype(np.float64)
    theirs = PCA(n_components, whiten=whiten, svd_solver="full").fit(X)
    ours = gpuclust.PCA(n_components, whiten=whiten).fit(X)
    assert ours.backend_ == "gpu"
    assert ours.n_components_ == theirs.n_components_
    np.testing.assert_allclose(ours.transform(new), theirs.transform(new), atol=1e-8)
    there = ours.transform(standin.put(new))
    np.testing.assert_allclose(standin.host(there), theirs.transform(new), atol=1e-8)


def test_kmeans_of_a_gpu_predicts_the_nearest_center(gpu, digits):
    model = gpuclust.KMeans(5, random_state=0).fit(standin.put(digits.X))
    np.testing.assert_array_equal(
        standin.host(model.predict(standin.put(digits.X))), standin.host(model.labels_)
    )
    assert type(model.predict(digits.X)) is np.ndarray
    assert model.cluster_centers_.device == standin.DEVICE


def test_an_explicit_gpu_that_is_missing_is_refused(digits):
    if backend.why_no_gpu() is None:
        pytest.skip("there is a GPU")
    with pytest.raises(BackendError, match=r'device="gpu" is not available.*device="cpu"'):
        gpuclust.KMeans(device="gpu").fit(digits.X)

"""Estimators on a GPU: arrays there are clustered there, and come back as they were given."""

import numpy as np
import pytest
import torch
from sklearn.base import clone

import gpuclust
from gpuclust.arrays.transfer import to_host
from gpuclust.metrics import adjusted_rand_score

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("default")]
CLUSTERERS = [
    gpuclust.KMeans(10, random_state=0),
    gpuclust.SpectralClustering(10, random_state=0),
    gpuclust.Agglomerative(10),
    gpuclust.AffinityPropagation(damping=0.9, random_state=0),
    gpuclust.HDBSCAN(),
]
REDUCERS = [gpuclust.PCA(5), gpuclust.UMAP(n_neighbors=10, random_state=0)]


def name_of(model):
    return type(model).__name__


@pytest.mark.parametrize("model", CLUSTERERS, ids=name_of)
def test_labels_are_of_the_type_and_on_the_device_given(gpu, digits, model, note):
    import cupy

    there = clone(model).fit(cupy.asarray(digits.X))
    assert there.backend_ == "gpu"
    assert isinstance(there.labels_, cupy.ndarray)
    labels = to_host(there.labels_)
    tensor = clone(model).fit_predict(torch.tensor(digits.X, device="cuda"))
    assert (tensor.device.type, tensor.dtype) == ("cuda", torch.int64)
    assert adjusted_rand_score(labels, to_host(clone(model).fit_predict(digits.X))) > 0.95
    assert adjusted_rand_score(labels, tensor.cpu().numpy()) > 0.95
    on_cpu = clone(model).set_params(device="cpu").fit_predict(cupy.asarray(digits.X))
    assert isinstance(on_cpu, cupy.ndarray)
    note(f"{name_of(model)}: ARI of GPU and CPU {adjusted_rand_score(labels, to_host(on_cpu)):.3f}")


@pytest.mark.parametrize("model", REDUCERS, ids=name_of)
def test_reduced_samples_are_of_the_type_and_on_the_device_given(gpu, digits, model):
    import cupy

    there = clone(model).fit_transform(cupy.asarray(digits.X))
    tensor = clone(model).fit_transform(torch.tensor(digits.X, device="cuda").bfloat16())
    assert isinstance(there, cupy.ndarray)
    assert tensor.device.type == "cuda"
    assert there.shape == tuple(tensor.shape)


def test_new_samples_are_predicted_and_transformed_on_the_device_of_the_fit(gpu, digits):
    import cupy

    there = cupy.asarray(digits.X)
    kmeans = gpuclust.KMeans(10, random_state=0).fit(there)
    np.testing.assert_array_equal(to_host(kmeans.predict(there)), to_host(kmeans.labels_))
    assert type(kmeans.predict(digits.X)) is np.ndarray
    pca = gpuclust.PCA(5).fit(there)
    np.testing.assert_allclose(
        to_host(pca.transform(there)), to_host(pca.fit_transform(there)), atol=1e-2
    )

"""Attributes of the estimators are in the unit of the samples, tiny or huge."""

import numpy as np
import pytest
from sklearn.cluster import KMeans as TheirKMeans
from sklearn.decomposition import PCA as TheirPCA

import gpuclust

UNITS = pytest.mark.parametrize(
    ("dtype", "exponent"),
    [(np.float32, -90), (np.float32, 70), (np.float64, -600), (np.float64, 505)],
)


@pytest.fixture(scope="module")
def groups():
    random = np.random.default_rng(0)
    return random.normal(size=(60, 5)) + 8 * np.eye(5)[np.repeat(np.arange(3), 20)]


@UNITS
def test_centers_and_predictions_of_k_means_are_in_the_unit_of_the_samples(groups, dtype, exponent):
    X = np.ldexp(groups, exponent).astype(dtype)
    model = gpuclust.KMeans(3, random_state=0, device="cpu").fit(X)
    theirs = TheirKMeans(3, random_state=0).fit(groups)
    np.testing.assert_array_equal(model.labels_, theirs.labels_)
    centers = np.ldexp(np.asarray(model.cluster_centers_, np.float64), -exponent)
    np.testing.assert_allclose(centers, theirs.cluster_centers_, 1e-4, atol=1e-5)
    inertia = np.ldexp(np.ldexp(model.inertia_, -exponent), -exponent)
    in_range = abs(2 * exponent) < 1000
    assert not in_range or inertia == pytest.approx(theirs.inertia_, rel=1e-5)
    np.testing.assert_array_equal(model.predict(X[::-1]), theirs.labels_[::-1])


@UNITS
def test_components_are_in_the_unit_of_the_samples(groups, dtype, exponent):
    X = np.ldexp(groups, exponent).astype(dtype)
    model = gpuclust.PCA(2, device="cpu")
    found = model.fit_transform(X)
    theirs = TheirPCA(2).fit(groups)
    assert found.dtype == dtype
    for values, expected in (
        (found, theirs.transform(groups)),
        (model.transform(X), theirs.transform(groups)),
        (model.mean_, theirs.mean_),
        (model.singular_values_, theirs.singular_values_),
    ):
        back = np.ldexp(np.asarray(values, np.float64), -exponent)
        np.testing.assert_allclose(back, expected, 1e-4, atol=1e-4)
    np.testing.assert_allclose(model.components_, theirs.components_, atol=1e-5)
    np.testing.assert_allclose(
        model.explained_variance_ratio_, theirs.explained_variance_ratio_, 1e-5
    )

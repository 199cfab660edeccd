import numpy as np
import pytest
from scipy.spatial.distance import cdist

from gpuclust.algorithms import AffinityPropagation, Agglomerative, UnitLength, ZScore, linkage
from gpuclust.arrays.distances import distance_blocks
from gpuclust.arrays.neighbors import kneighbors
from gpuclust.arrays.unit import KEPT32, is_ordinary, unit_scaled
from gpuclust.errors import InputError
from gpuclust.metrics import dispersion_scores, silhouette_scores


def matrix(X):
    return next(distance_blocks(X))[2]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1e-4, 1.0, 1e4, 1e9])
def test_samples_of_ordinary_size_are_the_same_array(xp, dtype, size):
    X = xp.put((np.random.default_rng(0).normal(size=(30, 4)) * size).astype(dtype))
    found, unit = unit_scaled(xp.namespace, X)
    assert found is X
    assert unit == 1.0


@pytest.mark.parametrize("offset", [0.0, 1.0, -3.0])
@pytest.mark.parametrize("exponent", [-1070, -700, 700, 1018])
def test_differences_are_kept_exactly_and_are_about_1(xp, offset, exponent):
    steps = np.array([[0.0], [1.0], [2.0], [8.0]]) + offset
    X = np.ldexp(steps, exponent)
    scaled, unit = unit_scaled(xp.namespace, xp.put(X))
    scaled = xp.get(scaled)
    assert 1 <= np.abs(scaled).max() < 2
    np.testing.assert_array_equal((scaled - scaled[0]) * unit, X - X[0])


def test_nan_and_infinity_are_never_ordinary(xp):
    for value in (np.nan, np.inf, -np.inf):
        assert not is_ordinary(xp.namespace, xp.put(np.array([[1.0], [value]])))


def test_empty_and_constant_samples_are_used_unchanged(xp):
    for X in (np.empty((0, 3)), np.empty((3, 0)), np.zeros((3, 2)), np.full((3, 2), 5.0)):
        assert unit_scaled(xp.namespace, xp.put(X))[1] == 1.0
    huge = unit_scaled(xp.namespace, xp.put(np.full((3, 2), 1e300)))[0]
    np.testing.assert_array_equal(xp.get(huge), np.zeros((3, 2)))


def test_distances_kept_in_float32_need_a_smaller_range_than_their_squares_in_float64(xp):
    X = xp.put(np.array([[0.0], [1e-50]]))
    assert is_ordinary(xp.namespace, X)
    assert not is_ordinary(xp.namespace, X, limits=KEPT32)


# ---- small dtypes and integers ------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.uint32, np.int64, bool])
def test_integers_never_wrap(dtype):
    X = np.random.default_rng(0).integers(0, 2 if dtype is bool else 120, (40, 5)).astype(dtype)
    y, real = np.arange(40) % 3, X.astype(np.float64)
    np.testing.assert_allclose(matrix(X), cdist(real, real), 1e-9, atol=1e-6)
    np.testing.assert_array_equal(kneighbors(X, 3)[0], kneighbors(real, 3)[0])
    assert silhouette_scores(X, [y]) == silhouette_scores(real, [y])
    assert dispersion_scores(X, [y]) == dispersion_scores(real, [y])
    np.testing.assert_array_equal(linkage(X).Z, linkage(real).Z)
    for scaling in (UnitLength(), ZScore()):
        np.testing.assert_array_equal(scaling.fit_transform(X), scaling.fit_transform(real))
    for model in (AffinityPropagation(random_state=0), Agglomerative(n_clusters=3)):
        np.testing.assert_array_equal(model.fit_predict(X), model.fit_predict(real))


def test_half_precision_is_computed_in_float32():
    X = (np.random.default_rng(0).normal(size=(40, 5)) * 1000).astype(np.float16)
    real = X.astype(np.float32)
    D = matrix(X)
    assert D.dtype == np.float32
    np.testing.assert_array_equal(D, matrix(real))
    for scaling in (UnitLength(), ZScore()):
        found = scaling.fit_transform(X)
        assert np.isfinite(found).all()
        np.testing.assert_array_equal(found, scaling.fit_transform(real))


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_integers_that_float64_rounds_are_refused(dtype):
    X = np.array([[2**53 + 1], [2**53 + 2]], dtype)
    for function in (matrix, linkage, ZScore().fit_transform, lambda X: kneighbors(X, 1)):
        with pytest.raises(InputError, match=r"float64 is exact up to 2\*\*53"):
            function(X)
    assert matrix(X // 2)[0, 1] == 1


def test_long_doubles_keep_the_digits_of_float64():
    X = np.array([[1.0], [1.0 + 1e-12]], np.longdouble)
    assert matrix(X)[0, 1] == pytest.approx(1e-12, rel=1e-3)

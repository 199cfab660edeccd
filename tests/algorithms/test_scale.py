import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler, normalize

from gpuclust.algorithms import Identity, UnitLength, ZScore
from gpuclust.algorithms.scale import mean_spread
from gpuclust.errors import InputError


def test_unit_length_is_scikit_learns_normalize(xp, digits):
    X = digits.X.copy()
    X[3] = 0
    np.testing.assert_allclose(
        xp.get(UnitLength().fit_transform(xp.put(X))), normalize(X), rtol=1e-6
    )


def test_zscore_is_scikit_learns_standard_scaler(xp, digits):
    assert (digits.X.std(axis=0) == 0).any(), "the digits have constant pixels: the edge case"
    expected = StandardScaler().fit_transform(digits.X.astype(np.float64))
    np.testing.assert_allclose(
        xp.get(ZScore().fit_transform(xp.put(digits.X))), expected, rtol=1e-5, atol=1e-4
    )


@pytest.mark.parametrize("offset", [0.1, 1e4, 1e6])
def test_a_constant_dimension_of_any_value_becomes_zero(xp, offset):
    X = np.full((1000, 3), offset, dtype=np.float32)
    X[:, 1] = np.arange(1000)
    Z = xp.get(ZScore().fit_transform(xp.put(X)))
    assert (Z[:, [0, 2]] == 0).all()
    assert Z[:, 1].std() == pytest.approx(1, abs=1e-4)


def test_mean_spread_is_one_number_that_scales_with_the_data(xp, digits):
    assert mean_spread(xp.put(digits.X)) == pytest.approx(digits.X.std(axis=0).mean(), rel=1e-5)
    assert mean_spread(xp.put(np.ones((5, 2)))) == 1.0


def test_identity_returns_the_same_array(xp, digits):
    X = xp.put(digits.X)
    assert Identity().fit_transform(X) is X


@pytest.mark.parametrize("scaling", [ZScore, UnitLength])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.bool_, np.float16])
def test_small_dtypes_neither_wrap_nor_overflow(digits, scaling, dtype):
    X = (digits.X[:50] * 15).astype(dtype)
    expected = scaling().fit_transform(X.astype(np.float64))
    got = scaling().fit_transform(X)
    assert got.dtype == (np.float32 if dtype == np.float16 else np.float64)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("scaling", [ZScore, UnitLength])
@pytest.mark.parametrize("factor", [1e-200, 1e-30, 1e200])
def test_tiny_and_huge_values_are_scaled_alike(xp, scaling, factor):
    X = np.random.default_rng(0).normal(size=(40, 3)) * [1.0, 1e3, 1e-3]
    got = xp.get(scaling().fit_transform(xp.put(X * factor)))
    np.testing.assert_allclose(got, scaling().fit_transform(X), rtol=1e-6)


@pytest.mark.parametrize("scaling", [ZScore, UnitLength])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(xp, scaling, bad):
    with pytest.raises(InputError, match="NaN or infinity"):
        scaling().fit_transform(xp.put(np.array([[1.0, 2.0], [bad, 1.0]])))


def test_new_samples_are_scaled_as_those_of_the_fit(digits):
    new = digits.X[300:]
    expected = StandardScaler().fit(digits.X[:300]).transform(new)
    got = ZScore().fit(digits.X[:300]).transform(new)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)
    with pytest.raises(InputError, match="fitted with 64"):
        ZScore().fit(digits.X).transform(digits.X[:, :3])
    with pytest.raises(InputError, match="Call fit"):
        ZScore().transform(digits.X)

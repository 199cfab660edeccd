import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler, normalize

from gpuclust.algorithms import Identity, UnitLength, ZScore
from gpuclust.algorithms.scale import mean_spread


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

import array_api_strict as strict
import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler, normalize

from gpuclust.algorithms import UnitLength, ZScore
from gpuclust.algorithms.scale import mean_spread

DEVICE = strict.Device("device1")


def both(scaling, X):
    """Run on NumPy and on the strict namespace, on a device that is not the default."""
    plain = scaling.fit_transform(X)
    strictly = scaling.fit_transform(strict.asarray(X, device=DEVICE))
    assert strictly.device == DEVICE
    host = np.asarray(strict.asarray(strictly, device=strict.Device("CPU_DEVICE")))
    np.testing.assert_allclose(host, plain, rtol=1e-6, atol=1e-6)
    return plain


def test_unit_length_is_scikit_learns_normalize(digits):
    X = digits.X.copy()
    X[3] = 0
    np.testing.assert_allclose(both(UnitLength(), X), normalize(X), rtol=1e-6)


def test_zscore_is_scikit_learns_standard_scaler(digits):
    assert (digits.X.std(axis=0) == 0).any(), "the digits have constant pixels: the edge case"
    expected = StandardScaler().fit_transform(digits.X.astype(np.float64))
    np.testing.assert_allclose(both(ZScore(), digits.X), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("offset", [0.1, 1e4, 1e6])
def test_a_constant_dimension_becomes_zero_whatever_its_value(offset):
    X = np.full((1000, 3), offset, dtype=np.float32)
    X[:, 1] = np.arange(1000)
    Z = both(ZScore(), X)
    assert (Z[:, [0, 2]] == 0).all()
    assert Z[:, 1].std() == pytest.approx(1, abs=1e-4)


def test_mean_spread_is_one_number_that_scales_with_the_data(digits):
    assert mean_spread(digits.X) == pytest.approx(digits.X.std(axis=0).mean(), rel=1e-5)
    assert mean_spread(np.ones((5, 2))) == 1.0

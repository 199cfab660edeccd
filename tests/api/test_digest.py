"""Hash of vectors on a device: equal arrays alike, all others apart."""

import numpy as np
import pytest

from gpuclust.api import digest
from gpuclust.errors import InputError


@pytest.fixture
def X():
    return np.random.default_rng(0).normal(size=(40, 3))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_copy_in_another_order_of_memory_has_the_same_hash(X, dtype):
    X = X.astype(dtype)
    assert digest.of(X) == digest.of(np.asfortranarray(X)) == digest.of(X.copy())


def test_every_change_gives_another_hash(X):
    others = [X[::-1], X[:-1], X.reshape(20, 6), X.astype(np.float32), X + 0.0, -X, X[:, ::-1]]
    other = X.copy()
    other[7, 1] = np.nextafter(other[7, 1], 9)
    swapped = X.copy()
    swapped[[3, 9]] = swapped[[9, 3]]
    hashes = [digest.of(np.ascontiguousarray(one)) for one in [X, *others, other, swapped]]
    assert hashes[5] == hashes[0]  # X + 0.0 is X
    assert len(set(hashes)) == len(hashes) - 1


def test_blocks_of_rows_do_not_matter(X, monkeypatch):
    whole = digest.of(X)
    monkeypatch.setattr(digest, "_ROWS", 7)
    assert digest.of(X) == whole


def test_integers_keep_their_values_and_nan_is_refused():
    assert digest.checked(np.array([[2**30 + 1, 0]])).dtype == np.float64
    assert digest.checked(np.array([[200, 0]], np.uint8)).dtype == np.float32
    with pytest.raises(InputError, match="NaN"):
        digest.checked(np.array([[np.nan, 0.0]]))


@pytest.mark.gpu
def test_arrays_on_a_gpu_stay_there_and_come_back(tmp_path, digits):
    import cupy
    import torch

    import gpuclust

    for kind in (cupy.asarray, lambda X: torch.from_numpy(X).cuda()):
        X = kind(digits.X)
        result = gpuclust.run(X, reducer="pca(4)", k=10, y=digits.y, device="gpu", root=tmp_path)
        assert type(result.labels) is type(result.reduced) is type(X)
        assert result.scores["ami"] > 0.3
        assert len(result.to_frame()) == len(digits.X)
        assert digest.of(cupy.asarray(digits.X)) == digest.of(digits.X)

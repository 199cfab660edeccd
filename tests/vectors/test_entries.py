"""Files with one array per sample or per batch."""

import numpy as np
import pytest
import torch

from gpuclust.embeddings.vector_files import read_vectors
from gpuclust.errors import InputError

X = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
NAMES = [f"img_{k:02d}.jpg" for k in range(12)]


@pytest.mark.parametrize("step", [1, 5])
def test_a_list_of_vectors_or_batches_is_stacked(tmp_path, step):
    parts = torch.tensor(X).split(step)
    torch.save([part[0] for part in parts] if step == 1 else list(parts), tmp_path / "x.pt")
    found = read_vectors(tmp_path / "x.pt")
    np.testing.assert_array_equal(found.X, X)
    assert ("one vector per entry" if step == 1 else "3 entries stacked") in found.report


@pytest.mark.parametrize("suffix", [".pt", ".npz"])
def test_vectors_by_file_name_have_these_paths(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    if suffix == ".pt":
        torch.save({name: torch.tensor(row) for name, row in zip(NAMES, X, strict=True)}, path)
    else:
        np.savez(path, **dict(zip(NAMES, X, strict=True)))
    found = read_vectors(path)
    np.testing.assert_array_equal(found.X, X)
    assert found.paths == tuple(NAMES)
    assert "paths from the names of the entries" in found.report


def test_columns_in_arrays_of_their_own_are_not_rows(tmp_path):
    np.savez(tmp_path / "x.npz", height=X[:, 0], width=X[:, 1])
    with pytest.raises(InputError, match="exactly one 2-D array"):
        read_vectors(tmp_path / "x.npz")


def test_vectors_and_labels_in_a_list_are_not_stacked(tmp_path):
    torch.save((torch.tensor(X), torch.arange(12)), tmp_path / "x.pt")
    np.testing.assert_array_equal(read_vectors(tmp_path / "x.pt").X, X)


def test_two_arrays_in_a_list_are_two_kinds_of_vectors(tmp_path):
    torch.save([torch.tensor(X), torch.tensor(X)], tmp_path / "x.pt")
    with pytest.raises(InputError, match="exactly one 2-D array"):
        read_vectors(tmp_path / "x.pt")


def test_vectors_of_different_lengths_in_a_list_are_refused(tmp_path):
    torch.save([torch.zeros(3), torch.zeros(4)], tmp_path / "x.pt")
    with pytest.raises(InputError, match="exactly one 2-D array"):
        read_vectors(tmp_path / "x.pt")


def test_files_in_sub_folders_are_named_as_such(tmp_path):
    (tmp_path / "x/cat").mkdir(parents=True)
    np.save(tmp_path / "x/cat/1.npy", X[0])
    with pytest.raises(InputError, match="in sub-folders only, as cat"):
        read_vectors(tmp_path / "x")

"""Damaged and hostile files of vectors and labels: one sentence, and nothing is run."""

import os
import warnings

import numpy as np
import pytest
from hostile import BAIT, LABELS, VECTORS, X

from gpuclust.embeddings.vector_files import read_vectors
from gpuclust.errors import InputError


def refused(tmp_path, *paths):
    """Return the message of the refusal."""
    with pytest.raises(InputError) as caught:
        read_vectors(*paths)
    assert not (tmp_path / BAIT).exists()
    assert not os.path.exists(BAIT)  # noqa: PTH110 - in the working directory
    message = str(caught.value)
    assert len(message) < 700
    assert "\n" not in message
    assert message.endswith(".")
    return message


@pytest.mark.parametrize("name", VECTORS)
def test_a_damaged_or_hostile_file_of_vectors_is_refused_by_a_sentence(tmp_path, name):
    path = tmp_path / name
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, for sparse tensors
        VECTORS[name](path)
    assert name in refused(tmp_path, path)


@pytest.mark.parametrize("name", LABELS)
def test_a_damaged_or_hostile_file_of_labels_is_refused_by_a_sentence(tmp_path, name):
    np.save(tmp_path / "vectors.npy", X)
    path = tmp_path / name
    LABELS[name](path)
    assert name in refused(tmp_path, tmp_path / "vectors.npy", path)


def test_a_name_that_is_no_utf8_is_refused_or_shown(tmp_path):
    path = os.fsencode(tmp_path) + b"/\xfc.npy"
    with open(path, "wb") as file:  # noqa: PTH123 - a name in bytes
        np.save(file, X)
    assert "UTF-8" in refused(tmp_path, os.fsdecode(path))


@pytest.mark.parametrize("name", ["a\0b.npy", "a" * 300 + ".npy", "~nosuchuser/x.npy", ""])
def test_a_path_that_cannot_exist_is_refused(tmp_path, name):
    refused(tmp_path, name and str(tmp_path / name) if "~" not in name else name)


def test_names_in_a_zip_file_are_never_paths(tmp_path):
    with open(tmp_path / "x.npz", "wb") as file:  # noqa: PTH123
        np.savez(file, **{"../../escaped": X})
    found = read_vectors(tmp_path / "x.npz")
    assert np.array_equal(found.X, X)
    assert not list(tmp_path.parent.glob("*escaped*"))


def test_control_characters_of_a_name_are_not_sent_to_the_terminal(tmp_path):
    np.savez(tmp_path / "x.npz", X=X, **{"red\x1b[31m\nsecond line": np.arange(3)})
    report = read_vectors(tmp_path / "x.npz").report
    assert report.isprintable()

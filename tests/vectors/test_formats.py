"""Vectors of every format: dtypes, shapes, and the fields beside them."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch

from gpuclust.embeddings.check import check_vectors
from gpuclust.embeddings.vector_files import read_vectors
from gpuclust.errors import InputError
from gpuclust.vectors.names import LABELS, NAMES, VECTORS

N = 6
X = np.random.default_rng(0).normal(size=(N, 3)).astype(np.float32)
Y = np.array([0, 1, 2, 0, 1, 2])


@pytest.mark.parametrize("name", NAMES[VECTORS])
def test_every_name_of_vectors_is_known_in_npz(tmp_path, name):
    np.savez(tmp_path / "x.npz", **{name: X, "other": X})
    assert np.array_equal(read_vectors(tmp_path / "x.npz").X, X)


@pytest.mark.parametrize("name", [*NAMES[LABELS], "Label", "TARGETS", "Class-ID"])
def test_every_name_of_labels_is_known_in_npz(tmp_path, name):
    np.savez(tmp_path / "x.npz", embeddings=X, **{name: Y})
    found = read_vectors(tmp_path / "x.npz")
    assert found.y.tolist() == Y.tolist()
    assert f"labels from {name} (3 classes)" in found.report


def test_an_array_without_a_known_name_is_named_as_not_used(tmp_path):
    np.savez(tmp_path / "x.npz", X=X, weights=Y, arr_0=X)
    report = read_vectors(tmp_path / "x.npz").report
    assert report.endswith("no labels; not used: weights (6,) int64, arr_0 (6, 3) float32")


def test_objects_beside_the_vectors_are_left_out_and_named(tmp_path):
    names = np.array([f"{k}.jpg" for k in range(N)], dtype=object)
    np.savez(tmp_path / "x.npz", X=X, y=Y, filenames=names, paths=names.astype(str))
    found = read_vectors(tmp_path / "x.npz")
    assert found.y.tolist() == Y.tolist()
    assert found.paths == tuple(names)
    assert found.report.endswith("not used: filenames (6,) Python objects")


def test_only_wanted_arrays_of_an_npz_are_read(tmp_path):
    np.savez(tmp_path / "x.npz", X=X, other=np.arange(1000))
    content = bytearray((tmp_path / "x.npz").read_bytes())
    at = content.find(np.arange(990, 1000).tobytes())
    content[at] ^= 0xFF  # damages the checksum of an array that is not wanted
    (tmp_path / "x.npz").write_bytes(content)
    assert np.array_equal(read_vectors(tmp_path / "x.npz").X, X)


def test_labels_of_another_length_are_refused(tmp_path):
    np.savez(tmp_path / "x.npz", X=X, y=np.arange(N + 1))
    with pytest.raises(InputError, match="y has 7 labels for the 6 vectors"):
        read_vectors(tmp_path / "x.npz")
    np.savez(tmp_path / "x.npz", X=X, y=Y, classes=["a", "b", "c"])  # names of classes
    assert read_vectors(tmp_path / "x.npz").y.tolist() == Y.tolist()


@pytest.mark.parametrize(("saved", "named"), [("npz", "npy"), ("npy", "npz"), ("npy", "dat")])
def test_the_content_decides_about_the_format(tmp_path, saved, named):
    path = tmp_path / f"x.{saved}"
    np.savez(path, X=X) if saved == "npz" else np.save(path, X)
    shutil.move(path, tmp_path / f"x.{named}")
    assert np.array_equal(read_vectors(tmp_path / f"x.{named}").X, X)


@pytest.mark.parametrize(
    ("array", "dtype"),
    [
        (np.array([[2**24, -(2**24)]]), np.float32),
        (np.array([[2**24 + 1, 0]]), np.float64),
        (np.array([[-(2**24) - 1, 0]], np.int32), np.float64),
        (np.array([[2**53, 0]]), np.float64),
        (np.array([[2**60, 2**61]]), np.float64),
        (np.array([[2**63]], np.uint64), np.float64),
        (np.array([[-(2**63)]]), np.float64),
        (np.array([[65535]], np.uint16), np.float32),
        (np.array([[65504.0]], np.float16), np.float32),
        (np.array([[1.5]], ">f8"), np.float64),
        (np.array([[1.5]], np.longdouble), np.float64),
        (np.array([[True, False]]), np.float32),
    ],
)
def test_numbers_become_the_smallest_float_that_holds_them(tmp_path, array, dtype):
    np.save(tmp_path / "x.npy", array)
    for found in (read_vectors(tmp_path / "x.npy"), check_vectors(array)):
        assert found.X.dtype == dtype
        assert found.X.dtype.isnative
        assert [[int(v * 2) for v in row] for row in found.X.tolist()] == (
            array.astype(object) * 2
        ).astype(object).tolist()


def test_integers_that_float64_would_make_equal_are_refused():
    with pytest.raises(InputError, match=r"above 2\*\*53, the first in row 1"):
        check_vectors(np.array([[1], [2**53 + 1]]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_tensors_of_torch_and_safetensors(tmp_path, dtype):
    tensor = torch.tensor(X, dtype=dtype).requires_grad_()
    exact = tensor.detach().to(torch.float64).numpy()
    torch.save(tensor, tmp_path / "a.pt")
    torch.save({"features": tensor, "labels": torch.tensor(Y), "epoch": 3}, tmp_path / "b.pth")
    save_torch({"emb": tensor.detach(), "target": torch.tensor(Y)}, tmp_path / "c.safetensors")
    for name in ("a.pt", "b.pth", "c.safetensors"):
        found = read_vectors(tmp_path / name)
        assert np.array_equal(found.X, exact)
        assert found.X.dtype == (np.float64 if dtype == torch.float64 else np.float32)
        assert (found.y is None) == (name == "a.pt")
    assert "not used: epoch" in read_vectors(tmp_path / "b.pth").report
    assert np.array_equal(check_vectors(tensor).X, exact)


def test_torch_files_may_hold_texts_and_tuples_and_the_older_format(tmp_path):
    torch.save(
        {"X": torch.tensor(X), "label": ["b", "a"] * 3, "paths": ["p"] * 6}, tmp_path / "x.pt"
    )
    found = read_vectors(tmp_path / "x.pt")
    assert (found.class_names, found.paths) == (("a", "b"), ("p",) * 6)
    torch.save((torch.tensor(X), torch.tensor(Y)), tmp_path / "y.pt")
    assert np.array_equal(read_vectors(tmp_path / "y.pt").X, X)
    torch.save(torch.tensor(X), tmp_path / "z.pt", _use_new_zipfile_serialization=False)
    assert np.array_equal(read_vectors(tmp_path / "z.pt").X, X)


def test_safetensors_of_numpy(tmp_path):
    save_file({"X": X, "y": Y}, tmp_path / "x.safetensors")
    assert read_vectors(tmp_path / "x.safetensors").y.tolist() == Y.tolist()


def test_a_folder_of_chunks_is_stacked_in_the_order_of_the_numbers(tmp_path):
    for k in range(12):
        np.save(tmp_path / f"part_{k}.npy", np.full((2, 3), k, np.float32))
    (tmp_path / "notes.txt").write_text("")
    found = read_vectors(tmp_path)
    assert found.X[::2, 0].tolist() == list(range(12))
    assert "12 files stacked, part_0.npy to part_11.npy" in found.report
    assert found.paths is None


def test_a_folder_of_single_vectors_has_their_names_as_paths(tmp_path):
    for k, row in enumerate(X):
        np.save(tmp_path / f"photo{k}.npy", row)
    np.save(tmp_path / "labels.npy", Y)
    found = read_vectors(tmp_path)
    assert np.array_equal(found.X, X)
    assert found.paths[5] == "photo5.npy"
    assert found.y.tolist() == Y.tolist()
    assert "one vector per file" in found.report


def test_a_folder_of_named_arrays_is_read_like_an_npz(tmp_path):
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", Y)
    found = read_vectors(tmp_path)
    assert np.array_equal(found.X, X)
    assert found.y.tolist() == Y.tolist()


def test_a_folder_whose_files_do_not_fit_together_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", X)
    np.save(tmp_path / "b.npy", X[:, :2])
    with pytest.raises(InputError, match=r"b\.npy holds float32 of shape \(6, 2\)"):
        read_vectors(tmp_path)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: np.ma.masked_array(X, X > 0), "masked array"),
        (lambda: __import__("scipy.sparse").sparse.csr_matrix(X), r"sparse.*toarray"),
        (lambda: torch.tensor(X).to_sparse(), "sparse"),
        (lambda: [[1, 2], [3]], "cannot be read as an array"),
        (lambda: X[0], "expected"),
        (lambda: X.astype(complex), "real numbers"),
        (lambda: np.array([["a", "b"]]), "real numbers"),
        (lambda: [[1, None]], "real numbers"),
        (lambda: X[:0], "empty"),
        (lambda: 3.0, "shape"),
        (lambda: "x.npy", "real numbers"),
        (lambda: None, "real numbers"),
    ],
)
def test_values_in_memory_that_are_no_vectors_are_refused(make, said):
    with pytest.raises(InputError, match=said):
        check_vectors(make())


def test_lists_tensors_and_views_in_memory_are_read():
    for given in (X.tolist(), list(torch.tensor(X)), memoryview(X), X.T.copy().T, X[::-1][::-1]):
        found = check_vectors(given)
        assert np.allclose(found.X, X)
        assert found.X.flags.c_contiguous
    assert check_vectors(X).X is X


@pytest.mark.long
def test_a_mapped_file_of_a_gibibyte_needs_a_tenth_of_it_in_memory(tmp_path):
    path = tmp_path / "x.npy"
    np.lib.format.open_memmap(path, "w+", np.float32, (2**19, 512))  # sparse on the disk
    code = (
        "import re, sys; from gpuclust.embeddings.own import own_vectors;"
        "own_vectors(sys.argv[1]);"
        "print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, check=True, text=True
    )
    assert int(done.stdout) * 1024 < 2**28

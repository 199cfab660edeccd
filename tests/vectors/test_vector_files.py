"""Vectors of a user: every supported file layout, and an error for every fault."""

import numpy as np
import pandas as pd
import pytest

from gpuclust.embeddings.vector_files import read_vectors
from gpuclust.errors import InputError

X = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
Y = np.array([2, 0, 1, 1, 0, 2])
NAMES = ["cat", "ant", "bee", "bee", "ant", "cat"]


def npy(path, array):
    np.save(path, array)
    return path


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("f2", "f4"),
        ("f4", "f4"),
        ("f8", "f8"),
        ("i8", "f4"),
        ("u1", "f4"),
        (">f4", "f4"),
        ("?", "f4"),
    ],
)
def test_all_numbers_become_float32_but_float64_stays(tmp_path, given, kept):
    array = (X * 10).astype(given)
    read = read_vectors(npy(tmp_path / "x.npy", np.asfortranarray(array)))
    assert read.X.dtype == np.dtype(kept)
    assert read.X.flags.c_contiguous
    assert np.array_equal(read.X, array.astype(kept))
    assert (read.y, read.class_names) == (None, None)


@pytest.mark.parametrize("x_name", ["X", "embeddings", "features", "Z", "anything"])
@pytest.mark.parametrize("y_name", ["y", "labels", "y_true", "targets"])
def test_npz_is_read_by_its_names(tmp_path, x_name, y_name):
    np.savez(tmp_path / "x.npz", **{x_name: X, y_name: Y})
    read = read_vectors(tmp_path / "x.npz")
    assert np.array_equal(read.X, X)
    assert np.array_equal(read.y, Y)


def test_npz_with_two_matrices_and_no_name_is_refused(tmp_path):
    np.savez(tmp_path / "x.npz", a=X, b=X)
    with pytest.raises(InputError, match=r"arrays a \(6, 3\).*, b .* exactly one 2-D"):
        read_vectors(tmp_path / "x.npz")


@pytest.mark.parametrize("column", ["label", "y", "labels"])
def test_parquet_columns_are_features_and_one_is_the_label(tmp_path, column):
    frame = pd.DataFrame(X, columns=["f0", "f1", "f2"])
    frame[column] = NAMES
    frame["path"] = "somewhere"
    frame.to_parquet(tmp_path / "x.parquet")
    read = read_vectors(tmp_path / "x.parquet")
    assert np.array_equal(read.X, X)
    assert read.X.dtype == np.float32
    assert read.y.tolist() == [2, 0, 1, 1, 0, 2]
    assert read.class_names == ("ant", "bee", "cat")


def test_parquet_without_numbers_is_refused(tmp_path):
    pd.DataFrame({"a": NAMES}).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(InputError, match="no numeric columns"):
        read_vectors(tmp_path / "x.parquet")


LABEL_FILES = {
    "y.npy": lambda p: np.save(p, Y),
    "y-float.npy": lambda p: np.save(p, Y.astype(float)),
    "y-column.npy": lambda p: np.save(p, Y[:, None]),
    "y-text.npy": lambda p: np.save(p, np.array(NAMES)),
    "y-bytes.npy": lambda p: np.save(p, np.array(NAMES, "S")),
    "y.npz": lambda p: np.savez(p, labels=Y, other=X),
    "only.npz": lambda p: np.savez(p, Y),
    "y.txt": lambda p: p.write_text("\n".join(map(str, Y)) + "\n"),
    "names.txt": lambda p: p.write_text("\n".join(NAMES)),
    "y.csv": lambda p: p.write_text("\n".join(map(str, Y))),
    "header.csv": lambda p: p.write_text("\ufeffClass\n" + "\n".join(NAMES) + "\n"),
    "columns.csv": lambda p: p.write_text("path,Label\n" + "\n".join(f'"a,b",{n}' for n in NAMES)),
    "y.parquet": lambda p: pd.DataFrame({"truth": NAMES}).to_parquet(p),
    "two.parquet": lambda p: pd.DataFrame({"a": X[:, 0], "label": Y}).to_parquet(p),
}


@pytest.mark.parametrize("name", LABEL_FILES)
def test_label_files_of_every_layout_give_the_same_labels(tmp_path, name):
    LABEL_FILES[name](tmp_path / name)
    read = read_vectors(npy(tmp_path / "x.npy", X), tmp_path / name)
    assert read.y.tolist() == Y.tolist()
    assert read.y.dtype == np.int64
    assert read.class_names in (None, ("ant", "bee", "cat"))


def test_a_label_file_overrides_labels_in_the_file(tmp_path):
    np.savez(tmp_path / "x.npz", X=X, y=np.zeros(6, int))
    assert read_vectors(tmp_path / "x.npz", npy(tmp_path / "y.npy", Y)).y.tolist() == Y.tolist()


@pytest.mark.parametrize(
    ("array", "match"),
    [
        (X[0], r"shape \(3,\)"),
        (X[None], r"shape \(1, 6, 3\)"),
        (X[:0], "is empty"),
        (X[:, :0], "is empty"),
        (X.astype(complex), "real numbers"),
        (X.astype(str), "real numbers"),
        (np.array([{}, {}]), "Python objects"),
        (np.where(np.arange(6)[:, None] >= 4, np.nan, X), "in 2 of 6 rows, the first is row 4"),
        (np.where(X[1, 1] == X, np.inf, X), "in 1 of 6 rows, the first is row 1"),
        (np.full((2, 2), 1e300, np.float64).astype(np.longdouble) * 1e300, "NaN or inf"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow")
def test_vectors_that_cannot_be_clustered_are_refused(tmp_path, array, match):
    with pytest.raises(InputError, match=match):
        read_vectors(npy(tmp_path / "x.npy", array))


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("y.txt", "1\n2\n", "2 labels for the 6 vectors"),
        ("y.txt", b"\xff\xfe\xfd", "UTF-8"),
        ("y.csv", "a,b\n" * 6, "name one of them label"),
        ("y.csv", "path,label\n" + "a\n" * 6, "fewer columns"),
        ("y.csv", "", "0 labels"),
        ("y.npy", b"nonsense", "Python objects"),
        ("y.npz", b"nonsense", "Python objects"),
        ("y.npz", b"PK\x03\x04nonsense", "not a complete NumPy file"),
        ("y.parquet", b"nonsense", "not a complete Parquet file"),
        ("y.json", "[]", "cannot read .json"),
    ],
)
def test_label_files_with_faults_are_refused(tmp_path, name, content, match):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=match):
        read_vectors(npy(tmp_path / "x.npy", X), path)


@pytest.mark.parametrize(
    ("labels", "match"),
    [
        (np.array([0.5] * 6), "label 0.5 in row 0"),
        (np.array([[1, 2]] * 6), "one per row"),
    ],
)
def test_fractions_and_matrices_are_not_labels(tmp_path, labels, match):
    with pytest.raises(InputError, match=match):
        read_vectors(npy(tmp_path / "x.npy", X), npy(tmp_path / "y.npy", labels))


def test_a_truncated_file_is_refused(tmp_path):
    path = npy(tmp_path / "x.npy", X)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(InputError, match="not a complete NumPy file"):
        read_vectors(path)


def test_a_path_without_a_readable_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_vectors(tmp_path / "x.npy")
    with pytest.raises(InputError, match="is a folder"):
        read_vectors(tmp_path)
    (tmp_path / "x.h5").write_text("content")
    with pytest.raises(InputError, match=r"allowed are \.npy, \.npz, \.parquet"):
        read_vectors(tmp_path / "x.h5")

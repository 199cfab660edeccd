import numpy as np
import pandas as pd
import pytest
import torch

import gpuclust
from gpuclust.errors import InputError, StorageError


@pytest.fixture
def root(tmp_path):
    return tmp_path / "root"


@pytest.fixture
def X(digits):
    return digits.X[:120].astype(np.float32)


def ami(X, y, root, **how):
    row = gpuclust.run(X=X, y=y, clusterer="kmeans", metrics="ami", root=root, **how)
    return row["scores"]["ami"]


@pytest.mark.parametrize("dtype", ["float64", "float16", "int8", "uint8"])
def test_vectors_of_any_numbers_give_the_clusters_of_float32(digits, X, root, dtype):
    y = digits.y[:120]
    expected = ami(X, y, root, reducer="l2")
    assert ami(X.astype(dtype), y, root, reducer="l2") == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("kind", [np.ndarray.tolist, pd.DataFrame, torch.from_numpy])
def test_lists_tables_and_tensors_are_arrays(digits, X, root, kind):
    assert ami(kind(X), digits.y[:120].tolist(), root) > 0.4


def test_the_same_bytes_in_another_shape_are_other_vectors(root):
    X = np.random.default_rng(0).normal(size=(60, 6))
    rows = [
        gpuclust.run(X=one, clusterer="kmeans", k=3, root=root) for one in (X, X.reshape(120, 3))
    ]
    assert [row["n"] for row in rows] == [60, 120]
    assert gpuclust.run(X=X, clusterer="kmeans", k=3, root=root)["key"] == rows[0]["key"]


def test_text_classes_and_numbers_of_numpy_are_taken(digits, X, root):
    y = np.char.add("c", digits.y[:120].astype(str))
    row = gpuclust.run(
        X=X, y=y, clusterer="kmeans", k=np.int64(10), seed=np.int32(1), metrics="ami", root=root
    )
    assert (row["k"], row["seed"], row["n_classes"]) == (10, 1, 10)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"X": [[0.0, np.nan], [1.0, 2.0]]}, "NaN"),
        ({"X": np.zeros((3, 2, 2))}, "shape"),
        ({"X": np.array([[{}]], dtype=object)}, "real numbers"),
        ({"X": [[1, 2], [3]]}, "cannot be read"),
        ({"X": np.eye(4), "y": [0, 1]}, "2 labels for the 4 vectors"),
        ({"X": np.eye(4), "k": 9}, "more than the 4 samples"),
        ({"X": np.eye(4), "k": True}, "whole number"),
        ({"X": np.eye(4), "seed": 2**40}, "from 0 to 4294967295"),
        ({"X": np.eye(4), "preprocess": "study"}, "belong to images"),
        ({"X": np.eye(4), "dataset": "digits"}, "not both"),
        ({"X": np.eye(4), "batchsize": 3}, "batch_size"),
        ({}, "give dataset and encoder"),
    ],
)
def test_bad_input_is_refused_with_a_reason(root, how, said):
    with pytest.raises(InputError, match=said):
        gpuclust.run(**{"clusterer": "kmeans", "k": 2, "root": root, **how})


def test_an_embedding_is_computed_once(root, monkeypatch):
    first = gpuclust.embed("digits", "raw", root=root)
    monkeypatch.setattr("gpuclust.encoders.load", None)
    again = gpuclust.embed("digits", "raw", root=root)
    np.testing.assert_array_equal(first.X, again.X)
    assert first.fingerprint == again.fingerprint


def test_a_grid_file_gives_a_table_and_results_read_it_again(root, tmp_path):
    grid = tmp_path / "grid.toml"
    grid.write_text('dataset = "digits"\nencoder = "raw"\nclusterer = ["kmeans", "affinity"]\n')
    table = gpuclust.run_grid(grid, root=root)
    assert list(table["clusterer"]) == ["kmeans", "affinity"]
    assert set(gpuclust.results(root)["key"]) == set(table["key"])


def test_a_root_that_cannot_be_is_refused(tmp_path):
    with pytest.raises(InputError, match="no folder of results"):
        gpuclust.results(tmp_path / "typo")
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="not a folder"):
        gpuclust.run(X=np.eye(4), clusterer="kmeans", k=2, root=tmp_path / "file")

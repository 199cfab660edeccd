"""Further labels of a dataset: stored with the embedding, read again, saved and shown."""

import dataclasses

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from miniatures import TREES
from PIL import Image

import gpuclust
from gpuclust import datasets
from gpuclust.datasets.listed import ListedImages
from gpuclust.datasets.table import DATASETS
from gpuclust.embeddings import samples
from gpuclust.embeddings.decoding import Sample
from gpuclust.embeddings.label_table import write_labels
from gpuclust.errors import InputError

AGE = np.array([30, 7, 7, 61, 5])
ORDER = np.array(["Diptera", None, "Hymenoptera", "Diptera", "Ä'b\"c"], dtype=object)


def faces(folder, broken=()):
    """Five images with two further labels; the images named in `broken` cannot be decoded."""
    folder.mkdir(exist_ok=True)
    names = tuple(f"{i}.png" for i in range(5))
    for i, name in enumerate(names):
        Image.new("RGB", (6, 6), (40 * i, 0, 0)).save(folder / name)
        if i in broken:
            (folder / name).write_bytes(b"no image")
    columns = {"age": AGE, "order": ORDER}
    return ListedImages("faces", "all", folder, names, np.arange(5) % 2, ("a", "b"), columns)


@pytest.fixture
def table(monkeypatch, tmp_path):
    """Register the images as the dataset `faces`."""

    def register(**options):
        data = faces(tmp_path / "faces", **options)
        entry = dataclasses.replace(DATASETS["digits"], splits={"all": 5}, classes=2)
        monkeypatch.setitem(DATASETS, "faces", entry)
        monkeypatch.setattr("gpuclust.datasets.readers.digits.load", lambda *_: data)

    return register


def test_columns_of_the_kept_samples_are_written_in_their_order(tmp_path):
    data, path = faces(tmp_path / "faces"), tmp_path / "x.labels.parquet"
    write_labels(path, data, [Sample(4, None, 0), Sample(1, None, 1)], np.zeros((5, 16), np.uint8))
    table = pq.read_table(path)
    assert str(table.schema.field("label.age").type) == "int64"
    assert str(table.schema.field("label.order").type).startswith("dictionary<values=string")
    found = samples.stored_columns(path)
    assert found["age"].dtype == np.int64
    assert found["age"].tolist() == [5, 7]
    assert found["order"].tolist() == ["Ä'b\"c", None]
    assert samples.stored_labels(path).y.tolist() == [0, 1]  # the class is no further label


def test_a_file_without_further_labels_reads_as_before(tmp_path):
    data, path = faces(tmp_path / "faces"), tmp_path / "x.labels.parquet"
    bare = dataclasses.replace(data, columns={})
    write_labels(path, bare, [Sample(0, None, 0)], np.zeros((5, 16), np.uint8))
    assert samples.stored_columns(path) == {}
    assert samples.stored_names(path).class_names == ("a",)


def test_columns_of_another_length_are_refused(tmp_path):
    data = dataclasses.replace(faces(tmp_path / "faces"), columns={"age": AGE[:3]})
    with pytest.raises(InputError, match=r"'age' of faces are 3 for 5 images"):
        write_labels(tmp_path / "x", data, [Sample(0, None, 0)], np.zeros((5, 16), np.uint8))


def test_an_embedding_has_them_for_the_decoded_images(table, tmp_path):
    table(broken=(1,))
    with pytest.warns(gpuclust.GpuclustNote, match="skipped"):
        made = gpuclust.embed("faces", "raw", root=tmp_path / "out", skip_bad=True)
    again = gpuclust.embed("faces", "raw", root=tmp_path / "out", skip_bad=True)
    for one in (made, again):
        assert len(one) == 4
        assert one.columns["age"].tolist() == [30, 7, 61, 5]
        assert one.columns["order"].tolist() == ["Diptera", "Hymenoptera", "Diptera", "Ä'b\"c"]


@pytest.mark.parametrize("name", ["celeba", "cifar100", "imagenet-r", "inaturalist"])
def test_embeddings_of_a_published_dataset_have_its_labels(name, tmp_path):
    true = TREES[name](tmp_path)
    data = datasets.load(name, data_dir=tmp_path)
    with pytest.warns(gpuclust.GpuclustNote, match="expected"):
        made = gpuclust.embed(name, "raw", data_dir=tmp_path, root=tmp_path / "out", loaders=0)
    assert set(made.columns) == set(true.columns)
    for column, values in data.columns.items():
        assert made.columns[column].tolist() == values.tolist()


def test_saved_and_loaded_columns_are_the_same_and_in_the_table(table, tmp_path):
    table()
    made = gpuclust.embed("faces", "raw", root=tmp_path / "out")
    read = gpuclust.Embeddings.load(made.save(tmp_path / "faces.npz"))
    assert set(read.columns) == {"age", "order"}
    assert read.columns["age"].tolist() == AGE.tolist()
    assert read.columns["order"].tolist() == ORDER.tolist()
    frame = read.to_frame()
    assert frame.columns[:4].tolist() == ["path", "truth", "label.age", "label.order"]
    assert frame["label.age"].tolist() == AGE.tolist()
    assert pd.isna(frame["label.order"]).tolist() == [False, True, False, False, False]


def test_the_saved_file_is_still_one_of_vectors_with_classes(table, tmp_path):
    table()
    path = gpuclust.embed("faces", "raw", root=tmp_path / "out").save(tmp_path / "faces.npz")
    plain = gpuclust.Embeddings.load(path).data()
    assert plain.n_classes == 2
    with np.load(path, allow_pickle=False) as file:
        assert {"X", "y", "paths"} <= set(file.files)


def test_embeddings_without_further_labels_have_no_column():
    made = gpuclust.Embeddings(np.zeros((2, 3)))
    assert made.columns == {}
    assert made.to_frame().columns.tolist() == ["path", "truth", "x0", "x1", "x2"]


def test_all_texts_unknown_and_no_text_survive_saving(tmp_path):
    columns = {"none": np.array([None, None], dtype=object)}
    made = gpuclust.Embeddings(np.zeros((2, 3)), columns=columns)
    assert gpuclust.Embeddings.load(made.save(tmp_path / "x")).columns["none"].tolist() == [
        None,
        None,
    ]

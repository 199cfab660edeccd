"""LSUN in real LMDB databases: order, loaders, replaced and damaged files."""

import importlib.util
import io
import os
import shutil

import numpy as np
import pytest
import torch
from miniatures.libraries import TREES
from miniatures.pictures import photo

from gpuclust import datasets
from gpuclust.datasets.readers import lsun
from gpuclust.errors import BadImagesError, InputError

lmdb = pytest.importorskip("lmdb")


@pytest.fixture
def root(tmp_path):
    TREES["lsun"](tmp_path)
    return tmp_path


def put(folder, key, value):
    with lmdb.open(str(folder), map_size=2**20) as base, base.begin(write=True) as written:
        written.put(key, value)


def test_images_of_a_category_are_in_the_order_of_their_keys(root):
    data = datasets.load("lsun", data_dir=root)
    assert data.labels.tolist() == np.repeat(np.arange(10), 6).tolist()
    assert data.class_names[2] == "church_outdoor"
    keys = [data.keys[i] for i in range(6, 12)]
    assert keys == sorted(keys)
    number = {f"{(i * 7 + 1) % 10:040x}".encode(): 1500 + 6 + i for i in range(6)}
    for i in range(6, 12):
        assert np.array_equal(data[i][0], photo(number[data.keys[i]]))


def test_nothing_is_written_and_no_pickle_is_read(root, monkeypatch):
    monkeypatch.chdir(root)
    before = sorted(str(path) for path in root.rglob("*"))
    data = datasets.load("lsun", data_dir=root)
    data[0]
    assert sorted(str(path) for path in root.rglob("*")) == before


def test_forked_loaders_read_the_same(root):
    data = datasets.load("lsun", data_dir=root)
    expected = [np.asarray(data[i][0]).sum() for i in range(60)]
    loader = torch.utils.data.DataLoader(
        data,
        batch_size=None,
        num_workers=2,
        multiprocessing_context="fork",
        collate_fn=_total,
    )
    assert list(loader) == expected


def _total(item):
    return int(np.asarray(item[0]).sum())


def test_a_dataset_is_opened_again_and_twice_at_a_time(root):
    first = datasets.load("lsun", data_dir=root)
    first[0]
    second = datasets.load("lsun", data_dir=root)
    assert second.fingerprint == first.fingerprint
    assert np.array_equal(first[3][0], second[3][0])


def test_a_replaced_database_is_read_anew(root):
    before = datasets.load("lsun", data_dir=root)
    before[0]
    folder = root / "lsun/bedroom_val_lmdb"
    shutil.rmtree(folder)
    folder.mkdir()
    encoded = io.BytesIO()
    photo(3).save(encoded, "PNG")
    put(folder, b"new", encoded.getvalue())
    after = datasets.load("lsun", data_dir=root)
    assert len(after) == 55
    assert np.array_equal(after[0][0], photo(3))
    with pytest.raises(BadImagesError, match="no such key any more"):
        before[0]


def test_a_bad_image_is_named_by_its_key(root):
    data = datasets.load("lsun", data_dir=root)
    folder = root / "lsun/tower_val_lmdb"
    os.utime(folder / "data.mdb", (0, 0))
    shutil.rmtree(folder)
    folder.mkdir()
    put(folder, b"broken", b"no image")
    data = datasets.load("lsun", data_dir=root)
    with pytest.raises(BadImagesError, match=r"tower_val_lmdb\[broken\]"):
        data[len(data) - 1]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:12288]), "is truncated: 12,288 of"),
        (lambda path: path.write_bytes(b"x" * 20_000), "cannot be read as an LMDB database"),
        (lambda path: path.write_bytes(b""), "kitchen_val_lmdb"),
        (lambda path: path.unlink(), "has no kitchen_val_lmdb/data.mdb"),
    ],
)
def test_a_damaged_database_is_named(root, damage, said):
    path = root / "lsun/kitchen_val_lmdb/data.mdb"
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    damage(path)
    with pytest.raises(InputError) as caught:
        datasets.load("lsun", data_dir=root)
    assert said in str(caught.value)
    assert "gpuclust datasets where lsun" in str(caught.value)


def test_an_empty_database_is_named(root):
    folder = root / "lsun/kitchen_val_lmdb"
    shutil.rmtree(folder)
    folder.mkdir()
    with lmdb.open(str(folder), map_size=2**20) as base, base.begin(write=True) as written:
        written.put(b"x", b"y")
        written.delete(b"x")
    with pytest.raises(InputError, match="kitchen_val_lmdb has no images"):
        datasets.load("lsun", data_dir=root)


def test_the_package_is_asked_for_before_anything_runs(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InputError, match="pip install lmdb"):
        datasets.check("lsun")


def test_categories_are_torchvisions():
    from torchvision.datasets import LSUN

    class Names(LSUN):
        def __init__(self):
            pass

    assert Names()._verify_classes("val") == [f"{one}_val" for one in lsun.CATEGORIES]

"""Datasets of timm's factory: torchvision for real, fakes for optional libraries."""

import importlib.util
import types

import numpy as np
import pytest
import torch
from PIL import Image

from gpuclust import datasets
from gpuclust.datasets.readers import timm_factory
from gpuclust.errors import BadImagesError, InputError, UnknownNameError


@pytest.fixture
def raw(monkeypatch):
    """Make timm's factory return the test's dataset, as if its library were installed."""
    import timm.data

    given = types.SimpleNamespace(value=None)
    monkeypatch.setattr(timm.data, "create_dataset", lambda *_, **__: given.value)
    monkeypatch.setattr(timm_factory, "check", lambda name, split: None)
    return given


@pytest.mark.parametrize("name", ["hfds/x", "tfds/x", "wds/x"])
def test_a_missing_library_is_named_before_anything_runs(name, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"needs the package .*pip install"):
        datasets.check(name, "train")


def test_torchvision_names_and_splits_are_checked_before_anything_runs():
    with pytest.raises(UnknownNameError, match="Did you mean 'torch/kmnist'"):
        datasets.check("torch/kmnst")
    with pytest.raises(InputError, match="test, train"):
        datasets.check("torch/kmnist", "tset")


def test_a_missing_dataset_says_how_to_get_it(tmp_path):
    with pytest.raises(InputError, match="--data-dir"):
        datasets.load("torch/kmnist")
    with pytest.raises(InputError, match="download=True"):
        datasets.load("torch/kmnist", data_dir=tmp_path)


def test_torchvision_is_read_through_timm(tmp_path):
    folder = tmp_path / "KMNIST/raw"
    folder.mkdir(parents=True)
    images = np.random.default_rng(0).integers(0, 256, (12, 28, 28), np.uint8)
    labels = (np.arange(12) % 10).astype(np.uint8)
    for stem in ("t10k", "train"):
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            header = np.array([0x800 + array.ndim, *array.shape], ">u4").tobytes()
            (folder / f"{stem}-{kind}-ubyte").write_bytes(header + array.tobytes())
    data = datasets.load("torch/kmnist", data_dir=tmp_path)
    image, label = data[11]
    assert (len(data), data.image_size, label, image.mode) == (12, 28, 1, "RGB")
    assert np.array_equal(np.asarray(image)[..., 0], images[11])
    assert data.labels.tolist() == labels.tolist()
    assert data.class_names[0] == "o"
    assert data.where(2) == "torch/kmnist[2]"
    assert (
        data.fingerprint
        != datasets.load("torch/kmnist", data_dir=tmp_path, split="train").fingerprint
    )


class HubTable(list):
    column_names = ("image", "label")
    _fingerprint = "abc"

    def __getitem__(self, key):
        return [row[key] for row in self] if isinstance(key, str) else super().__getitem__(key)


class HubImages:
    def __init__(self, rows):
        self.reader = types.SimpleNamespace(
            dataset=HubTable(rows),
            image_key="image",
            label_key="label",
            class_to_idx={"b": 1, "a": 0},
        )

    def __len__(self):
        return len(self.reader.dataset)


def test_a_bad_image_of_the_hub_is_reported_and_not_replaced(raw, tmp_path):
    path = tmp_path / "x.png"
    Image.new("RGB", (5, 5)).save(path)
    rows = [
        {"image": {"bytes": path.read_bytes()}, "label": 1},
        {"image": {"bytes": b"broken"}, "label": 0},
        {"image": {"path": str(path), "bytes": None}, "label": 0},
    ]
    raw.value = HubImages(rows)
    data = datasets.load("hfds/x", split="train")
    assert data[0][1] == 1
    assert data[2][0].size == (5, 5)
    assert data.class_names == ("a", "b")
    with pytest.raises(BadImagesError, match=r"hfds/x\[1\]"):
        data[1]


def test_a_label_of_minus_one_means_no_label(raw, tmp_path):
    raw.value = HubImages([{"image": {"bytes": b"x"}, "label": -1}])
    assert datasets.load("hfds/x").labels is None


def test_text_labels_of_the_hub_are_refused(raw):
    raw.value = HubImages([{"image": {"bytes": b"x"}, "label": "cat"}])
    with pytest.raises(InputError, match="dtype <U3; integers 0, 1, 2"):
        datasets.load("hfds/x")


class Stream(torch.utils.data.IterableDataset):
    def __init__(self, n, given):
        self.n, self.given = n, given

    def __len__(self):
        return self.n

    def __iter__(self):
        return iter([(Image.new("L", (4, 4), k), k) for k in range(self.given)])


def test_a_stream_is_read_in_order_and_can_start_again(raw):
    raw.value = Stream(3, 3)
    data = datasets.load("wds/x", split="a.tar|3", data_dir=".")
    assert data.sequential
    assert [data[i][1] for i in range(3)] == [0, 1, 2]
    assert data[0][0].mode == "RGB"
    with pytest.raises(InputError, match="image 2 was requested, but image 1 is next"):
        data[2]


def test_a_stream_that_ends_early_is_an_error(raw):
    raw.value = Stream(5, 2)
    data = datasets.load("tfds/x")
    with pytest.raises(InputError, match="ended after 2 of 5"):
        [data[i] for i in range(5)]


def test_a_stream_of_unknown_length_is_refused(raw):
    raw.value = Stream(0, 2)
    with pytest.raises(InputError, match=r"no number of images.*--split 'shard"):
        datasets.load("wds/x", data_dir=".")

"""Every published dataset from a miniature tree in its true layout, and the study's own table."""

import importlib.resources
import tomllib
from dataclasses import replace
from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest
from miniatures import TREES

from gpuclust import datasets
from gpuclust.datasets.table import DATASETS
from gpuclust.errors import UnknownNameError

# Name -> split, images, classes, largest class divided by the smallest; by group.  The table of the
# zero-shot clustering study (arXiv 2406.02465).
STUDY = {
    "in-domain": {
        "imagenet": ("val", 50_000, 1_000, 1.00),
        "imagenetv2": ("all", 10_000, 1_000, 1.00),
        "cifar10": ("test", 10_000, 10, 1.00),
        "cifar100": ("test", 10_000, 100, 1.00),
        "in9original": ("test", 4_050, 9, 1.00),
    },
    "domain-shift": {
        "in9onlyfg": ("test", 4_050, 9, 1.00),
        "in9mixedrand": ("test", 4_050, 9, 1.00),
        "imagenet-r": ("all", 30_000, 200, 8.43),
        "imagenet-sketch": ("all", 50_889, 1_000, 1.02),
    },
    "near-ood": {
        "imagenet-o": ("all", 2_000, 200, 6.00),
        "lsun": ("val", 10_000, 10, 1.00),
        "places365": ("val", 36_500, 365, 1.00),
    },
    "fine-grained": {
        "aircraft": ("test", 3_333, 100, 1.03),
        "stanfordcars": ("test", 8_041, 196, 2.83),
        "flowers102": ("test", 6_149, 102, 11.90),
        "bioscan1m": ("test", 24_799, 2_688, 782.50),
        "nabirds": ("test", 24_633, 555, 6.67),
        "inaturalist": ("val", 100_000, 10_000, 1.00),
    },
    "far-ood": {
        "celeba": ("test", 19_962, 1_000, 32.00),
        "utkface": ("test", 5_925, 101, 549.00),
        "breakhis": ("test", 3_164, 32, 8.60),
        "dtd": ("test", 1_880, 47, 1.00),
        "eurosat": ("test", 4_050, 10, 1.50),
        "mnist": ("test", 10_000, 10, 1.27),
        "fashionmnist": ("test", 10_000, 10, 1.00),
        "svhn": ("test", 26_032, 10, 3.20),
    },
}
NAMES = [name for group in STUDY.values() for name in group]
# The study's figure is that of the test images, which have no labels: see the entry's remark.
OTHER_NUMBER = {"lsun": 3_000}


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    """The folder of all miniature trees, and their true counts."""
    data_dir = tmp_path_factory.mktemp("datasets")
    return data_dir, {name: write(data_dir) for name, write in TREES.items()}


def test_the_study_has_26_datasets_in_the_table_and_in_the_preset():
    assert len(NAMES) == 26
    text = importlib.resources.files("gpuclust.presets").joinpath("study.toml").read_text("utf-8")
    preset = tomllib.loads(text)["datasets"]
    expected = {name: facts[0] for group in STUDY.values() for name, facts in group.items()}
    assert {name: given["split"] for name, given in preset.items()} == expected


@pytest.mark.parametrize("name", NAMES)
def test_the_entry_has_the_numbers_of_the_study(name):
    entry = DATASETS[name]
    ((group, facts),) = [(key, group[name]) for key, group in STUDY.items() if name in group]
    split, n, classes, imbalance = facts
    assert datasets.default_split(name) == split
    assert entry.splits[split] == OTHER_NUMBER.get(name, n)
    assert (entry.classes, entry.imbalance, entry.group) == (classes, imbalance, group)


def test_every_published_dataset_has_a_miniature():
    assert set(TREES) == {name for name, entry in DATASETS.items() if entry.folders}
    assert {*NAMES, "imagenette", "imagewoof", "bioscan5m"} <= set(TREES)


@pytest.mark.parametrize("name", TREES)
def test_every_split_has_the_numbers_of_its_tree(name, trees):
    data_dir, counts = trees
    true, entry = counts[name], DATASETS[name]
    assert set(true.splits) <= set(entry.splits)
    for split, n in true.splits.items():
        data = datasets.load(name, split=split, data_dir=data_dir)
        assert (data.name, data.split, len(data), len(data.labels)) == (name, split, n, n)
        assert data.labels.dtype == np.int64
        assert set(true.columns) == set(entry.columns) == set(data.columns)
        assert {len(values) for values in data.columns.values()} <= {n}
    default = datasets.load(name, data_dir=data_dir)
    assert len(np.unique(default.labels[default.labels >= 0])) == true.classes
    if name != "celeba":  # identities are numbers without names
        assert default.labels.max() < len(default.class_names)


@pytest.mark.parametrize("name", TREES)
def test_images_are_decoded_here_and_after_a_journey_to_a_worker(name, trees):
    data = datasets.load(name, data_dir=trees[0])
    again = ForkingPickler.loads(ForkingPickler.dumps(data))
    for i in (0, len(data) // 2, len(data) - 1):
        picture, label = data[i]
        assert (picture.mode, label) == ("RGB", data.labels[i])
        assert np.asarray(picture).std() > 1  # a real picture, not one color
        assert picture.tobytes() == again[i][0].tobytes()
        assert data.where(i) == again.where(i)
    assert again.fingerprint == data.fingerprint
    assert np.array_equal(again.labels, data.labels)


@pytest.mark.parametrize("name", TREES)
def test_a_fingerprint_belongs_to_one_split(name, trees, tmp_path):
    data_dir, counts = trees
    prints = {
        split: datasets.load(name, split=split, data_dir=data_dir).fingerprint
        for split in counts[name].splits
    }
    assert len(set(prints.values())) == len(prints)
    TREES[name](tmp_path)  # elsewhere
    moved = datasets.load(name, data_dir=tmp_path)
    assert moved.fingerprint == prints[moved.split]


@pytest.mark.parametrize("name", TREES)
def test_other_numbers_than_those_of_the_entry_are_said(name, trees, monkeypatch):
    data_dir, counts = trees
    split, n = next(iter(counts[name].splits.items()))
    entry = DATASETS[name]
    said = " ".join(datasets.load(name, data_dir=data_dir).said)
    if entry.splits[split] is not None:
        assert f"{n:,} images, expected {entry.splits[split]:,}" in said
    assert ("classes, expected" in said) == (counts[name].classes != entry.classes)
    true = replace(entry, splits={split: n}, classes=counts[name].classes)
    monkeypatch.setitem(DATASETS, name, true)
    assert "expected" not in " ".join(datasets.load(name, data_dir=data_dir).said)


def test_the_sentence_about_other_numbers_names_the_command_to_run(trees):
    (said,) = datasets.load("stanfordcars", data_dir=trees[0]).said
    assert said == (
        "stanfordcars (test) has 60 images, expected 8,041 and 3 classes, expected 196: "
        "`gpuclust datasets verify stanfordcars` shows what differs."
    )
    (said,) = datasets.load("stanfordcars", split="train", data_dir=trees[0]).said
    assert "12 images, expected 8,144" in said
    assert "verify stanfordcars --split train`" in said


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("torch/cifar10", "cifar10"),
        ("torch/cifar100", "cifar100"),
        ("torch/mnist", "mnist"),
        ("torch/fashion_mnist", "fashionmnist"),
        ("torch/imagenet", "imagenet"),
        ("torch/inaturalist", "inaturalist"),
        ("torch/places365", "places365"),
        ("Fashion-MNIST", "fashionmnist"),
        ("imagenet_r", "imagenet-r"),
        ("folder", "folder:<path>"),
    ],
)
def test_former_names_and_other_spellings_lead_to_one_name(given, meant):
    with pytest.raises(UnknownNameError, match=rf"Did you mean '{meant}'\?"):
        datasets.check(given)

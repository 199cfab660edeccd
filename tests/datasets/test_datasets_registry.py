"""Names, splits, metadata, and the imports of the registry of datasets."""

import json
import subprocess
import sys
from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest

from gpuclust import datasets
from gpuclust.datasets.entry import GROUPS
from gpuclust.datasets.table import DATASETS
from gpuclust.errors import InputError, UnknownNameError
from gpuclust.registry import load_target


def test_importing_the_table_imports_nothing_heavy():
    code = (
        "import sys, gpuclust.datasets as d; d.available(); d.check('digits', 'all');"
        "bad = {'torch', 'sklearn', 'timm', 'torchvision', 'pandas'} & set(sys.modules);"
        "sys.exit(str(bad) if bad else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_digits_are_the_scaled_images_of_scikit_learn():
    from sklearn.datasets import load_digits

    digits = datasets.load("digits")
    bunch = load_digits()
    image, label = digits[17]
    assert (len(digits), digits.image_size, digits.split) == (1797, 8, "all")
    assert (image.mode, image.size, label) == ("RGB", (8, 8), bunch.target[17])
    assert np.array_equal(np.asarray(image)[..., 0], np.rint(bunch.images[17] * 255 / 16))
    assert digits.images.max() == 255
    assert np.array_equal(digits.labels, bunch.target)
    assert digits.class_names == tuple("0123456789")
    assert digits.where(17) == "digits[17]"


def test_a_pickled_dataset_is_the_same():
    digits = datasets.load("digits")
    again = ForkingPickler.loads(ForkingPickler.dumps(digits))
    assert again.fingerprint == digits.fingerprint
    assert again[3][1] == digits[3][1]


def test_a_misspelt_name_gets_a_suggestion():
    with pytest.raises(UnknownNameError, match="Did you mean 'digits'"):
        datasets.check("digit")


@pytest.mark.parametrize("name", ["timm/x", "torch/", "hfds", ""])
def test_a_name_without_entry_is_unknown(name):
    with pytest.raises(UnknownNameError, match="folder:<path>"):
        datasets.load(name)


def test_an_unknown_split_lists_the_existing_ones():
    with pytest.raises(InputError, match=r"'valid'.*test, train"):
        datasets.check("fashionmnist", "valid")


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("digits", "all"),
        ("fashionmnist", "test"),
        ("folder:/x", "all"),
        ("torch/kmnist", "test"),
        ("imagenet", "val"),
        ("hfds/cifar10", "validation"),
    ],
)
def test_every_dataset_has_a_default_split(name, split):
    assert datasets.default_split(name) == split


@pytest.mark.parametrize(("name", "said"), [("hfds/", "hfds/<name>"), ("folder:", "no path")])
def test_a_name_without_its_second_part_says_what_to_write(name, said):
    with pytest.raises(InputError, match=said):
        datasets.check(name)


def test_available_lists_every_dataset_with_its_metadata():
    rows = {row["name"]: row for row in datasets.available()}
    assert len({frozenset(row) for row in rows.values()}) == 1
    assert rows["digits"]["splits"] == {"all": 1797}
    assert {"digits", "fashionmnist", "folder:<path>", "torch/kmnist", "hfds/<name>"} <= set(rows)
    json.dumps(list(rows.values()))


@pytest.mark.parametrize("name", DATASETS)
def test_the_metadata_of_every_entry_is_plausible(name):
    entry = DATASETS[name]
    assert entry.summary
    assert entry.group in GROUPS
    assert entry.splits
    assert (entry.url == "") == (name in ("folder", "vectors"))  # the data of the user
    assert (entry.imbalance or 1.0) >= 1.0
    assert callable(load_target(entry.target))


def test_the_entry_of_digits_agrees_with_its_images():
    digits, entry = datasets.load("digits"), datasets.entry_of("digits")
    sizes = np.bincount(digits.labels)
    assert (len(digits), len(sizes)) == (entry.splits["all"], entry.classes)
    assert sizes.max() / sizes.min() == pytest.approx(entry.imbalance, abs=0.005)

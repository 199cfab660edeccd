"""Names, splits, and what importing costs."""

import subprocess
import sys
from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest

from gpuclust import datasets
from gpuclust.errors import InputError, UnknownNameError


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


def test_a_pickled_data_set_is_the_same():
    digits = datasets.load("digits")
    again = ForkingPickler.loads(ForkingPickler.dumps(digits))
    assert again.fingerprint == digits.fingerprint
    assert again[3][1] == digits[3][1]


def test_a_misspelt_name_gets_a_suggestion():
    with pytest.raises(UnknownNameError, match="Did you mean 'digits'"):
        datasets.check("digit")


@pytest.mark.parametrize("name", ["timm/x", "torch/", "hfds", ""])
def test_what_is_no_data_set_is_unknown(name):
    with pytest.raises(UnknownNameError, match="folder:<path>"):
        datasets.load(name)


def test_an_unknown_split_names_those_that_exist():
    with pytest.raises(InputError, match=r"'valid'.*test, train"):
        datasets.check("fashionmnist", "valid")


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("digits", "all"),
        ("fashionmnist", "test"),
        ("folder:/x", "all"),
        ("torch/mnist", "test"),
        ("torch/imagenet", "val"),
        ("hfds/cifar10", "validation"),
    ],
)
def test_every_data_set_has_a_default_split(name, split):
    assert datasets.default_split(name) == split


def test_available_lists_every_kind_with_its_columns():
    rows = datasets.available()
    assert all(set(row) == {"name", "description", "splits", "n"} for row in rows)
    assert rows[0]["n"] == {"all": 1797}
    assert {"digits", "fashionmnist", "folder:<path>", "torch/cifar10", "hfds/<name>"} <= {
        row["name"] for row in rows
    }

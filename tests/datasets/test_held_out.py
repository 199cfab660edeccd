"""Splits drawn from the labels, against scikit-learn and against the protocol of the study."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.model_selection import StratifiedShuffleSplit, train_test_split

from gpuclust.datasets.splits import held_out
from gpuclust.errors import InputError


def labels_of(sizes, seed=3):
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))


@pytest.mark.parametrize("share", [0.15, 0.4, 0.25, 1 / 3, 37])
@pytest.mark.parametrize("seed", [0, 1])
def test_rows_and_order_are_those_of_scikit_learn(share, seed):
    labels = labels_of([40, 25, 60, 2, 11])
    train, test = held_out(labels, share=share, seed=seed)
    expected = train_test_split(
        np.arange(len(labels)), test_size=share, stratify=labels, random_state=seed
    )
    assert np.array_equal(train, expected[0])
    assert np.array_equal(test, expected[1])
    drawn = StratifiedShuffleSplit(n_splits=1, test_size=share, random_state=seed)
    again = next(drawn.split(labels[:, None], labels))
    assert np.array_equal(train, again[0])
    assert np.array_equal(test, again[1])


def test_every_image_is_in_one_split_and_every_class_in_both():
    labels = labels_of([40, 25, 60, 7])
    train, test = held_out(labels, share=0.4)
    assert sorted([*train, *test]) == list(range(len(labels)))
    assert train.dtype == test.dtype == np.int64
    shares = np.bincount(labels[test], minlength=4) / np.bincount(labels)
    assert np.abs(shares - 0.4).max() < 0.05
    assert not np.array_equal(test, np.sort(test))  # the shuffled order is part of the split


def test_names_of_classes_do_not_change_the_rows():
    labels = labels_of([10, 20, 30])
    plain = held_out(labels, share=0.2)
    named = held_out(labels, share=0.2, class_names=("a", "b", "c"))
    text = held_out(np.array(["a", "b", "c"])[labels], share=0.2)
    assert all(np.array_equal(p, n) for p, n in zip(plain, named, strict=True))
    assert all(np.array_equal(p, t) for p, t in zip(plain, text, strict=True))


def test_another_process_draws_the_same_rows():
    code = (
        "import numpy as np; from gpuclust.datasets.splits import held_out;"
        "print(held_out(np.arange(300) % 7, share=0.3)[1].tolist())"
    )
    printed = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "OMP_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed, threads in (("1", "1"), ("2", "2"))
    ]
    here = held_out(np.arange(300) % 7, share=0.3)[1].tolist()
    assert printed[0] == printed[1] == f"{here}\n"


def test_a_class_with_one_image_is_named():
    labels = np.array([0, 0, 0, 1, 2, 2])
    with pytest.raises(
        InputError, match=r"1 of 3 classes have one image only.*: River \(class 1\)"
    ):
        held_out(labels, share=0.4, class_names=("Forest", "River", "Sea"))
    with pytest.raises(InputError, match=r": class 1\. Is the dataset complete"):
        held_out(labels, share=0.4)


def test_many_classes_with_one_image_are_counted():
    with pytest.raises(InputError, match=r"class 4 and 3 more\."):
        held_out(np.array([*range(8), 8, 8]), share=0.5)


@pytest.mark.parametrize("share", [0.1, 0.9, 0, 1.0, 6, 2])
def test_a_share_without_room_for_every_class_says_the_numbers(share):
    with pytest.raises(InputError, match="6 images of 3 classes cannot be divided with"):
        held_out(np.array([0, 0, 1, 1, 2, 2]), share=share)


def test_no_images_are_an_input_error():
    with pytest.raises(InputError, match="0 images"):
        held_out(np.array([], int), share=0.4)

"""CIFAR-10, CIFAR-100, MNIST and SVHN: small images, held in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from ...errors import InputError
from ..dataset import ArrayDataset
from ..location import find_folder, see
from . import fashionmnist
from .refusals import explained

# Superclasses of CIFAR-100, and the superclass of fine class 0, 1, ..., as its files have them.
# torchvision does not hand them over, and the files are pickles: they are not opened a second time.
SUPERCLASSES = (
    "aquatic_mammals",
    "fish",
    "flowers",
    "food_containers",
    "fruit_and_vegetables",
    "household_electrical_devices",
    "household_furniture",
    "insects",
    "large_carnivores",
    "large_man-made_outdoor_things",
    "large_natural_outdoor_scenes",
    "large_omnivores_and_herbivores",
    "medium_mammals",
    "non-insect_invertebrates",
    "people",
    "reptiles",
    "small_mammals",
    "trees",
    "vehicles_1",
    "vehicles_2",
)
# fmt: off
SUPERCLASS_OF = (
    4, 1, 14, 8, 0, 6, 7, 7, 18, 3, 3, 14, 9, 18, 7, 11, 3, 9, 7, 11, 6, 11, 5, 10, 7,
    6, 13, 15, 3, 15, 0, 11, 1, 10, 12, 14, 16, 9, 11, 5, 5, 19, 8, 8, 15, 13, 14, 17, 18, 10,
    16, 4, 17, 4, 2, 0, 17, 4, 18, 17, 10, 3, 2, 12, 12, 16, 12, 1, 9, 19, 2, 10, 0, 1, 16,
    12, 9, 13, 15, 13, 16, 19, 2, 4, 6, 19, 5, 5, 8, 19, 18, 1, 2, 15, 6, 0, 17, 8, 14, 13,
)
# fmt: on


def load_cifar(name: str, split: str, data_dir: Path | None) -> ArrayDataset:
    """Load a split of CIFAR-10 or CIFAR-100: 32 x 32 pixels, RGB.

    The published files are pickles.  torchvision unpickles a file only after its MD5 sum, and the
    sum of every other file of the archive, agreed with the published one.  CIFAR-100 has the
    superclass of each image as column ``coarse``.

    Raises
    ------
    InputError
        A file is missing or has another MD5 sum; the message names it.
    """
    from torchvision.datasets import CIFAR10, CIFAR100

    kind: type[CIFAR10] = {"cifar10": CIFAR10, "cifar100": CIFAR100}[name]
    root = find_folder(name, data_dir, [kind.base_folder])

    def files() -> Iterable[tuple[Path, str]]:
        listed = [*kind.train_list, *kind.test_list, (kind.meta["filename"], kind.meta["md5"])]
        return [(root / kind.base_folder / file, md5) for file, md5 in listed]

    with explained(name, root, files):
        raw = kind(root, train=split == "train")
    labels = np.asarray(raw.targets, np.int64)
    return ArrayDataset(
        name=name,
        split=split,
        images=raw.data,
        labels=labels,
        class_names=tuple(raw.classes),
        columns=_coarse(labels) if name == "cifar100" else {},
    )


def _coarse(labels: np.ndarray) -> Mapping[str, np.ndarray]:
    names = np.array(SUPERCLASSES, dtype=object)
    return {"coarse": names[np.array(SUPERCLASS_OF)[labels]]}


def load_svhn(name: str, split: str, data_dir: Path | None) -> ArrayDataset:
    """Load a split of the cropped digits of SVHN: 32 x 32 pixels, RGB.

    torchvision gives the digit 0, class 10 in the files, the label 0.

    Raises
    ------
    InputError
        The file of the split is missing or has another MD5 sum; the message names it.
    """
    from torchvision.datasets import SVHN

    _, file, md5 = SVHN.split_list[split]
    root = find_folder(name, data_dir, [file])
    with explained(name, root, lambda: [(root / file, md5)]):
        raw = SVHN(str(root), split=split)
    return ArrayDataset(
        name=name,
        split=split,
        images=np.ascontiguousarray(raw.data.transpose(0, 2, 3, 1)),
        labels=np.asarray(raw.labels, np.int64),
        class_names=tuple("0123456789"),
    )


def load_mnist(name: str, split: str, data_dir: Path | None) -> ArrayDataset:
    """Load 60,000 (train) or 10,000 (test) images of 28 x 28 pixels, from torchvision's folder.

    The files are those of Fashion-MNIST with other content, and are read alike: also packed
    (``.gz``), and with a message for each fault.

    Raises
    ------
    InputError
        A file is missing, truncated or invalid; the message names it.
    """
    stem = fashionmnist.STEMS[split]
    root = find_folder(name, data_dir, [f"{stem}-images-idx3-ubyte*", f"{stem}-labels-idx1-ubyte*"])
    pair = fashionmnist.pair_in(root, stem)
    if pair is None:
        raise InputError(
            f"{name}: {root} has {stem}-images-idx3-ubyte and {stem}-labels-idx1-ubyte neither as "
            f"they are nor with .gz. {see(name)}"
        )
    images, labels = fashionmnist.read_pair(*pair, title="MNIST")
    same = f"{name} is read from {root}; files of MNIST and Fashion-MNIST have the same names."
    return ArrayDataset(
        name=name,
        split=split,
        images=images,
        labels=labels,
        class_names=tuple("0123456789"),
        said=(same,) if data_dir is not None and root == data_dir.absolute() else (),
    )

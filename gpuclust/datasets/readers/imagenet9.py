"""ImageNet-9 (backgrounds challenge): foregrounds on their own, other or no backgrounds."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np

from ...errors import InputError
from ..folders.walk import printable
from ..listed import ListedImages
from ..location import find_folder, see
from .class_folders import ClassFolders, list_classes

CLASSES = (
    "00_dog",
    "01_bird",
    "02_wheeled vehicle",
    "03_reptile",
    "04_carnivore",
    "05_insect",
    "06_musical instrument",
    "07_primate",
    "08_fish",
)
NAMES = tuple(folder.partition("_")[2] for folder in CLASSES)
FOLDERS = {
    "in9original": "original",
    "in9onlyfg": "only_fg",
    "in9mixedrand": "mixed_rand",
    "in9mixedsame": "mixed_same",
    "in9mixednext": "mixed_next",
    "in9nofg": "no_fg",
    "in9onlybgb": "only_bg_b",
    "in9onlybgt": "only_bg_t",
    "in9l": "in9l",
}
_MIXED = ("mixed_rand", "mixed_same", "mixed_next")
# Picture of ImageNet in a name: class, number.  A mixed image names two, the foreground first.
_SOURCE = re.compile(r"n\d{8}_\d+")


def load(name: str, split: str, data_dir: Path | None) -> ListedImages:
    """List the images of a variant of ImageNet-9, 9 classes each.

    The test images of the public archive (450 of every class) are in folders named ``val``, without
    ``train`` beside them; the study moved them to ``test``.  Both are read, and it is said.  The
    archives for training have a ``val`` of their own, drawn without cleaning: it is never taken for
    the test images.

    The column ``source`` is the picture of ImageNet that the foreground comes from, so that images
    of two variants can be paired; ``background`` is the class of the picture behind it, None where
    there is none or its class is unknown.

    Raises
    ------
    InputError
        The variant or the split is missing, or a class has no images; the message names it.
    """
    variant = FOLDERS[name]
    root = find_folder(name, data_dir, [variant])
    folder, said = _split_folder(name, root / variant, split)
    found = list_classes(root / variant / folder, CLASSES)
    columns, more = _columns(variant, found)
    return ListedImages(
        name,
        split,
        root,
        tuple(f"{variant}/{folder}/{file}" for file in found.files),
        found.labels,
        NAMES,
        columns=columns,
        said=(*said, *found.said, *more),
        ignored=found.ignored,
    )


def _split_folder(name: str, root: Path, split: str) -> tuple[str, tuple[str, ...]]:
    """Return the folder of a split, and a sentence where its name is another one."""
    if (root / split).is_dir():
        return split, ()
    if split == "test" and (root / "val").is_dir():
        if not (root / "train").is_dir():
            sentence = f"{printable(str(root))} has no folder test; its folder val is read instead"
            return "val", (sentence,)
        raise InputError(
            f"{printable(str(root))} has train and val, but no test: they come from the archives "
            f"for training, and this val is not the test images. Put the folder val of the "
            f"challenge's archive there as test. {see(name)}"
        )
    raise InputError(f"{printable(str(root))} has no folder {split}. {see(name)}")


def _columns(variant: str, found: ClassFolders) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    sources = [_SOURCE.findall(file.rpartition("/")[2]) for file in found.files]
    columns = {"source": np.array([pair[0] if pair else None for pair in sources], object)}
    said: tuple[str, ...] = ()
    if variant in _MIXED:
        classes = _class_of(sources, found.labels)
        background = [classes.get(_wnid(pair[1])) if len(pair) > 1 else None for pair in sources]
        unknown = background.count(None)
        if unknown:
            said = (f"images without the class of their background in their names: {unknown:,}",)
    elif variant == "only_fg":
        background = [None] * len(sources)
    else:
        background = [NAMES[label] for label in found.labels]
    columns["background"] = np.array(background, object)
    return columns, said


def _wnid(source: str) -> str:
    return source.partition("_")[0]


def _class_of(sources: list[list[str]], labels: np.ndarray) -> dict[str, str]:
    """Return the class of every ImageNet class, from the folders of its foregrounds."""
    votes: dict[str, Counter[int]] = {}
    for pair, label in zip(sources, labels, strict=True):
        if pair:
            votes.setdefault(_wnid(pair[0]), Counter())[int(label)] += 1
    return {wnid: NAMES[counted.most_common(1)[0][0]] for wnid, counted in votes.items()}

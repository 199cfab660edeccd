"""ImageNet and its relatives, and Stanford Cars: one folder per class, by torchvision.

The order is torchvision's: classes sorted as text, and paths sorted within a class.  Hidden and
system files and folders (``._x.jpg``, ``.DS_Store``, ``__MACOSX``) are no images and no classes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError
from ..folders import names
from ..listed import ListedImages
from ..location import find_folder, see
from ..splits import held_out
from .refusals import explained

_WORDNET = re.compile(r"n\d{8}")
_NUMBER = re.compile(r"\d{1,3}")


@dataclass(frozen=True)
class Kind:
    """Names of the class folders of a dataset.

    Attributes
    ----------
    pattern : re.Pattern or None
        Every class matches it; None: any name is a class.
    called : str
        Description of the names, for messages.
    mark : str
        Pattern of a class folder, by which the folder of the dataset is found.
    """

    pattern: re.Pattern[str] | None
    called: str = "a class"
    mark: str = "*"


_ID = Kind(_WORDNET, "a WordNet id such as n01440764", "n[0-9]*")
KINDS = {
    "imagenet": _ID,
    "imagenetv2": Kind(_NUMBER, "a number from 0 to 999", "[0-9]*"),
    "imagenet-r": _ID,
    "imagenet-sketch": _ID,
    "imagenet-o": _ID,
    "stanfordcars": Kind(None),
    "imagenette": _ID,
    "imagewoof": _ID,
}


def load(name: str, split: str, data_dir: Path | None) -> ListedImages:
    """List one split; no image is opened.

    ``search`` is the study's validation split: as many images as in ``val``, drawn from ``train``
    so that every class keeps its share, in the shuffled order of `held_out` with seed 0.

    Parameters
    ----------
    name : str
        One of `KINDS`.
    split : str
        Name of the folder with the classes; ``"all"`` for a dataset without such a folder.

    Raises
    ------
    InputError
        The folder is missing, has no class folders, a folder with another kind of name, or a class
        without images; the message names it.

    Examples
    --------
    >>> from PIL import Image
    >>> for wnid in ("n01440764", "n02102040"):
    ...     (tmp_path / "imagenette/val" / wnid).mkdir(parents=True)
    ...     Image.new("RGB", (8, 8)).save(tmp_path / "imagenette/val" / wnid / "1.JPEG")
    >>> data = load("imagenette", "val", tmp_path)
    >>> data.files, data.labels.tolist()
    (('val/n01440764/1.JPEG', 'val/n02102040/1.JPEG'), [0, 1])
    """
    if split == "search":
        return _search(name, data_dir)
    kind = KINDS[name]
    marks = [kind.mark] if split == "all" else [split]
    root = find_folder(name, data_dir, marks)
    return _listed(name, split, root)


def _listed(name: str, split: str, root: Path) -> ListedImages:
    folder = root if split == "all" else root / split
    ignored: list[str] = []
    with explained(name, folder):
        raw = _image_folder(name, folder, ignored)
    prefix = len(str(root)) + 1
    files = tuple(path[prefix:].replace(os.sep, "/") for path, _ in raw.samples)
    return ListedImages(
        name=name,
        split=split,
        root=root,
        files=files,
        labels=np.asarray(raw.targets, np.int64),
        class_names=tuple(raw.classes),
        columns=_columns(name, files),
        ignored=tuple(path[prefix:] for path in ignored),
    )


def _image_folder(name: str, folder: Path, ignored: list[str]) -> Any:
    """Return torchvision's ImageFolder without system files; other files go to `ignored`."""
    from torchvision.datasets import ImageFolder
    from torchvision.datasets.folder import is_image_file

    class WithoutSystemFiles(ImageFolder):
        def find_classes(self, directory: str | Path) -> tuple[list[str], dict[str, int]]:
            classes = _classes(name, Path(directory))
            return classes, {one: k for k, one in enumerate(classes)}

    prefix = len(str(folder)) + 1

    def is_image(path: str) -> bool:
        # As text: a Path for each of a million files takes seconds.  The class is no system folder.
        below = path[prefix:].split(os.sep)[1:]  # noqa: PTH206
        if any(names.system(part) for part in below):
            return False
        if not is_image_file(path):
            ignored.append(path)
            return False
        return True

    return WithoutSystemFiles(str(folder), is_valid_file=is_image)


def _classes(name: str, folder: Path) -> list[str]:
    """Return the sorted class folders, or raise for another kind of folder."""
    with os.scandir(folder) as entries:
        classes = sorted(e.name for e in entries if e.is_dir() and not names.system(e.name))
    kind = KINDS[name]
    if not classes:
        raise InputError(
            f"{name}: {folder} has no class folders. Sort the images into one folder per class. "
            f"{see(name)}"
        )
    for one in classes:
        if kind.pattern is not None and not kind.pattern.fullmatch(one):
            raise InputError(
                f"{name}: {folder / one} is no class, {kind.called}. Give the folder of the "
                f"dataset, or move other folders out of it. {see(name)}"
            )
    return classes


def _columns(name: str, files: tuple[str, ...]) -> Mapping[str, np.ndarray]:
    """Return the artform of ImageNet-R: the text before the first ``_`` of the file name."""
    if name != "imagenet-r":
        return {}
    stems = [file.rpartition("/")[2] for file in files]
    artforms = [stem.partition("_")[0] if "_" in stem else None for stem in stems]
    return {"artform": np.array(artforms, dtype=object)}


def _search(name: str, data_dir: Path | None) -> ListedImages:
    root = find_folder(name, data_dir, ["train", "val"])
    train, test = _listed(name, "train", root), _listed(name, "val", root)
    assert train.labels is not None
    if len(test) >= len(train):
        raise InputError(
            f"{name}: split search takes as many images as val has ({len(test):,}) out of train, "
            f"and train has {len(train):,}. Is {root / 'train'} complete?"
        )
    # The study's share is this quotient, and not the number: scikit-learn rounds it up.
    _, rows = held_out(train.labels, share=len(test) / len(train), class_names=train.class_names)
    return ListedImages(
        name=name,
        split="search",
        root=root,
        files=tuple(train.files[i] for i in rows.tolist()),
        labels=train.labels[rows],
        class_names=train.class_names,
        ignored=train.ignored,
    )

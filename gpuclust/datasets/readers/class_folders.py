"""Images of a dataset with one folder per class, when the names of the folders are known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...errors import InputError
from ..folders import walk
from ..folders.walk import printable


class ClassFolders(NamedTuple):
    """Images in the order of torchvision's ``ImageFolder``: by class, then by name.

    `files` are relative paths, `labels` (n,) int64 the positions of their folders in the list of
    classes, `said` sentences about images that are not read, `ignored` other files.
    """

    files: tuple[str, ...]
    labels: np.ndarray
    said: tuple[str, ...]
    ignored: tuple[str, ...]


def list_classes(root: Path, classes: Sequence[str]) -> ClassFolders:
    """List the images in the folders of all classes; no image is opened.

    Hidden and system files are not read, nor are images outside the folders of the classes.

    Parameters
    ----------
    root : Path
        Folder with the folders of the classes.
    classes : sequence of str
        Names of the folders; the first is class 0.

    Raises
    ------
    InputError
        A class has no images: the message names it.

    Examples
    --------
    >>> from PIL import Image
    >>> for name in ("River", "Forest", "notes"):
    ...     (tmp_path / name).mkdir()
    ...     Image.new("RGB", (8, 8)).save(tmp_path / name / "1.jpg")
    >>> found = list_classes(tmp_path, ["Forest", "River"])
    >>> found.files, found.labels.tolist()
    (('Forest/1.jpg', 'River/1.jpg'), [0, 1])
    >>> found.said
    ('images outside the folders of the classes are not read: 1 (notes: 1)',)
    """
    found = walk.listing(root)
    number = {name: label for label, name in enumerate(classes)}
    mine = [path for path in found.images if "/" in path and _top(path) in number]
    mine.sort(key=lambda path: path.split("/"))
    labels = np.array([number[_top(path)] for path in mine], np.int64)
    _check_all_there(root, classes, labels)
    others = Counter(_top(path) for path in found.images.keys() - set(mine))
    return ClassFolders(tuple(mine), labels, _said(others), tuple(map(printable, found.others)))


def _top(path: str) -> str:
    return path.partition("/")[0] if "/" in path else "."


def _check_all_there(root: Path, classes: Sequence[str], labels: np.ndarray) -> None:
    sizes = np.bincount(labels, minlength=len(classes))
    empty = [name for name, size in zip(classes, sizes, strict=True) if not size]
    if empty:
        raise InputError(
            f"{printable(str(root))} has no images of {len(empty)} of {len(classes)} classes: "
            f"{', '.join(empty)}. Extract the archive again, completely."
        )


def _said(others: Counter[str]) -> tuple[str, ...]:
    if not others:
        return ()
    n = sum(others.values())
    shown = ", ".join(f"{printable(name)}: {k:,}" for name, k in sorted(others.items())[:5])
    return (f"images outside the folders of the classes are not read: {n:,} ({shown})",)

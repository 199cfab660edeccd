"""Places365, FGVC-Aircraft, Oxford Flowers and DTD: files listed by torchvision's classes.

Three of the classes keep their lists in private attributes, ``_image_files`` and ``_labels``;
tests compare them with the items of the installed torchvision.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError
from ..listed import ListedImages
from ..location import find_folder, see
from .refusals import explained, parent_of, unique

_PLACES_SPLITS = {"val": "val", "train": "train-standard"}


def load_places365(name: str, split: str, data_dir: Path | None) -> ListedImages:
    """List a split of Places365 by its file list; no image is opened.

    The images at full size are taken, as in the study, and those of 256 x 256 pixels where only
    these are present.  ``train`` is the standard list, without the challenge's images.

    Raises
    ------
    InputError
        A list is missing or has another MD5 sum, or there is no folder of images.
    """
    from torchvision.datasets import Places365

    wanted = _PLACES_SPLITS[split]
    lists = [Places365._CATEGORIES_META, Places365._FILE_LIST_META[wanted]]
    root = find_folder(name, data_dir, [file for file, _ in lists])
    stem = "val_{}" if split == "val" else "data_{}_standard"
    large, small = root / stem.format("large"), root / stem.format("256")
    if not large.is_dir() and not small.is_dir():
        raise InputError(f"{name}: {root} has neither {large.name} nor {small.name}. {see(name)}")
    with explained(name, root, lambda: [(root / file, md5) for file, md5 in lists]):
        raw = Places365(str(root), split=wanted, small=not large.is_dir())
    said = f"{name}: {large.name} is missing, so {small.name} is read: 256 x 256 pixels."
    return _listed(
        (name, split, root),
        [path for path, _ in raw.imgs],
        raw.targets,
        sorted(raw.class_to_idx, key=raw.class_to_idx.__getitem__),
        listed_in=root / lists[1][0],
        said=() if large.is_dir() else (said,),
    )


def load_aircraft(name: str, split: str, data_dir: Path | None) -> ListedImages:
    """List a split of FGVC-Aircraft by variant, with ``family`` and ``manufacturer`` as columns.

    Raises
    ------
    InputError
        A list is missing, or the lists of the three levels name different images.
    """
    from torchvision.datasets import FGVCAircraft

    levels = ("variant", "family", "manufacturer")
    marks = ["data/images", *(f"data/images_{level}_{split}.txt" for level in levels)]
    folder = find_folder(name, data_dir, marks)
    root = parent_of(name, folder, "fgvc-aircraft-2013b")
    raw = {}
    for level in levels:
        with explained(name, folder / "data" / f"images_{level}_{split}.txt"):
            raw[level] = FGVCAircraft(str(root), split=split, annotation_level=level)
    listed_in = folder / "data" / f"images_variant_{split}.txt"
    columns = {}
    for level in levels[1:]:
        if raw[level]._image_files != raw["variant"]._image_files:
            raise InputError(
                f"{name}: {folder / 'data' / f'images_{level}_{split}.txt'} lists other images "
                f"than {listed_in}. Extract the archive again. {see(name)}"
            )
        texts = np.array(raw[level].classes, dtype=object)
        columns[level] = texts[np.asarray(raw[level]._labels, np.int64)]
    return _by_private_lists((name, split, folder), raw["variant"], listed_in, columns)


def load_flowers102(name: str, split: str, data_dir: Path | None) -> ListedImages:
    """List a split of Oxford Flowers; the label is the flower, 0 to 101.

    Raises
    ------
    InputError
        ``imagelabels.mat`` or ``setid.mat`` is missing or has another MD5 sum.
    """
    from torchvision.datasets import Flowers102

    tables = [Flowers102._file_dict[key] for key in ("label", "setid")]
    folder = find_folder(name, data_dir, ["jpg", *(file for file, _ in tables)])
    root = parent_of(name, folder, "flowers-102")
    with explained(name, folder, lambda: [(folder / file, md5) for file, md5 in tables]):
        raw = Flowers102(str(root), split=split)
    return _by_private_lists((name, split, folder), raw, folder / "setid.mat")


def load_dtd(name: str, split: str, data_dir: Path | None) -> ListedImages:
    """List a split of the Describable Textures, in the first of its ten partitions.

    Raises
    ------
    InputError
        The list of the split is missing, or is damaged.
    """
    from torchvision.datasets import DTD

    file = f"dtd/labels/{split}1.txt"
    folder = find_folder(name, data_dir, ["dtd/images", file])
    root = parent_of(name, folder, "dtd")
    with explained(name, folder / file):
        raw = DTD(str(root), split=split, partition=1)
    return _by_private_lists((name, split, folder), raw, folder / file)


def _by_private_lists(
    place: tuple[str, str, Path],
    raw: Any,
    listed_in: Path,
    columns: Mapping[str, np.ndarray] | None = None,
) -> ListedImages:
    return _listed(
        place,
        [os.fspath(path) for path in raw._image_files],
        raw._labels,
        raw.classes,
        listed_in=listed_in,
        columns=columns,
    )


def _listed(
    place: tuple[str, str, Path],
    paths: Sequence[str],
    labels: Sequence[int],
    classes: Sequence[str],
    *,
    listed_in: Path,
    columns: Mapping[str, np.ndarray] | None = None,
    said: tuple[str, ...] = (),
) -> ListedImages:
    """Return the dataset of (name, split, folder); the paths lie below the folder."""
    name, split, root = place
    prefix = len(str(root)) + 1
    files = [path[prefix:].replace(os.sep, "/") for path in paths]
    return ListedImages(
        name=name,
        split=split,
        root=root,
        files=unique(name, files, listed_in),
        labels=np.asarray(labels, np.int64),
        class_names=tuple(classes),
        columns=columns or {},
        said=said,
    )

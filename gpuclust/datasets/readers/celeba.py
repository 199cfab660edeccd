"""CelebA: faces with identities and 40 attributes, by torchvision."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError
from ..listed import ListedImages
from ..location import find_folder, see
from .refusals import explained, parent_of, unique

IMAGES = "img_align_celeba"
LISTS = (
    "list_eval_partition.txt",
    "identity_CelebA.txt",
    "list_attr_celeba.txt",
    "list_bbox_celeba.txt",
    "list_landmarks_align_celeba.txt",
)
_HEADERS = {"list_attr_celeba.txt": 2, "list_bbox_celeba.txt": 2}  # lines before the first image


def load(name: str, split: str, data_dir: Path | None) -> ListedImages:
    """List a split by identity, with the 40 attributes, 0 or 1, as columns; opens no image.

    torchvision reads all five lists and checks their MD5 sums: about 10 s.  The label is the number
    of the person in ``identity_CelebA.txt``, so labels are not consecutive.  A listed image without
    a file is a bad image.

    Raises
    ------
    InputError
        A list is missing, has another MD5 sum, or lists other images than the others.

    Notes
    -----
    Source of the lists: Liu et al., "Deep Learning Face Attributes in the Wild", ICCV 2015.
    """
    from torchvision.datasets import CelebA

    folder = find_folder(name, data_dir, [IMAGES, *LISTS])
    root = parent_of(name, folder, CelebA.base_folder)
    sums = {file: md5 for _, md5, file in CelebA.file_list}
    with explained(name, folder, lambda: [(folder / file, sums[file]) for file in LISTS]):
        raw = CelebA(str(root), split=split, target_type="identity")
    _check_names(name, folder)
    files = unique(name, raw.filename, folder / LISTS[0])
    return ListedImages(
        name=name,
        split=split,
        root=folder,
        files=tuple(f"{IMAGES}/{file}" for file in files),
        labels=raw.identity[:, 0].numpy().astype(np.int64),
        class_names=None,
        columns=_attributes(raw),
    )


def _attributes(raw: Any) -> Mapping[str, np.ndarray]:
    """Return one column per attribute; torchvision's names may end with an empty one."""
    names = [one for one in raw.attr_names if one]
    values = raw.attr.numpy().astype(np.int64)
    return {one: np.ascontiguousarray(values[:, k]) for k, one in enumerate(names)}


def _check_names(name: str, folder: Path) -> None:
    """Raise for lists of labels with other images, or in another order, than the partition.

    torchvision puts the lists together row by row and does not compare their names.
    """
    first = _names_in(folder / LISTS[0])
    for file in LISTS[1:3]:  # the lists with labels
        other = _names_in(folder / file)
        if other == first:
            continue
        row = next((k for k, (a, b) in enumerate(zip(first, other, strict=False)) if a != b), None)
        where = (
            f"they have {len(first):,} and {len(other):,} images"
            if row is None
            else f"image {row + 1:,} is {first[row]} in the first, {other[row]} in the second"
        )
        raise InputError(
            f"{name}: {folder / LISTS[0]} and {folder / file} list different images: {where}. "
            f"Download both again. {see(name)}"
        )


def _names_in(path: Path) -> list[str]:
    """Return the first word of each line after the header."""
    lines = path.read_text(encoding="utf-8").splitlines()[_HEADERS.get(path.name, 0) :]
    return [line.split(maxsplit=1)[0] for line in lines if line.strip()]

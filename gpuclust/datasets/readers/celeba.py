"""CelebA: faces with identities and 40 attributes.

torchvision's class reads two more lists, number by number, which takes 15 s of CPU time at every
opening.  Here the three lists with labels are read as tables, after the same check of their
published MD5 sums, and labels and order are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...errors import InputError
from ..listed import ListedImages
from ..location import find_folder, see
from .refusals import check_sums, explained, unique

if TYPE_CHECKING:
    import pandas as pd

IMAGES = "img_align_celeba"
PARTITION, IDENTITY, ATTRIBUTES = LISTS = (
    "list_eval_partition.txt",
    "identity_CelebA.txt",
    "list_attr_celeba.txt",
)
_NUMBER_OF = {"train": 0, "valid": 1, "test": 2}


def load(name: str, split: str, data_dir: Path | None) -> ListedImages:
    """List a split by identity, with the 40 attributes, 0 or 1, as columns; opens no image.

    The label is the number of the person in ``identity_CelebA.txt``, as torchvision has it, so
    labels are not consecutive.  A listed image without a file is a bad image.  Takes about 0.8 s
    of CPU time.

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
    sums = {file: md5 for _, md5, file in CelebA.file_list}
    check_sums(name, folder, [(folder / file, sums[file]) for file in LISTS])
    with explained(name, folder):
        tables = {file: _table(folder / file) for file in LISTS}
    _check_names(name, folder, tables)
    rows = np.flatnonzero(tables[PARTITION].iloc[:, 0] == _NUMBER_OF[split])
    files = unique(name, tables[PARTITION].index[rows].tolist(), folder / PARTITION)
    return ListedImages(
        name=name,
        split=split,
        root=folder,
        files=tuple(f"{IMAGES}/{file}" for file in files),
        labels=tables[IDENTITY].iloc[rows, 0].to_numpy(np.int64),
        class_names=None,
        columns=_attributes(tables[ATTRIBUTES].iloc[rows]),
    )


def _table(path: Path) -> pd.DataFrame:
    """Read a list with one row of whole numbers per image; the index is the name of the file."""
    import pandas as pd

    names = None
    if path.name == ATTRIBUTES:  # the number of images, the names, then the rows
        with path.open(encoding="utf-8") as file:
            names = [file.readline(), file.readline()][1].split()
    table = pd.read_csv(path, sep=r"\s+", header=None, index_col=0, skiprows=2 if names else 0)
    if names is not None:
        table.columns = pd.Index(names)
    return table.astype(np.int64)


def _attributes(values: pd.DataFrame) -> Mapping[str, np.ndarray]:
    """Return one column per attribute; -1 becomes 0."""
    return {one: (values[one].to_numpy(np.int64) + 1) // 2 for one in values.columns}


def _check_names(name: str, folder: Path, tables: Mapping[str, pd.DataFrame]) -> None:
    """Raise for lists of labels with other images, or in another order, than the partition."""
    first = tables[PARTITION].index.tolist()
    for file in (IDENTITY, ATTRIBUTES):
        other = tables[file].index.tolist()
        if other == first:
            continue
        row = next((k for k, (a, b) in enumerate(zip(first, other, strict=False)) if a != b), None)
        where = (
            f"they have {len(first):,} and {len(other):,} images"
            if row is None
            else f"image {row + 1:,} is {first[row]} in the first, {other[row]} in the second"
        )
        raise InputError(
            f"{name}: {folder / PARTITION} and {folder / file} list different images: {where}. "
            f"Download both again. {see(name)}"
        )

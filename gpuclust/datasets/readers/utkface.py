"""UTKFace, cropped faces with age, gender and race in their names, with the study's split."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...errors import InputError
from ..folders import walk
from ..folders.walk import printable
from ..listed import ListedImages
from ..location import find_folder
from ..splits import drawn_from

GENDERS = ("Male", "Female")
RACES = ("White", "Black", "Asian", "Indian", "Others")
OLDEST = 116
IMAGES = 23_705
# Names of the archive without a race (or gender); the study drops these three.
CORRUPTED = ("39_1_20170116174525125", "61_1_20170109142408075", "61_1_20170109150557335")
_SHARE = 0.25
_NAME = re.compile(r"(\d{1,3})_([01])_([0-4])_\d{8}")


class Face(NamedTuple):
    """Facts in the name of a file: age in years, numbers of gender and race."""

    age: int
    gender: int
    race: int


def parse(file: str) -> Face | None:
    """Read age, gender and race from the name of a file; None when a field is missing.

    Examples
    --------
    >>> parse("100_1_2_20170112222336458.jpg.chip.jpg")
    Face(age=100, gender=1, race=2)
    >>> parse("61_1_20170109142408075.jpg.chip.jpg") is None
    True
    """
    match = _NAME.match(file)
    return None if match is None else Face(*map(int, match.groups()))


def by_age(ages: np.ndarray) -> np.ndarray:
    """Return the order of the faces in the study: by age, equal ages as a quicksort puts them.

    The study sorts with pandas' ``sort_values("age")``, which is ``ndarray.argsort`` with
    quicksort: not stable, and since NumPy 1.25 different on processors with vector instructions.
    The order here is NumPy's plain quicksort (all of NumPy until 1.24, later ones without vector
    instructions), the same on every machine; the study's own machine is unknown.  Number and age
    of the images in the test split do not depend on it, the choice among faces of equal age does.

    Parameters
    ----------
    ages : ndarray (n,) int
        Ages in the order of the sorted names.

    Returns
    -------
    ndarray (n,) int64
        Positions.

    Examples
    --------
    >>> by_age(np.array([30, 4, 17])).tolist()
    [1, 2, 0]
    """
    # Vector instructions sort 32 and 64 bits only.
    return ages.astype(np.int16).argsort(kind="quicksort")


def is_test(ages: np.ndarray) -> np.ndarray:
    """Return the rows of the study's test split, from ages in ascending order.

    Every fourth row, about; the first row of an age without any other row in train goes back.

    Parameters
    ----------
    ages : ndarray (n,) int
        Ascending ages.

    Returns
    -------
    ndarray (n,) bool

    Examples
    --------
    >>> is_test(np.array([1, 1, 1, 1, 2, 2, 2, 2, 2])).nonzero()[0].tolist()
    [2, 6]
    """
    n, margin = len(ages), int(0.5 / _SHARE)
    chosen = np.zeros(n, bool)
    chosen[np.round(np.linspace(margin, n - 1 - margin, int(_SHARE * n))).astype(np.int64)] = True
    lost = np.setdiff1d(ages, ages[~chosen])
    chosen[np.searchsorted(ages, lost)] = False
    return chosen


def load(name: str, split: str, data_dir: Path | None) -> ListedImages:
    """List the faces of a split: ``"test"`` (5,925), ``"train"`` (17,780) or ``"all"``.

    Labels are ages in years, not 0, 1, ...: the test split has 101 of them, and class 7 is
    ``"7"``.  UTKFace has no published split; this one is of the zero-shot clustering study
    (arXiv 2406.02465), see `by_age` and `is_test`.  Rows are in ascending order of age.

    Raises
    ------
    InputError
        The folder is missing, no name can be read, or a face is there twice.
    """
    root = find_folder(name, data_dir, ["[0-9]*_[01]_*.jpg"])
    found = walk.listing(root)
    names = sorted(path for path in found.images if "/" not in path)
    faces, files, said = _faces(root, names)
    below = len(found.images) - len(names)
    if below:
        said = (*said, f"images in folders below {printable(str(root))} are not read: {below:,}")
    table = np.array(faces, np.int64)
    order = by_age(table[:, 0])
    if split != "all":
        test = is_test(table[order, 0])
        order = order[test if split == "test" else ~test]
        said = (*said, *drawn_from(len(files), IMAGES))
    rows = table[order]
    return ListedImages(
        name,
        split,
        root,
        tuple(files[i] for i in order),
        rows[:, 0],
        tuple(map(str, range(max(OLDEST, rows[:, 0].max(initial=0)) + 1))),
        columns={
            "age": rows[:, 0],
            "gender": np.array(GENDERS, object)[rows[:, 1]],
            "race": np.array(RACES, object)[rows[:, 2]],
        },
        said=said,
        ignored=tuple(map(printable, found.others)),
    )


def _faces(root: Path, names: Sequence[str]) -> tuple[list[Face], list[str], tuple[str, ...]]:
    """Return facts and files of all faces, and a sentence about names without all fields."""
    faces, files, unread = [], [], []
    first: dict[str, str] = {}
    for file in names:
        stem = file.partition(".")[0].strip()
        face = parse(file)
        if stem in CORRUPTED:
            continue
        if face is None:
            unread.append(file)
            continue
        other = first.setdefault(stem, file)
        if other != file:
            raise InputError(
                f"{printable(other)} and {printable(file)} in {printable(str(root))} are the same "
                f"face, so it would be counted twice. Remove one of them."
            )
        faces.append(face)
        files.append(file)
    if not faces:
        raise InputError(
            f"{printable(str(root))} has no image named <age>_<gender>_<race>_<date>.jpg. Give the "
            f"folder of the aligned and cropped faces."
        )
    return faces, files, _unread(unread)


def _unread(files: list[str]) -> tuple[str, ...]:
    if not files:
        return ()
    shown = ", ".join(map(printable, files[:5])) + (", ..." if len(files) > 5 else "")
    sentence = "images without age, gender, race and date in their names are not read"
    return (f"{sentence}: {len(files):,} ({shown})",)

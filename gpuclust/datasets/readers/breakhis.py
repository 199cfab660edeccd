"""BreakHis, microscopic images of breast tumors, with the split of the study."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...errors import InputError
from ..folders import walk
from ..folders.walk import printable
from ..listed import ListedImages
from ..location import find_folder
from ..splits import drawn_from, held_out

TYPES = {
    "A": "adenosis",
    "F": "fibroadenoma",
    "PT": "phyllodes tumor",
    "TA": "tubular adenoma",
    "DC": "ductal carcinoma",
    "LC": "lobular carcinoma",
    "MC": "mucinous carcinoma",
    "PC": "papillary carcinoma",
}
BENIGN = ("A", "F", "PT", "TA")
MAGNIFICATIONS = (40, 100, 200, 400)
CLASSES = tuple(f"{name} {times}x" for times in MAGNIFICATIONS for name in TYPES.values())
IMAGES = 7_909
_TEST = 0.4
_NAME = re.compile(r"SOB_([A-Z]+)_([A-Z]+)-(\d+-\w+)-(\d+)-\d+\.png")


class Slide(NamedTuple):
    """Facts in the name of a file: letter of the tumor type, slide (year-number), magnification."""

    tumor: str
    slide: str
    magnification: int

    @property
    def label(self) -> int:
        """Class, 0 to 31: the magnifications in turn, 8 tumor types each."""
        return MAGNIFICATIONS.index(self.magnification) * len(TYPES) + list(TYPES).index(self.tumor)

    @property
    def malignancy(self) -> str:
        """``"benign"`` or ``"malignant"``."""
        return "benign" if self.tumor in BENIGN else "malignant"


def parse(path: str) -> Slide:
    """Read tumor type, slide and magnification from the name of a file.

    Raises
    ------
    InputError
        The name has another shape, or an unknown tumor type or magnification.

    Examples
    --------
    >>> found = parse("SOB_B_TA-14-21978AB-400-013.png")
    >>> found, found.malignancy, CLASSES[found.label]
    (Slide(tumor='TA', slide='14-21978AB', magnification=400), 'benign', 'tubular adenoma 400x')
    """
    match = _NAME.fullmatch(path.rpartition("/")[2])
    if match is None:
        raise InputError(
            f"{printable(path)} is not named like an image of BreakHis, "
            f"SOB_<B or M>_<type>-<year>-<slide>-<magnification>-<number>.png. Remove or rename it."
        )
    malignancy, tumor, slide, magnification = match.groups()
    if tumor not in TYPES or int(magnification) not in MAGNIFICATIONS:
        raise InputError(
            f"{printable(path)} has the tumor type {tumor} and the magnification {magnification}. "
            f"BreakHis has the types {', '.join(TYPES)} and the magnifications "
            f"{', '.join(map(str, MAGNIFICATIONS))}. Remove or rename the file."
        )
    found = Slide(tumor, slide, int(magnification))
    if malignancy != found.malignancy[0].upper():
        raise InputError(
            f"{printable(path)} is marked {malignancy}, but {TYPES[tumor]} is {found.malignancy}. "
            f"Rename the file."
        )
    return found


def load(name: str, split: str, data_dir: Path | None) -> ListedImages:
    """List the images of a split: ``"test"`` (3,164), ``"train"`` (4,745) or ``"all"``.

    BreakHis has no published split with these classes.  The zero-shot clustering study
    (arXiv 2406.02465) drew 40 % of every class (tumor type at a magnification) with scikit-learn,
    seed 0, from the sorted paths, and kept the shuffled order.  Images of one slide are in both
    splits.

    Raises
    ------
    InputError
        The folder is missing, a name cannot be read, or a file is there twice.
    """
    root = find_folder(name, data_dir, ["benign", "malignant"])
    found = walk.listing(root)
    paths = sorted(path for path in found.images if path.rpartition("/")[2].startswith("SOB_"))
    paths = [path for path in paths if path.endswith(".png")]
    _check(root, paths)
    slides = [parse(path) for path in paths]
    labels = np.array([slide.label for slide in slides], np.int64)
    rows, said = _rows(split, labels)
    others = len(found.images) - len(paths)
    if others:
        said = (*said, f"images without SOB_ at the start of their names are not read: {others:,}")
    return ListedImages(
        name,
        split,
        root,
        tuple(paths[i] for i in rows),
        labels[rows],
        CLASSES,
        columns=_columns(slides[i] for i in rows),
        said=said,
        ignored=tuple(map(printable, found.others)),
    )


def _rows(split: str, labels: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    if split == "all":
        return np.arange(len(labels)), ()
    train, test = held_out(labels, share=_TEST, class_names=CLASSES)
    return (test if split == "test" else train), drawn_from(len(labels), IMAGES)


def _check(root: Path, paths: list[str]) -> None:
    """Raise without images, and for a name in two folders: the split would count it twice."""
    if not paths:
        raise InputError(
            f"{printable(str(root))} has no files SOB_*.png below benign and malignant. Extract "
            f"the archive BreaKHis_v1.tar.gz again."
        )
    first: dict[str, str] = {}
    for path in paths:
        other = first.setdefault(path.rpartition("/")[2], path)
        if other != path:
            raise InputError(
                f"{printable(path)} and {printable(other)} have the same name, so the image would "
                f"be counted twice. Remove one of them from {printable(str(root))}."
            )


def _columns(slides: Iterable[Slide]) -> dict[str, np.ndarray]:
    listed = list(slides)
    return {
        "tumor_type": np.array([TYPES[slide.tumor] for slide in listed], object),
        "malignancy": np.array([slide.malignancy for slide in listed], object),
        "magnification": np.array([slide.magnification for slide in listed], np.int64),
        "slide": np.array([slide.slide for slide in listed], object),
    }

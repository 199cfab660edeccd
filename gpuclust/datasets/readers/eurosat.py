"""EuroSAT, land use in satellite images, with the split of the study."""

from __future__ import annotations

from pathlib import Path

from ..listed import ListedImages
from ..location import find_folder
from ..splits import drawn_from, held_out
from .class_folders import list_classes

CLASSES = (
    "AnnualCrop",
    "Forest",
    "HerbaceousVegetation",
    "Highway",
    "Industrial",
    "Pasture",
    "PermanentCrop",
    "Residential",
    "River",
    "SeaLake",
)
IMAGES = 27_000
_TEST = 0.15


def load(name: str, split: str, data_dir: Path | None) -> ListedImages:
    """List the images of a split: ``"test"`` (4,050), ``"train"`` (22,950) or ``"all"``.

    EuroSAT has no published split.  The zero-shot clustering study (arXiv 2406.02465) drew 15 % of
    every class with scikit-learn, seed 0, and kept the shuffled order: these rows are the same
    when all 27,000 files are there.

    Raises
    ------
    InputError
        The folder is missing, or a class has no images; the message names it.
    """
    root = find_folder(name, data_dir, CLASSES)
    found = list_classes(root, CLASSES)
    files, labels, said = found.files, found.labels, found.said
    if split != "all":
        train, test = held_out(labels, share=_TEST, class_names=CLASSES)
        rows = test if split == "test" else train
        files, labels = tuple(files[i] for i in rows), labels[rows]
        said = (*said, *drawn_from(len(found.files), IMAGES))
    return ListedImages(name, split, root, files, labels, CLASSES, said=said, ignored=found.ignored)

"""iNaturalist 2021: species with their taxonomic levels, by torchvision."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..folders import names
from ..listed import ListedImages
from ..location import find_folder
from .refusals import explained

VERSIONS = {"val": "2021_valid", "train": "2021_train", "train-mini": "2021_train_mini"}
LEVELS = ("kingdom", "phylum", "class", "order", "family", "genus")


def load(name: str, split: str, data_dir: Path | None) -> ListedImages:
    """List a split by species, with the six levels above it as columns of text; opens no image.

    The label is the folder, ``NNNNN_kingdom_phylum_class_order_family_genus_species``.  A level is
    its bare name, as in the study: two taxa of the same name are one.  torchvision lists a folder
    in the order of the file system; here its files are sorted, so that rows mean the same on every
    machine.  Lists about 100,000 images per second from the cache of the file system.

    Raises
    ------
    InputError
        The folder of the version is missing, or has a folder with another kind of name, or not all
        numbers from 00000 on.
    """
    from torchvision.datasets import INaturalist

    version = VERSIONS[split]
    root = find_folder(name, data_dir, [version])
    with explained(name, root / version):
        raw = INaturalist(str(root), version=version, target_type="full")
    index = sorted(entry for entry in raw.index if names.system(entry[1]) is None)
    categories = raw.all_categories
    labels = np.array([category for category, _ in index], np.int64)
    return ListedImages(
        name=name,
        split=split,
        root=root,
        files=tuple(f"{version}/{categories[k]}/{file}" for k, file in index),
        labels=labels,
        class_names=tuple(categories),
        columns=_levels(raw, labels),
    )


def _levels(raw: Any, labels: np.ndarray) -> Mapping[str, np.ndarray]:
    """Return the name of each level of each image; None where the folder has no name for it."""
    columns = {}
    for level in LEVELS:
        name_of = {number: text or None for text, number in raw.categories_index[level].items()}
        per_species = np.array([name_of[one[level]] for one in raw.categories_map], dtype=object)
        columns[level] = per_species[labels]
    return columns

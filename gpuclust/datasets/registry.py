"""Look up datasets in the registry, check names and splits, and open datasets."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import InputError, UnknownNameError, unknown
from ..files.paths import expand
from ..registry import describe, find, load_target
from .dataset import Dataset
from .entry import DatasetEntry
from .table import DATASETS

_SEE = (
    "Your own images: folder:<path>; your own vectors: vectors:<path>. `gpuclust list datasets` "
    "shows all."
)


def available() -> list[dict[str, Any]]:
    """List all datasets with their metadata; imports no reader.

    Returns
    -------
    list of dict
        Keys ``name``, ``summary``, ``splits`` ({split: n or None}, the default first),
        ``any_split``, ``classes``, ``imbalance``, ``group``, ``licence``, ``url``, ``extra``.

    Examples
    --------
    >>> available()[0]["splits"]
    {'all': 1797}
    """
    return [describe(entry.template(key), entry) for key, entry in DATASETS.items()]


def entry_of(name: str) -> DatasetEntry:
    """Find the registry entry of a dataset.

    Raises
    ------
    UnknownNameError
        For an unknown name; the message suggests the nearest ones.
    InputError
        For a name without its second part, such as ``"folder:"``.

    Examples
    --------
    >>> entry_of("fashionmnist").classes
    10
    """
    found = find(name, DATASETS)
    if found is None:
        raise _unknown(name)
    return DATASETS[found.key]


def _unknown(name: str) -> UnknownNameError:
    """Return the error with the same name in another spelling, or with similar names."""
    plain = _plain(name.rpartition("/")[2])  # torch/cifar10 was the name of cifar10
    same = next((key for key in DATASETS if plain and _plain(key) == plain), None)
    if same is not None:
        meant = DATASETS[same].template(same)
        return UnknownNameError(f"unknown dataset {name!r}. Did you mean {meant!r}? {_SEE}")
    names = [entry.template(key) for key, entry in DATASETS.items()]
    return unknown("dataset", name, names, _SEE)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def full_name(name: str) -> str:
    """Return ``folder:<path>`` for the path of a folder; a dataset of the table keeps its name.

    Examples
    --------
    >>> full_name("digits"), full_name(str(tmp_path)) == f"folder:{tmp_path}"
    ('digits', True)
    """
    if find(name, DATASETS) is None and _is_folder(name):
        return f"folder:{name}"
    return name


def _is_folder(name: str) -> bool:
    try:
        return bool(name) and expand(name).is_dir()
    except (OSError, RuntimeError, ValueError):  # a name that cannot be a path
        return False


def splits(name: str) -> tuple[str, ...] | None:
    """List the splits of a dataset, the default first; None when only its reader knows them.

    Raises
    ------
    UnknownNameError, InputError
        As `entry_of`.

    Examples
    --------
    >>> splits("fashionmnist")
    ('test', 'train')
    """
    entry = entry_of(name)
    return None if entry.any_split else tuple(entry.splits)


def default_split(name: str) -> str:
    """Return the default split of a dataset.

    Examples
    --------
    >>> default_split("fashionmnist")
    'test'
    """
    return next(iter(entry_of(name).splits))


def check(name: str, split: str | None = None, *, source: bool = True) -> None:
    """Raise for an impossible name or split, without reading images or labels.

    Parameters
    ----------
    name : str
        Name of the dataset.
    split : str, optional
        Name of the split.
    source : bool
        Also look for the folder of a dataset that is a path; without it only names are checked.

    Raises
    ------
    UnknownNameError
        For an unknown dataset.
    InputError
        For an unknown split, a folder that does not exist, or a reader that is not installed.

    Examples
    --------
    >>> check("digits", "all")
    """
    entry, names = entry_of(name), splits(name)
    if split is not None and names is not None and split not in names:
        raise InputError(f"{name} has no split {split!r}; it has {', '.join(names)}.")
    if split is not None and not split:
        raise InputError(f"{name}: the split is empty. Leave it out for {default_split(name)!r}.")
    if entry.check is not None and (source or not entry.is_path):
        load_target(entry.check)(name, split)


def load(name: str, *, split: str | None = None, data_dir: str | Path | None = None) -> Dataset:
    """Open a dataset without decoding its images.

    Numbers of images or classes that differ from the entry are no error: `Dataset.said` has a
    sentence about them.

    Parameters
    ----------
    name : str
        A name of `available`, such as ``"digits"`` or ``"folder:~/photos"``.
    split : str, optional
        One of `splits`; `default_split` when None.
    data_dir : path, optional
        Folder of the datasets that are read from files.

    Raises
    ------
    UnknownNameError, InputError
        As `check`, and for missing or damaged files; the message says how to get them.

    Examples
    --------
    >>> len(load("digits"))
    1797
    """
    check(name, split)
    split = default_split(name) if split is None else split
    where = None if data_dir is None else expand(data_dir)
    entry = entry_of(name)
    dataset: Any = load_target(entry.target)(name, split, where)
    notes = (_difference(dataset, entry), _passed_over(dataset, entry, where))
    added = [note for note in notes if note is not None]
    return replace(dataset, said=(*dataset.said, *added)) if added else dataset


def _passed_over(dataset: Dataset, entry: DatasetEntry, data_dir: Path | None) -> str | None:
    """Name further folders of the dataset below `data_dir`: only one of them is read."""
    if data_dir is None:
        return None
    from .folders.walk import printable  # imports Pillow

    there = {(data_dir / folder).resolve() for folder in entry.folders}
    there = {place for place in there if os.access(place, os.R_OK | os.X_OK) and place.is_dir()}
    there = {place for place in there if any(place.iterdir())}
    # Some folders of an entry are inside others, such as UTKFace/UTKFace.
    there = {place for place in there if there.isdisjoint(place.parents)}
    if len(there) < 2:
        return None
    root = getattr(dataset, "root", None)
    read = None if root is None else Path(root).resolve()
    others = [place for place in there if read is None or place not in (read, *read.parents)]
    names = " and ".join(sorted(printable(str(place)) for place in others))
    if read is None:
        return f"{dataset.name} is in several folders, {names}: the first complete one is read."
    return f"{dataset.name} is read from {printable(str(read))}, and not from {names}."


def _difference(dataset: Dataset, entry: DatasetEntry) -> str | None:
    """Say how the numbers of images and classes differ from the entry; reads no file."""
    default = next(iter(entry.splits))
    found: list[tuple[str, int | None, int | None]] = [
        ("images", len(dataset), entry.splits.get(dataset.split))
    ]
    if dataset.split == default:  # other splits may have other classes
        found.append(("classes", count_classes(dataset), entry.classes))
    differ = [
        f"{n:,} {what}, expected {expected:,}"
        for what, n, expected in found
        if n is not None and expected is not None and n != expected
    ]
    if not differ:
        return None
    option = "" if dataset.split == default else f" --split {dataset.split}"
    return (
        f"{dataset.name} ({dataset.split}) has {' and '.join(differ)}: `gpuclust datasets verify "
        f"{dataset.name}{option}` shows what differs."
    )


def count_classes(dataset: Dataset) -> int | None:
    """Count the classes with an image; None when labels are unknown without decoding.

    Examples
    --------
    >>> count_classes(load("digits"))
    10
    """
    if dataset.labels is None:
        return None
    import numpy as np

    labels = np.unique(dataset.labels)
    return int((labels >= 0).sum())

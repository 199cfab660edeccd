"""Checks of a dataset against its entry: numbers of images and classes, labels, files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import GpuclustError
from . import files_on_disk, registry
from .dataset import Dataset
from .entry import DatasetEntry
from .files_on_disk import OnDisk
from .folders.walk import printable

# Datasets with many published images that have no place in any split.
CHOSEN = frozenset(("bioscan1m", "bioscan5m"))


class Check(NamedTuple):
    """One check: `ok` is None for plain information, `files` has the names at fault."""

    name: str
    ok: bool | None
    expected: str
    found: str
    files: tuple[str, ...] = ()


def failed(name: str, expected: str, found: str, files: tuple[str, ...] = ()) -> Check:
    """Return a failed check.

    Examples
    --------
    >>> failed("images", "60", "59").ok
    False
    """
    return Check(name, ok=False, expected=expected, found=found, files=files)


def numbers(dataset: Dataset, entry: DatasetEntry) -> Iterator[Check]:
    """Compare the numbers of images and classes, and the imbalance, with the entry.

    Classes and imbalance are known for the default split only.

    Examples
    --------
    >>> from gpuclust import datasets
    >>> found = numbers(datasets.load("digits"), datasets.entry_of("digits"))
    >>> [(check.name, check.found) for check in found]
    [('images', '1,797'), ('classes', '10'), ('imbalance', '1.05')]
    """
    expected = entry.splits.get(dataset.split)
    ok = None if expected is None else expected == len(dataset)
    drawn = "all" in entry.splits and dataset.split != "all"  # numbers are absent by the draw
    hints = _hints(dataset, expected) if ok is False and not drawn else ()
    yield Check("images", ok, _number(expected), f"{len(dataset):,}", hints)
    if dataset.labels is None:
        yield Check("classes", None, _number(entry.classes), "not known without decoding")
        return
    classes, sizes = np.unique(dataset.labels[dataset.labels >= 0], return_counts=True)
    is_default = dataset.split == next(iter(entry.splits))
    wanted = entry.classes if is_default else None
    ok = None if wanted is None else wanted == len(classes)
    hints = _odd_classes(dataset, classes, sizes, wanted or 0) if ok is False else ()
    yield Check("classes", ok, _number(wanted), f"{len(classes):,}", hints)
    if len(sizes):
        yield _imbalance(sizes, entry.imbalance if is_default else None)


def _imbalance(sizes: np.ndarray, known: float | None) -> Check:
    ratio = float(sizes.max() / sizes.min())
    ok = None if known is None else abs(ratio - known) <= 0.005 + 1e-9  # rounded to 2 digits
    return Check("imbalance", ok, "" if known is None else f"{known:.2f}", f"{ratio:.2f}")


def _number(n: int | None) -> str:
    return "" if n is None else f"{n:,}"


def _hints(dataset: Dataset, expected: int | None) -> tuple[str, ...]:
    """Name files by absent numbers, or classes with another size than most."""
    lacking = (expected or 0) - len(dataset)
    paths = _below(dataset)
    absent = files_on_disk.absent_numbers(paths, lacking) if lacking > 0 and paths else ()
    if absent:
        return tuple(f"{path} (by the numbers of the others)" for path in absent)
    names = dataset.class_names
    if dataset.labels is None or names is None:
        return ()
    sizes = np.bincount(dataset.labels[dataset.labels >= 0], minlength=len(names))
    usual = int(np.bincount(sizes[sizes > 0]).argmax())
    others = np.flatnonzero((sizes != usual) & (sizes > 0))
    if len(others) > max(1, len(sizes) / 10):  # classes have no usual size
        return ()
    return tuple(
        f"{printable(names[k])}: {sizes[k]:,} images, {usual:,} in most classes" for k in others
    )


def _odd_classes(
    dataset: Dataset, classes: np.ndarray, sizes: np.ndarray, wanted: int
) -> tuple[str, ...]:
    """Name classes without images, or the smallest of too many."""
    names = dataset.class_names
    if names is None:
        return ()
    surplus = len(classes) - wanted
    if surplus > 0:
        smallest = np.argsort(sizes, kind="stable")[:surplus]
        pairs = [(names[classes[i]], sizes[i]) for i in smallest]
        return tuple(printable(f"{one}: {n:,} images, a small class") for one, n in pairs)
    if len(names) == wanted:
        without = np.setdiff1d(np.arange(wanted), classes)
        return tuple(printable(f"{names[k]}: no image") for k in without)
    return ()


def whole(dataset: Dataset, entry: DatasetEntry, data_dir: str | Path | None) -> Iterator[Check]:
    """Count the images of all splits, for a dataset with drawn splits.

    One missing image then changes the splits, perhaps without changing their numbers of images.

    Examples
    --------
    >>> from gpuclust import datasets
    >>> list(whole(datasets.load("digits"), datasets.entry_of("digits"), None))
    []
    """
    expected = entry.splits.get("all")
    if expected is None or dataset.split == "all":
        return
    found = registry.load(dataset.name, split="all", data_dir=data_dir)
    same = len(found) == expected
    hints = () if same else _hints(found, expected)
    yield Check("images of all splits", same, _number(expected), f"{len(found):,}", hints)


def columns(dataset: Dataset, entry: DatasetEntry) -> Iterator[Check]:
    """Look for the labels beside the class.

    Examples
    --------
    >>> from gpuclust import datasets
    >>> list(columns(datasets.load("digits"), datasets.entry_of("digits")))
    []
    """
    if not entry.columns:
        return
    there = [key for key in dataset.columns if len(dataset.columns[key]) == len(dataset)]
    lacking = tuple(key for key in entry.columns if key not in there)
    yield Check("further labels", not lacking, ", ".join(entry.columns), ", ".join(there), lacking)


def _below(dataset: Dataset) -> Sequence[str]:
    """Return the paths of all images below the folder of the dataset."""
    paths = files_on_disk.listed(dataset)
    root = getattr(dataset, "root", None)
    start = 0 if root is None else len(str(root)) + 1
    return [printable(path[start:]) for path in paths]


def files(dataset: Dataset, entry: DatasetEntry, data_dir: str | Path | None) -> Iterator[Check]:
    """Compare the listed files with the content of their folders, and look for copies.

    Other splits are read only when images or folders have no place in this one.

    Examples
    --------
    >>> from gpuclust import datasets
    >>> list(files(datasets.load("digits"), datasets.entry_of("digits"), None))
    []
    """
    paths = files_on_disk.listed(dataset)
    if not paths:
        return
    unread: list[str] = []
    try:
        found = files_on_disk.compare(paths)
        if (found.unlisted or found.folders) and dataset.name not in CHOSEN:
            others, unread = _other_splits(dataset, entry, data_dir)
            found = files_on_disk.compare(paths, others)
    except OSError as error:
        yield failed("files", "readable folders", f"{error.filename}: {error.strerror}")
        return
    n = len(set(paths))
    missing = found.missing
    yield Check("files", not missing, f"{n:,}", f"{n - len(missing):,}", missing)
    if dataset.name == "nabirds":
        yield _images_txt(getattr(dataset, "root", Path()))
    if dataset.name not in CHOSEN:
        yield from _extra(dataset, found, unread)
    if found.others:
        yield Check("files that are no images", None, "", f"{len(found.others):,}", found.others)
    same = files_on_disk.copies(_below(dataset))
    yield Check("copies by name", not same, "0", f"{len(same):,}", same)


def _images_txt(root: Path) -> Check:
    """Look for all images in the list of NABirds: its reader takes only the existing ones."""
    from .folders import walk
    from .readers.nabirds import read_pairs

    listed = set(read_pairs(root / "images.txt").values())
    lost = tuple(map(printable, sorted(listed - walk.listing(root / "images").images.keys())))
    there = f"{len(listed) - len(lost):,}"
    return Check("images of images.txt", not lost, f"{len(listed):,}", there, lost)


def _extra(dataset: Dataset, found: OnDisk, unread: Sequence[str]) -> Iterator[Check]:
    """Report images and folders outside all splits."""
    known = _known_extra(dataset.name)
    images = tuple(path for path in found.unlisted if not path.startswith(known))
    kinds = {"images in no split": images, "folders without a listed image": found.folders}
    for name, extra in kinds.items():
        unsure = bool(unread and extra)
        why = f", perhaps of {', '.join(unread)}: cannot be read here" if unsure else ""
        yield Check(name, None if unsure else not extra, "0", f"{len(extra):,}{why}", extra)


def _known_extra(name: str) -> tuple[str, ...]:
    """Return beginnings of published files without a place in any split."""
    if name == "utkface":
        from .readers.utkface import CORRUPTED

        return tuple(CORRUPTED)
    return ()


def _other_splits(
    dataset: Dataset, entry: DatasetEntry, data_dir: str | Path | None
) -> tuple[list[str], list[str]]:
    """Return the images of the other splits, and the names of unreadable splits."""
    others: list[str] = []
    unread = []
    for split in entry.splits:
        if split in (dataset.split, "search"):  # the images of search are images of train
            continue
        try:
            other = registry.load(dataset.name, split=split, data_dir=data_dir)
        except GpuclustError:
            unread.append(split)
            continue
        others += files_on_disk.listed(other)
    return others, unread

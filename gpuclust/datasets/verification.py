"""Verify datasets on the disk: every check of one split, or of all datasets below a folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import BadImagesError, InputError
from ..files.paths import expand
from . import checks, files_on_disk, image, location, registry
from .checks import Check
from .dataset import Dataset
from .entry import DatasetEntry
from .folders.walk import printable
from .table import DATASETS

_BATCH = 1024  # images between two reports of progress

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Report:
    """Checks of one split of a dataset.

    Attributes
    ----------
    folder : str or None
        Folder of the dataset; None when it was not found, or is inside a package.
    said : tuple of str
        Sentences of the reader about guesses.
    """

    dataset: str
    split: str
    folder: str | None
    checks: tuple[Check, ...]
    said: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
        return all(check.ok is not False for check in self.checks)

    def check(self, name: str) -> Check | None:
        """Return the check with a name; None without one."""
        return next((check for check in self.checks if check.name == name), None)

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON values, all files included."""
        checks = [check._asdict() | {"files": list(check.files)} for check in self.checks]
        return {
            "dataset": self.dataset,
            "split": self.split,
            "folder": self.folder,
            "ok": self.ok,
            "checks": checks,
            "said": list(self.said),
        }


def verify(
    name: str,
    *,
    split: str | None = None,
    data_dir: str | Path | None = None,
    images: bool = False,
    progress: Progress = lambda done, total: None,
) -> Report:
    """Check one split of a dataset: layout, number of images, classes, files.

    The folders with images are listed, and no image is opened unless `images` is true: 7 to 15 s
    for 100,000 images on a local disk.

    Parameters
    ----------
    name : str
        A name of the registry, such as ``"nabirds"`` or ``"folder:~/photos"``.
    split : str, optional
        One of its splits; the default split when None.
    data_dir : path, optional
        Folder of the datasets.
    images : bool
        Also check the header of every image file, about 0.3 ms each; images without files of
        their own are decoded.
    progress : callable (done, total) -> None
        Called while images are checked.

    Returns
    -------
    Report
        Missing and damaged files are failed checks, not errors.

    Raises
    ------
    UnknownNameError, InputError
        For an unknown name or split.

    Examples
    --------
    >>> report = verify("digits")
    >>> report.ok, report.check("images").found
    (True, '1,797')
    """
    entry, known = registry.entry_of(name), registry.splits(name)
    if split is not None and known is not None and split not in known:
        registry.check(name, split)  # raises
    if name.startswith("vectors:"):
        raise InputError(f"{name} has vectors, and no images. `gpuclust inspect` checks vectors.")
    split = registry.default_split(name) if split is None else split
    at = None if data_dir is None else expand(data_dir)
    try:
        dataset = registry.load(name, split=split, data_dir=at)
    except InputError as error:
        # Missing images, where the reader lists them.
        files = tuple(map(printable, getattr(error, "paths", ())))
        unread = checks.failed("layout", "readable", str(error), files)
        return Report(name, split, None, (unread,))
    folder = _folder_of(dataset, entry, at)
    found = [Check("layout", ok=True, expected="readable", found=folder or "yes")]
    found += [*checks.numbers(dataset, entry), *checks.whole(dataset, entry, at)]
    found += [*checks.columns(dataset, entry), *checks.files(dataset, entry, at)]
    if images:
        found.append(_images(dataset, progress))
    said = tuple(line for line in dataset.said if "gpuclust datasets verify" not in line)
    return Report(name, split, folder, tuple(found), said)


def verify_all(data_dir: str | Path, **options: Any) -> tuple[list[Report], list[str]]:
    """Check the default split of every published dataset below a folder.

    Parameters
    ----------
    data_dir : path
        Folder of the datasets.
    **options
        `images` and `progress` of `verify`.

    Returns
    -------
    reports : list of Report
        One per dataset with a folder there, or found elsewhere on this machine.
    absent : list of str
        Names of the others.

    Examples
    --------
    >>> reports, absent = verify_all(tmp_path)
    >>> "cifar10" in absent
    True
    """
    at = expand(data_dir)
    if not at.is_dir():
        raise InputError(f"there is no folder {at}. Give the folder of the datasets.")
    reports, absent = [], []
    for name in published():
        report = verify(name, data_dir=at, **options)
        own = any(place.is_dir() for place in location.places(name, at)[:-1])
        # The folder itself may look like several datasets: it has train and val, for example.
        read = report.checks[0].ok and report.folder != printable(str(at.absolute()))
        if own or read:
            reports.append(report)
        else:
            absent.append(name)
    return reports, absent


def published() -> list[str]:
    """List the datasets with folders below ``--data-dir``.

    Examples
    --------
    >>> "cifar10" in published(), "digits" in published()
    (True, False)
    """
    return [name for name, entry in DATASETS.items() if entry.folders]


def _folder_of(dataset: Dataset, entry: DatasetEntry, data_dir: Path | None) -> str | None:
    """Return the folder of a dataset: its reader's, or the first existing one of its own."""
    root = getattr(dataset, "root", None)
    if root is None and data_dir is not None:
        own = [data_dir / folder for folder in entry.folders]
        root = next((place for place in own if place.is_dir()), None)
    return None if root is None else printable(str(root))


def _images(dataset: Dataset, progress: Progress) -> Check:
    """Check the headers of all image files; decode images without files."""
    paths = files_on_disk.listed(dataset)
    bad: list[str] = []
    n = len(dataset)
    progress(0, n)
    for start in range(0, n, _BATCH):
        rows = range(start, min(start + _BATCH, n))
        if paths:
            reasons = image.check_all([paths[i] for i in rows])
        else:
            reasons = [_decoded(dataset, i) for i in rows]
        bad += [f"{dataset.where(i)}: {why}" for i, why in zip(rows, reasons, strict=True) if why]
        progress(rows.stop, n)
    kind = "headers of images" if paths else "decoded images"
    return Check(kind, not bad, f"{n:,} good", f"{n - len(bad):,} good", tuple(bad))


def _decoded(dataset: Dataset, i: int) -> str | None:
    try:
        dataset[i]
    except BadImagesError as error:
        return str(error)
    return None

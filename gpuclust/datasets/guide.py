"""Say where a dataset comes from, where it must lie, and how it is named in a run."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterator
from pathlib import Path

from ..files.paths import expand
from ..registry import UNKNOWN
from . import location, registry
from .downloads import MEGABYTES
from .entry import DatasetEntry

_WIDTH = 96


def lines(name: str, data_dir: str | Path | None = None) -> list[str]:
    r"""Describe a dataset, its source and its files; reads no file.

    Parameters
    ----------
    name : str
        A name of the registry.
    data_dir : path, optional
        Folder of the datasets; its folders are then marked as there or missing.

    Raises
    ------
    UnknownNameError, InputError
        For an unknown name.

    Examples
    --------
    >>> print("\n".join(lines("digits")[:3]))
    digits: handwritten digits, 8 x 8 (inside scikit-learn)
    splits: all 1,797 (default)
    classes: 10, largest / smallest 1.05; group far-ood
    """
    entry = registry.entry_of(name)
    root = None if data_dir is None else expand(data_dir)
    return [*_facts(name, entry), *_source(name, entry), *_files(name, entry, root)]


def _facts(name: str, entry: DatasetEntry) -> Iterator[str]:
    yield f"{name}: {entry.summary}"
    sizes = [f"{split}{'' if n is None else f' {n:,}'}" for split, n in entry.splits.items()]
    sizes[0] += " (default)"
    yield f"splits: {', '.join(sizes)}"
    if entry.classes is not None:
        ratio = f", largest / smallest {entry.imbalance:.2f}" if entry.imbalance else ""
        yield f"classes: {entry.classes:,}{ratio}; group {entry.group}"
    if entry.columns:
        yield from _folded(f"further labels: {', '.join(entry.columns)}")


def _source(name: str, entry: DatasetEntry) -> Iterator[str]:
    if entry.url:
        yield f"from: {entry.url}"
    stated = "not stated" if entry.licence == UNKNOWN else entry.licence
    yield f"licence: {stated}"
    if entry.download is not None:
        size = f" ({MEGABYTES[name]:,} MB)" if name in MEGABYTES else " (size not known)"
        yield f"download: `gpuclust datasets where {name} --download --data-dir FOLDER`{size}"
    elif entry.folders:
        yield "download: no library does; see the page"
    if entry.remark:
        yield from _folded(f"remark: {entry.remark}")


def _files(name: str, entry: DatasetEntry, root: Path | None) -> Iterator[str]:
    if entry.folders:
        yield "folder, the first that has the files:"
        for place in location.places(name, root or Path("DATA-DIR")):
            there = "" if root is None else "  there" if place.is_dir() else "  missing"
            yield f"  {place}{there}"
    if entry.layout:
        yield "files in it:"
        yield from (f"  {line}" for line in entry.layout)
    at = f" --data-dir {'DATA-DIR' if root is None else shlex.quote(str(root))}"
    yield f"in a run: --dataset {shlex.quote(name)}{at if entry.folders else ''}"


def _folded(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, subsequent_indent="  ", break_on_hyphens=False)

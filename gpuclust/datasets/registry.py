"""The table of data sets, and the functions that read it.  Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError, unknown
from .dataset import Dataset
from .readers import digits, fashionmnist, folder, timm_factory


@dataclass(frozen=True)
class Entry:
    """A data set with a name of its own.  `sizes` maps its splits, default first, to their n."""

    description: str
    sizes: dict[str, int]
    load: Callable[[str, Path | None], Dataset]


DATASETS = {
    "digits": Entry(
        "handwritten digits, 8 x 8, 10 classes (inside scikit-learn)",
        {"all": 1797},
        digits.load,
    ),
    "fashionmnist": Entry(
        "Fashion-MNIST, 28 x 28, 10 classes (apt-get install dataset-fashion-mnist, or --data-dir)",
        {"test": 10_000, "train": 60_000},
        fashionmnist.load,
    ),
}
_FOLDER = "your images: one sub-folder per class, or flat and without labels"
_HINT = (
    "Or folder:<path> for your own images, or a data set of timm: torch/<name>, hfds/<name>, "
    "tfds/<name>, wds/<name>."
)


def available() -> list[dict]:
    """Describe all data sets: dicts of name, description, splits and n ({split: n} or None)."""
    rows = [
        {"name": name, "description": e.description, "splits": tuple(e.sizes), "n": dict(e.sizes)}
        for name, e in DATASETS.items()
    ]
    rows.append({"name": "folder:<path>", "description": _FOLDER, "splits": ("all",), "n": None})
    rows += [
        {"name": name, "description": text, "splits": names, "n": None}
        for name, text, names in timm_factory.available()
    ]
    return rows


def splits(name: str) -> tuple[str, ...] | None:
    """List the splits of a data set, the default first; None when only its library knows them.

    Raises
    ------
    UnknownNameError
        No such data set.
    """
    if name in DATASETS:
        return tuple(DATASETS[name].sizes)
    if name.startswith(folder.PREFIX):
        return ("all",)
    if timm_factory.handles(name):
        return timm_factory.splits(name)
    raise unknown("data set", name, DATASETS, _HINT)


def default_split(name: str) -> str:
    """Return the split that `load` takes when none is given."""
    names = splits(name)
    return names[0] if names else timm_factory.DEFAULT_SPLIT


def check(name: str, split: str | None = None) -> None:
    """Refuse a name or split that cannot work, before anything is loaded or read.

    Raises
    ------
    UnknownNameError
        No such data set.
    InputError
        It has no such split, there is no such folder, or the library that reads it is missing.
    """
    names = splits(name)
    if split is not None and names is not None and split not in names:
        raise InputError(f"{name} has no split {split!r}; it has {', '.join(names)}.")
    if split is not None and not split:
        raise InputError(f"{name}: the split is empty. Leave it out for {default_split(name)!r}.")
    if name.startswith(folder.PREFIX):
        folder.check(name)
    elif name not in DATASETS:
        timm_factory.check(name)


def load(name: str, *, split: str | None = None, data_dir: str | Path | None = None) -> Dataset:
    """Open a data set; no image is decoded.

    Parameters
    ----------
    name : str
        ``digits``, ``fashionmnist``, ``folder:<path>``, or a name of timm's factory.
    split : str, optional
        One of `splits`; the default is `default_split`.
    data_dir : path, optional
        Where data sets that are files lie.

    Raises
    ------
    InputError
        See `check`; also data that is not there, with what to do about it.
    """
    check(name, split)
    split = default_split(name) if split is None else split
    where = None if data_dir is None else Path(data_dir).expanduser()
    if name in DATASETS:
        return DATASETS[name].load(split, where)
    if name.startswith(folder.PREFIX):
        return folder.load(name, split)
    return timm_factory.load(name, split, where)

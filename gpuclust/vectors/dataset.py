"""Vectors of a user's own as a dataset: ``vectors:<path>`` or ``vectors:<path>?labels=<path>``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from ..errors import InputError
from .formats import existing

PREFIX = "vectors:"
_LABELS = "?labels="


class Source(NamedTuple):
    """Absolute paths of a file of vectors and of a file of their labels, if there is one."""

    path: Path
    labels: Path | None = None

    @property
    def name(self) -> str:
        """Name as a dataset."""
        labels = "" if self.labels is None else f"{_LABELS}{self.labels}"
        return f"{PREFIX}{self.path}{labels}"


def is_own(dataset: str) -> bool:
    """Return whether the name of a dataset stands for a file of vectors.

    Examples
    --------
    >>> is_own("vectors:clip.npz"), is_own("digits")
    (True, False)
    """
    return dataset.startswith(PREFIX)


def source_of(dataset: str) -> Source:
    """Return the files of a dataset of vectors; relative paths belong to the working directory.

    Raises
    ------
    InputError
        A file does not exist, or cannot be one.

    Examples
    --------
    >>> _ = (tmp_path / "x.npy").write_bytes(b"")
    >>> source_of(f"vectors:{tmp_path}/x.npy").path.name
    'x.npy'
    """
    path, mark, labels = dataset.removeprefix(PREFIX).partition(_LABELS)
    return source(path, labels if mark else None)


def source(path: str | Path, labels: str | Path | None = None) -> Source:
    """Check for the files, and make their paths absolute.

    Examples
    --------
    >>> _ = (tmp_path / "x.npy").write_bytes(b"")
    >>> source(tmp_path / "x.npy").name == f"vectors:{tmp_path.resolve()}/x.npy"
    True
    """
    for given in (path, labels):
        if given is not None and not str(given):
            raise InputError("the path of vectors is empty. Write vectors:<path>.")
    found = existing(path).resolve()
    return Source(found, None if labels is None else existing(labels).resolve())


def check(name: str, split: str | None = None) -> None:
    """Raise `InputError` when the files of a dataset of vectors do not exist."""
    source_of(name)


def load(name: str, split: str, data_dir: Any) -> NoReturn:
    """Raise `InputError`: vectors are no images, so nothing can be embedded."""
    del split, data_dir
    raise InputError(
        f"{name} has vectors already, so there is nothing to embed. Cluster them: gpuclust run "
        "--embeddings FILE, or embeddings = [...] in a grid file."
    )

"""Contents of a file or a table before anything is read: named fields."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from .names import shown

NUMBERS, TEXT, OTHER = "numbers", "text", "other"
UNKNOWN = -1  # length of the vectors of a list column that was not read


@dataclass(frozen=True)
class Field:
    """An array of a file, or a column of a table, read when it is wanted.

    Attributes
    ----------
    name : str
        Empty for the only array of a file.
    shape : tuple of int
        In a table (n,), or (n, d) for a list column.
    kind : {"numbers", "text", "other"}
        Real numbers; text; everything else, which is never read.
    dtype : str
        For messages: ``"float32"``, ``"Python objects"``.
    load : callable () -> ndarray
        Reads it, or raises `InputError`.
    """

    name: str
    shape: tuple[int, ...]
    kind: str
    dtype: str
    load: Callable[[], Any]

    def __str__(self) -> str:
        sizes = ", ".join("?" if size == UNKNOWN else str(size) for size in self.shape)
        shape = f"({sizes},)" if len(self.shape) == 1 else f"({sizes})"
        return f"{shown(self.name)} {shape} {self.dtype}"

    @property
    def is_list(self) -> bool:
        """True when every row has one vector or value: (n,) or (n, 1)."""
        return len(self.shape) == 1 or (len(self.shape) == 2 and self.shape[1] == 1)


@dataclass(frozen=True)
class Contents:
    """Fields of a source.

    Attributes
    ----------
    source : str
        Name for messages: the path of the file, or ``"X"``.
    fields : tuple of Field
        In the order of the file.
    is_table : bool
        Whether the fields are columns, so that several of them together make the vectors.
    notes : tuple of str
        Decisions of the reader, such as the delimiter of a text file.
    paths : tuple of str or None
        Names of the samples that are no field: the files of a folder.
    index : tuple of Field
        Index of a frame of pandas, which is no field either.
    """

    source: str
    fields: tuple[Field, ...]
    is_table: bool = False
    notes: tuple[str, ...] = ()
    paths: tuple[str, ...] | None = None
    index: tuple[Field, ...] = ()


def of_array(name: str, array: np.ndarray) -> Field:
    """Make the field of an array in memory.

    Examples
    --------
    >>> print(of_array("y", np.arange(3)))
    y (3,) int64
    """
    kind, dtype = kind_of(array.dtype)
    return Field(name, array.shape, kind, dtype, lambda: array)


def kind_of(dtype: np.dtype) -> tuple[str, str]:
    """Return the kind of a NumPy dtype, and its name for messages.

    Examples
    --------
    >>> kind_of(np.dtype("O")), kind_of(np.dtype(">f4"))
    (('other', 'Python objects'), ('numbers', 'float32'))
    """
    if dtype.hasobject and dtype.kind != "T":
        return OTHER, "Python objects"
    if dtype.kind in "biuf":
        return NUMBERS, dtype.name
    return (TEXT, "text") if dtype.kind in "UST" else (OTHER, dtype.name)


def check_memory(shape: tuple[int, ...], itemsize: int, source: str) -> None:
    """Raise `InputError` if an array would not fit into the free memory of this machine.

    Examples
    --------
    >>> check_memory((10**9, 10**6), 4, "x.npz")
    Traceback (most recent call last):
        ...
    gpuclust.errors.InputError: x.npz needs 3,725,290.3 GiB of memory and ... GiB are free. ...
    """
    needed, free = math.prod(shape) * itemsize, _free_memory()
    if needed > free:
        raise InputError(
            f"{source} needs {needed / 2**30:,.1f} GiB of memory and {free / 2**30:,.1f} GiB are "
            "free. Save the vectors as a float32 .npy file, which is not read into memory."
        )


def _free_memory() -> int:
    """Return the free memory in bytes; on systems other than Linux, all there is."""
    info = Path("/proc/meminfo")
    if info.exists():
        found = re.search(r"MemAvailable:\s+(\d+) kB", info.read_text())
        if found:
            return int(found[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

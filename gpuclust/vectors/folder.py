"""Folders of .npy files: one vector per file, chunks of vectors, or the arrays of one dataset."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import numpy as np

from ..errors import InputError
from .contents import NUMBERS, Contents, Field, check_memory
from .names import LABELS, NO_FEATURE, PATHS, VECTORS, role, shown
from .numpy_files import npy


def files_of(folder: Path) -> list[Path]:
    """List the .npy files of a folder in the order of their names, 2 before 10.

    Examples
    --------
    >>> (tmp_path / "parts").mkdir()
    >>> for name in ("part10.npy", "part2.npy"):
    ...     np.save(tmp_path / "parts" / name, np.eye(2))
    >>> [file.name for file in files_of(tmp_path / "parts")]
    ['part2.npy', 'part10.npy']
    """
    try:
        found = [one for one in folder.iterdir() if one.suffix.lower() == ".npy"]
    except OSError as error:
        raise InputError(f"cannot read the folder {folder}: {error.strerror}.") from error
    return sorted((one for one in found if not one.name.startswith(".")), key=_natural)


def _natural(path: Path) -> list[tuple[int, int | str]]:
    parts = re.split(r"(\d{1,18})", path.name)
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts if part]


def npy_folder(folder: Path) -> Contents:
    """Open a folder of .npy files.

    Files (d,) are one vector each, with the file name as its path; files (m, d) are stacked.  A
    folder with a file ``X.npy``, ``embeddings.npy``, ... is read as one .npz with these arrays.

    Raises
    ------
    InputError
        No .npy file, or shapes that do not fit together.

    Examples
    --------
    >>> (tmp_path / "single").mkdir()
    >>> np.save(tmp_path / "single/cat.npy", np.ones(4))
    >>> np.save(tmp_path / "single/dog.npy", np.zeros(4))
    >>> found = npy_folder(tmp_path / "single")
    >>> found.fields[0].shape, found.paths
    ((2, 4), ('cat.npy', 'dog.npy'))
    """
    files = files_of(folder)
    if not files:
        below = next(folder.glob("*/*.npy"), None)
        if below is not None:
            raise InputError(
                f"{folder} has .npy files in sub-folders only, as {shown(below.parent.name)}. Give "
                "one sub-folder, or put all files into one folder, with their classes in a label "
                "file."
            )
        raise InputError(
            f"{folder} is a folder without .npy files. Give a file of vectors, or --dataset "
            f"folder:{folder} for images."
        )
    fields = {file: _field(file) for file in files}
    if any(role(file.stem) == VECTORS for file in files):
        named = tuple(_renamed(field, file.stem) for file, field in fields.items())
        return Contents(str(folder), named)
    beside = [file for file in files if role(file.stem) in (LABELS, PATHS, NO_FEATURE)]
    chunks = {file: field for file, field in fields.items() if file not in beside}
    if not chunks:
        raise InputError(f"{folder} has no file of vectors beside {beside[0].name}.")
    stacked, how = _stacked(folder, chunks)
    others = tuple(_renamed(fields[file], file.stem) for file in beside)
    single = how.startswith("one vector")
    paths = tuple(file.name for file in chunks) if single else None
    return Contents(str(folder), (stacked, *others), notes=(how,), paths=paths)


def _field(file: Path) -> Field:
    if not file.is_file():
        raise InputError(f"{file} is no file. Keep only files of vectors in the folder.")
    return npy(file).fields[0]


def _renamed(field: Field, name: str) -> Field:
    return Field(name, field.shape, field.kind, field.dtype, field.load)


def _stacked(folder: Path, chunks: dict[Path, Field]) -> tuple[Field, str]:
    """Return all files as one field, and the words for the report."""
    first_file, first = next(iter(chunks.items()))
    for file, field in chunks.items():
        fits = len(field.shape) == len(first.shape) and field.shape[-1:] == first.shape[-1:]
        if field.kind != NUMBERS or len(field.shape) not in (1, 2) or not fits:
            raise InputError(
                f"{folder}: {file.name} holds {field.dtype} of shape {field.shape} and "
                f"{first_file.name} {first.dtype} of shape {first.shape}; all files must hold one "
                "vector (d,), or vectors (m, d), with the same d."
            )
    single = len(first.shape) == 1
    n = len(chunks) if single else sum(field.shape[0] for field in chunks.values())
    shape = (n, first.shape[-1] if first.shape else 0)
    dtype = np.result_type(*(np.dtype(field.dtype) for field in chunks.values()))
    load = functools.partial(_load, folder, tuple(chunks.values()), shape, dtype)
    what = "one vector per file" if single else f"{len(chunks)} files stacked"
    names = f"{first_file.name} to {next(reversed(chunks)).name}"
    return Field("files", shape, NUMBERS, dtype.name, load), f"{what}, {names}"


def _load(
    folder: Path, fields: tuple[Field, ...], shape: tuple[int, int], dtype: np.dtype
) -> np.ndarray:
    check_memory(shape, dtype.itemsize, str(folder))
    X = np.empty(shape, dtype)
    row = 0
    for field in fields:
        rows = np.atleast_2d(field.load())
        X[row : row + len(rows)] = rows
        row += len(rows)
    return X

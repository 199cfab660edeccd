"""Arrays of .npy and .npz files: headers first, values when they are wanted, never unpickled."""

from __future__ import annotations

import functools
import math
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from ..errors import InputError
from .contents import OTHER, Contents, Field, check_memory, kind_of

MAPPED = 2**26  # bytes from which a .npy file is mapped into memory instead of read
# What NumPy, zipfile and zlib raise for damaged files.
DAMAGED = (
    *(ValueError, TypeError, OSError, EOFError, KeyError, IndexError, OverflowError, MemoryError),
    *(SyntaxError, RecursionError, RuntimeError, NotImplementedError, AttributeError),
    *(struct.error, tokenize.TokenError, zipfile.BadZipFile, zlib.error),
)


class _Header(NamedTuple):
    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype
    start: int  # bytes before the values

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def damaged(path: Path, error: object, kind: str = "NumPy") -> InputError:
    """Return the error of a damaged file, in one sentence."""
    text = str(error).strip().splitlines()
    why = f": {text[0][:200].rstrip('.')}" if text else ""
    return InputError(f"{path} is not a complete {kind} file{why}. Write it again.")


def npy(path: Path) -> Contents:
    """Open a .npy file; above 64 MiB its values remain on the disk.

    Examples
    --------
    >>> np.save(tmp_path / "x.npy", np.eye(3))
    >>> print(npy(tmp_path / "x.npy").fields[0].shape)
    (3, 3)
    """
    try:
        with path.open("rb") as file:
            header = _header(file)
        _check_length(path, header, path.stat().st_size)
    except DAMAGED as error:
        if isinstance(error, InputError):
            raise
        raise damaged(path, error) from error
    if header.dtype.hasobject:
        raise InputError(
            f"{path} holds Python objects, which can run code when read. Save numbers "
            "(X.astype('float32')), and labels as integers or text."
        )
    kind, name = kind_of(header.dtype)
    load = functools.partial(_load_npy, path, header)
    return Contents(str(path), (Field("", header.shape, kind, name, load),))


def _header(file: IO[bytes]) -> _Header:
    """Read the header of an array; `ValueError` or another of `DAMAGED` if it is none."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        found = np.lib.format.read_array_header_1_0(file)
    elif version in ((2, 0), (3, 0)):  # 3.0 differs in the encoding of field names only
        found = np.lib.format.read_array_header_2_0(file)
    else:
        raise ValueError(f"version {version} of the format is unknown")
    shape, fortran, dtype = found
    if any(size < 0 for size in shape):
        raise ValueError(f"negative shape {shape}")
    return _Header(shape, fortran, dtype, file.tell())


def _check_length(path: Path, header: _Header, size: int) -> None:
    """Raise `InputError` when a file has fewer or more bytes than its header says."""
    if header.dtype.hasobject:
        return
    there = size - header.start
    if there < header.nbytes:
        raise damaged(
            path,
            f"it should hold {header.dtype} of shape {header.shape}, {header.nbytes} bytes, and "
            f"has {there} bytes of values",
        )
    if there > header.nbytes:
        raise InputError(
            f"{path} goes on after its array of shape {header.shape}, as if several arrays were "
            "saved into it. Save them as one array, or as .npz."
        )


def _load_npy(path: Path, header: _Header) -> np.ndarray:
    order: Any = "F" if header.fortran else "C"
    try:
        if header.nbytes >= MAPPED:
            at, shape = header.start, header.shape
            return np.memmap(path, header.dtype, "r", at, shape, order)
        with path.open("rb") as file:
            file.seek(header.start)
            flat = np.fromfile(file, header.dtype, math.prod(header.shape))
        return flat.reshape(header.shape, order=order)
    except DAMAGED as error:
        raise damaged(path, error) from error


def npz(path: Path) -> Contents:
    """Open a .npz file; only headers are read, and of other files in it only the names.

    Examples
    --------
    >>> np.savez(tmp_path / "x.npz", X=np.eye(3), names=np.array(["a"], dtype=object))
    >>> [str(field) for field in npz(tmp_path / "x.npz").fields]
    ['X (3, 3) float64', 'names (1,) Python objects']
    """
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            fields = [_member(path, archive, info) for info in archive.infolist()]
    except DAMAGED as error:
        if isinstance(error, InputError):
            raise
        raise damaged(path, error) from error
    return Contents(str(path), tuple(fields))


def _member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Field:
    """Make the field of one file of an archive."""
    name = info.filename.removesuffix(".npy")
    if name == info.filename or info.is_dir():
        return Field(name, (), OTHER, "not an array", _never)
    try:
        with archive.open(info) as file:
            header = _header(file)
    except DAMAGED as error:
        raise InputError(f"{path}: the array {name!r} cannot be read: {error}.") from error
    kind, dtype = kind_of(header.dtype)
    if kind != OTHER and header.start + header.nbytes != info.file_size:
        raise InputError(
            f"{path}: the array {name!r} of shape {header.shape} should have {header.nbytes} bytes "
            f"and has {info.file_size - header.start}. Write the file again."
        )
    load = functools.partial(_load_member, path, info.filename, header)
    return Field(name, header.shape, kind, dtype, load)


def _never() -> Any:
    """Stand for the values of a field without values."""
    raise InputError("the field has no values that can be read.")


def _load_member(path: Path, name: str, header: _Header) -> np.ndarray:
    check_memory(header.shape, header.dtype.itemsize, f"{path}: {name}")
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive, archive.open(name) as one:
            return np.lib.format.read_array(one, allow_pickle=False)
    except DAMAGED as error:
        raise InputError(f"{path}: the array {name!r} cannot be read: {error}.") from error

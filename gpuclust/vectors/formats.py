"""Table of the formats, and the choice among them by the content of a file."""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

from ..errors import InputError
from ..files.paths import expand
from .contents import Contents
from .folder import npy_folder
from .numpy_files import npy, npz
from .table_files import delimited, parquet
from .tensor_files import is_safetensors, safetensors_file, torch_file

Reader = Callable[[Path], Contents]

TEXTS = (".csv", ".tsv", ".txt")
# Suffix -> reader.  The content decides where it is known.
READERS: dict[str, Reader] = {
    ".npy": npy,
    ".npz": npz,
    ".parquet": parquet,
    ".pq": parquet,
    ".pt": torch_file,
    ".pth": torch_file,
    ".safetensors": safetensors_file,
    **dict.fromkeys(TEXTS, delimited),
}
ALLOWED = ", ".join(READERS)
_OURS: dict[bytes, Reader] = {b"\x93NUMPY": npy, b"PAR1": parquet}
# First bytes -> the format, and what to do with it.
_FOREIGN: dict[bytes, str] = {
    b"\x1f\x8b": "is compressed by gzip. Unpack it first",
    b"BZh": "is compressed by bzip2. Unpack it first",
    b"\xfd7zXZ": "is compressed by xz. Unpack it first",
    b"\x28\xb5\x2f\xfd": "is compressed by zstd. Unpack it first",
    b"\x89HDF": "is an HDF5 file. Save the array as .npy or .npz",
    b"MATLAB": "is a MATLAB file. Save the array as .npy or .npz",
    b"version https://git-lfs": "is a pointer of Git LFS. Get the file by git lfs pull",
    b"ARROW1": "is an Arrow (Feather) file. Save it as Parquet",
    b"%PDF": "is a PDF file. Give a file of vectors",
    b"\x89PNG": "is an image. Give --dataset folder:PATH for images",
    b"\xff\xd8\xff": "is an image. Give --dataset folder:PATH for images",
}
_PAGE = (b"<!doctype", b"<html", b"<?xml")
_PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"cos\n", b"cposix", b"c__")


def existing(path: str | Path) -> Path:
    """Return the path of an existing file or folder, with ``~`` expanded.

    Raises
    ------
    InputError
        It does not exist, cannot be read, is a device or a pipe, or its name is no UTF-8.

    Examples
    --------
    >>> existing("no-such-file.npy")
    Traceback (most recent call last):
        ...
    gpuclust.errors.InputError: no-such-file.npy does not exist. Give a file of vectors...
    """
    try:
        os.fspath(path).encode()
        path = expand(path)
        mode = path.stat().st_mode
    except UnicodeEncodeError as error:
        name = os.fsencode(path).decode("ascii", "backslashreplace")
        raise InputError(f"the name {name} is not UTF-8. Rename the file.") from error
    except FileNotFoundError as error:
        raise InputError(
            f"{path} does not exist. Give a file of vectors or labels: {ALLOWED}."
        ) from error
    except (OSError, ValueError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"cannot open {str(path)[:200]!r}: {why}.") from error
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise InputError(f"{path} is a device or a pipe. Give a regular file.")
    return path


def open_file(path: Path, text: Reader = delimited) -> Contents:
    """Open a file or a folder of vectors or labels; nothing but headers is read.

    Parameters
    ----------
    path : Path
        From `existing`.
    text : callable
        Reader of text files.

    Raises
    ------
    InputError
        Another format, or a damaged file.

    Examples
    --------
    >>> import numpy as np
    >>> np.save(tmp_path / "x.npy", np.eye(2))
    >>> str(open_file(tmp_path / "x.npy").fields[0].dtype)
    'float64'
    """
    if path.is_dir():
        return npy_folder(path)
    reader = _reader(path)
    return (text if reader is delimited else reader)(path)


def _reader(path: Path) -> Reader:
    """Return the reader by the first bytes of a file, or else by its suffix."""
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}.") from error
    if not start and path.suffix.lower() not in TEXTS:
        raise InputError(f"{path} is empty: it has no bytes.")
    found = _by_content(path, start)
    if found is not None:
        return found
    suffix = path.suffix.lower()
    if suffix not in READERS:
        what = path.suffix or "a file without extension"
        raise InputError(f"{path}: cannot read {what} here; allowed are {ALLOWED}.")
    if suffix in (".npy", ".npz"):
        raise InputError(
            f"{path} is not a NumPy file, or holds Python objects, which can run code when read. "
            "Save numbers (X.astype('float32')), and labels as integers or text."
        )
    return READERS[suffix]


def _by_content(path: Path, start: bytes) -> Reader | None:
    known = next((reader for magic, reader in _OURS.items() if start.startswith(magic)), None)
    if known:
        return known
    if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip_reader(path)
    if is_safetensors(start):
        return safetensors_file
    if start.lower().lstrip().startswith(_PAGE):
        raise InputError(f"{path} is a web page, not data. Download the file itself.")
    for magic, what in _FOREIGN.items():
        if start.startswith(magic):
            raise InputError(f"{path} {what}.")
    if start.startswith(_PICKLES) and path.suffix.lower() not in (".pt", ".pth"):
        raise InputError(
            f"{path} holds Python objects (a pickle), which can run code when read. Save numbers "
            "as .npy, and labels as integers or text."
        )
    return None


def _zip_reader(path: Path) -> Reader:
    """Return the reader of a zip file by the names in it."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError):
        return torch_file if path.suffix.lower() in (".pt", ".pth") else npz  # says why
    if any(name.endswith("data.pkl") for name in names):
        return torch_file
    if not names or any(name.endswith(".npy") for name in names):
        return npz
    if any(name.startswith("xl/") for name in names):
        raise InputError(f"{path} is an Excel file. Save the sheet as CSV.")
    raise InputError(f"{path} is a zip file without .npy arrays. Unpack it first.")

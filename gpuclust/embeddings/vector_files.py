"""Read a user's own vectors from .npy, .npz and .parquet files, with or without labels."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from .check import Vectors, encode, features

_X_NAMES = ("X", "embeddings", "features", "Z")
_Y_NAMES = ("y", "labels", "y_true", "targets")
_Y_COLUMNS = ("label", "y", "labels")


def read_vectors(path: str | Path, labels: str | Path | None = None) -> Vectors:
    """Read vectors, and labels if there are any.

    Parameters
    ----------
    path : path
        ``.npy``: an array (n, d).  ``.npz``: vectors named X, embeddings, features or Z, or the
        only 2-D array; labels named y, labels, y_true or targets.  ``.parquet``: numeric columns
        are the features; a column label, y or labels has the labels.
    labels : path, optional
        ``.npy``, ``.npz``, ``.csv``, ``.txt`` or ``.parquet`` with one label per row; overrides
        labels inside `path`.

    Returns
    -------
    Vectors
        `X` is float64 if the file is, else float32.  Text labels are numbered in sorted order and
        listed in `class_names`.  Memory: the file, and a copy of it if its dtype differs.

    Raises
    ------
    InputError
        A file that is missing, unreadable or empty, holds Python objects, has the wrong shape or
        length, or has NaN or inf.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "features.npz")
    ...     np.savez(path, X=np.eye(3), y=["cat", "ant", "cat"])
    ...     X, y, class_names = read_vectors(path)
    >>> X.shape, y.tolist(), class_names
    ((3, 3), [1, 0, 1], ('ant', 'cat'))
    """
    path = _existing(path)
    X, raw = _pick(path, {".npy": _npy, ".npz": _npz, ".parquet": _parquet})(path)
    X = features(X, path)
    source = path
    if labels is not None:
        source = _existing(labels)
        raw = _label_file(source, len(X))
    if raw is None:
        return Vectors(X, None, None)
    y, class_names = encode(np.asarray(raw), source)
    if len(y) != len(X):
        raise InputError(f"{source} has {len(y)} labels for the {len(X)} vectors of {path}.")
    return Vectors(X, y, class_names)


def _existing(path: str | Path) -> Path:
    path = Path(path).expanduser()
    if not path.is_file():
        what = "is a folder, not a file" if path.is_dir() else "does not exist"
        raise InputError(f"{path} {what}. Give a .npy, .npz or .parquet file.")
    return path


def _pick(path: Path, readers: dict[str, Callable[..., Any]]) -> Callable[..., Any]:
    if path.suffix.lower() not in readers:
        raise InputError(
            f"{path}: cannot read {path.suffix or 'a file without extension'} here; "
            f"allowed are {', '.join(readers)}."
        )
    return readers[path.suffix.lower()]


def _open(path: Path) -> dict[str, np.ndarray]:
    """Read the arrays of a NumPy file without unpickling."""
    try:
        with path.open("rb") as file:  # np.load on a path leaves a damaged .npz open
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return {"": loaded}
            return {key: loaded[key] for key in loaded.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        if "allow_pickle" in str(error) or "pickled" in str(error):
            raise InputError(
                f"{path} is not a NumPy file, or holds Python objects, which can run code when "
                f"read. Save numbers (X.astype('float32')), and labels as integers or text."
            ) from error
        raise InputError(
            f"{path} is not a complete NumPy file: {error}. Write it again."
        ) from error


def _npy(path: Path) -> tuple[np.ndarray, None]:
    return _open(path)[""], None


def _npz(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    arrays = _open(path)
    y = next((arrays[name] for name in _Y_NAMES if name in arrays), None)
    named = [name for name in _X_NAMES if name in arrays]
    matrices = named or [name for name, array in arrays.items() if array.ndim == 2]
    if not named and len(matrices) != 1:
        raise InputError(
            f"{path} has the arrays {', '.join(arrays) or '(none)'}; expected the vectors as "
            f"{', '.join(_X_NAMES)}, or exactly one 2-D array."
        )
    return arrays[matrices[0]], y


def _frame(path: Path) -> Any:
    import pandas as pd

    try:
        return pd.read_parquet(path)
    except (ValueError, OSError) as error:
        raise InputError(
            f"{path} is not a complete Parquet file: {error}. Write it again."
        ) from error


def _parquet(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    frame = _frame(path)
    column = next((name for name in _Y_COLUMNS if name in frame.columns), None)
    y = None if column is None else frame[column].to_numpy()
    numbers = frame.drop(columns=[] if column is None else [column]).select_dtypes("number")
    if not numbers.shape[1]:
        raise InputError(f"{path} has no numeric columns; each feature must be one column.")
    return numbers.to_numpy(dtype=np.result_type(*map(_numpy_dtype, numbers.dtypes))), y


def _numpy_dtype(dtype: Any) -> np.dtype:
    """Return the NumPy dtype of a pandas column: float64 for nullable types, to hold NaN."""
    return dtype if isinstance(dtype, np.dtype) else np.dtype(np.float64)


def _label_file(path: Path, n: int) -> np.ndarray:
    readers = {".npy": _npy_labels, ".npz": _npz_labels, ".parquet": _parquet_labels}
    if path.suffix.lower() in readers:
        return readers[path.suffix.lower()](path)
    texts = {".csv": _csv_labels, ".txt": _txt_labels}
    return _pick(path, readers | texts)(path, n)


def _npy_labels(path: Path) -> np.ndarray:
    return _open(path)[""]


def _npz_labels(path: Path) -> np.ndarray:
    arrays = _open(path)
    found = [arrays[name] for name in _Y_NAMES if name in arrays] or list(arrays.values())
    if not found or (len(arrays) > 1 and not any(name in arrays for name in _Y_NAMES)):
        raise InputError(
            f"{path} has the arrays {', '.join(arrays)}; expected one of {', '.join(_Y_NAMES)}."
        )
    return found[0]


def _parquet_labels(path: Path) -> np.ndarray:
    frame = _frame(path)
    names = [name for name in _Y_COLUMNS if name in frame.columns]
    if not names and frame.shape[1] != 1:
        raise InputError(
            f"{path} has the columns {', '.join(map(str, frame.columns))}; expected "
            f"one of {', '.join(_Y_COLUMNS)}, or a single column."
        )
    return frame[names[0] if names else frame.columns[0]].to_numpy()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (UnicodeDecodeError, OSError) as error:
        raise InputError(f"cannot read {path} as UTF-8 text: {error}.") from error


def _txt_labels(path: Path, n: int) -> np.ndarray:
    del n  # a text file has no header
    return np.array([line.strip() for line in _text(path).splitlines()], dtype=str)


def _csv_labels(path: Path, n: int) -> np.ndarray:
    """Read the column named label, y or labels, or the only one; n + 1 rows mean a header."""
    rows = [row for row in csv.reader(_text(path).splitlines()) if row]
    header = [name.strip().lower() for name in rows[0]] if rows else []
    named = [k for k, name in enumerate(header) if name in _Y_COLUMNS]
    if len(header) > 1 and not named:
        raise InputError(f"{path} has {len(header)} columns; name one of them label, or keep one.")
    has_header = bool(named) or len(rows) == n + 1
    column = named[0] if named else 0
    if any(len(row) <= column for row in rows):
        raise InputError(f"{path} has rows with fewer columns than its header.")
    return np.array([row[column].strip() for row in rows[has_header:]], dtype=str)

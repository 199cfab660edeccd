"""Read a user's own vectors from .npy, .npz and .parquet files, with or without labels."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import array_api_compat
import numpy as np

from ..errors import InputError

_X_NAMES = ("X", "embeddings", "features", "Z")
_Y_NAMES = ("y", "labels", "y_true", "targets")
_Y_COLUMNS = ("label", "y", "labels")
_KINDS = "biuf"  # bool, integers, floats


class Vectors(NamedTuple):
    """Vectors `X` (n, d) float32 or float64, labels `y` (n,) int64 or None, and class names."""

    X: np.ndarray
    y: np.ndarray | None
    class_names: tuple[str, ...] | None


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
    X = _features(X, path)
    source = path
    if labels is not None:
        source = _existing(labels)
        raw = _label_file(source, len(X))
    if raw is None:
        return Vectors(X, None, None)
    y, class_names = _encode(np.asarray(raw), source)
    if len(y) != len(X):
        raise InputError(f"{source} has {len(y)} labels for the {len(X)} vectors of {path}.")
    return Vectors(X, y, class_names)


def check_vectors(X: Any, y: Any | None = None) -> Vectors:
    """Check vectors and labels in memory the way `read_vectors` checks a file.

    Parameters
    ----------
    X : array-like (n, d)
        Real numbers: NumPy, pandas, torch or CuPy; copied to the host.
    y : array-like (n,), optional
        Integers or text.

    Returns
    -------
    Vectors
        See `read_vectors`.

    Raises
    ------
    InputError
        Wrong shape, type or length, empty, NaN or infinite.

    Examples
    --------
    >>> check_vectors([[0, 1], [2, 3]], ["cat", "dog"]).y
    array([0, 1])
    """
    vectors = _features(_on_host(X, "X"), "X")
    if y is None:
        return Vectors(vectors, None, None)
    labels, class_names = _encode(_on_host(y, "y"), "y")
    if len(labels) != len(vectors):
        raise InputError(f"y has {len(labels)} labels for the {len(vectors)} vectors of X.")
    return Vectors(vectors, labels, class_names)


def _on_host(values: Any, name: str) -> np.ndarray:
    """Copy an array-like to NumPy."""
    if array_api_compat.is_cupy_array(values):
        return values.get()
    if array_api_compat.is_torch_array(values):
        return values.detach().cpu().numpy()
    try:
        return np.asarray(values)
    except (TypeError, ValueError) as error:  # rows of different lengths, for example
        raise InputError(f"{name} cannot be read as an array: {error}.") from error


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


def _features(X: np.ndarray, path: str | Path) -> np.ndarray:
    """Check vectors and return them C-ordered, as float64 if they are, else as float32."""
    if X.dtype.kind not in _KINDS:
        raise InputError(f"{path} has vectors of type {X.dtype}; they must be real numbers.")
    if X.ndim != 2:
        raise InputError(f"{path} has shape {X.shape}; expected (n, d), one row per image.")
    if not X.size:
        raise InputError(f"{path} is empty: shape {X.shape}.")
    X = np.ascontiguousarray(X, np.float64 if X.dtype == np.float64 else np.float32)
    finite = np.isfinite(X).all(axis=1)
    if not finite.all():
        raise InputError(
            f"{path} has NaN or inf in {np.count_nonzero(~finite)} of {len(X)} rows, the first is "
            f"row {int(np.argmin(finite))}. Drop or repair these rows."
        )
    return X


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


def _encode(raw: np.ndarray, path: str | Path) -> tuple[np.ndarray, tuple[str, ...] | None]:
    """Return int64 labels, and the class names if labels were text."""
    raw = raw[:, 0] if raw.ndim == 2 and raw.shape[1] == 1 else raw
    if raw.ndim != 1:
        raise InputError(f"{path} has labels of shape {raw.shape}; expected one per row, (n,).")
    if raw.dtype.kind == "f" and np.all(np.isfinite(raw)) and np.all(raw == np.rint(raw)):
        raw = raw.astype(np.int64)
    if raw.dtype.kind in "biu":
        return raw.astype(np.int64), None
    if raw.dtype.kind == "f":
        row = int(np.argmax(~np.isfinite(raw) | (raw != np.rint(raw))))
        raise InputError(f"{path}: label {raw[row]} in row {row}; labels are integers or text.")
    return _encode_text(raw, path)


def _encode_text(raw: np.ndarray, path: str | Path) -> tuple[np.ndarray, tuple[str, ...] | None]:
    texts = [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in raw.tolist()]
    for row, text in enumerate(texts):
        if not isinstance(text, (str, int)) or text == "":
            raise InputError(f"{path}: label {text!r} in row {row}; labels are integers or text.")
    texts = [str(text) for text in texts]
    if all(text.removeprefix("-").isdecimal() for text in texts):
        return np.array([int(text) for text in texts], np.int64), None
    names, y = np.unique(texts, return_inverse=True)
    return y.astype(np.int64), tuple(map(str, names))

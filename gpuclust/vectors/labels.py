"""Labels of a user's own: integers or text, or none for some samples."""

from __future__ import annotations

import math
import numbers
import re
from typing import Any, NamedTuple

import numpy as np

from ..errors import InputError

_INT64 = range(-(2**63), 2**63)
_EXACT = 2**53  # float64 holds every integer up to it
# Written by NumPy and pandas for a missing value that became text.
_MISSING_TEXTS = frozenset({"", "nan", "NaN", "<NA>", "NaT", "None", "NA", "N/A", "n/a", "NULL"})
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_WHOLE = re.compile(r"0|-?[1-9]\d*", re.ASCII)


class Labels(NamedTuple):
    """Label codes `y` (n,) int64, or None without any label.

    `labelled` (n,) bool is None if every sample has a label; `class_names` is None for integers.
    """

    y: np.ndarray | None
    class_names: tuple[str, ...] | None = None
    labelled: np.ndarray | None = None

    @property
    def n_missing(self) -> int:
        """Number of samples without a label, among samples with one."""
        return 0 if self.labelled is None else int(np.count_nonzero(~self.labelled))


def encode(raw: Any, source: str) -> Labels:
    """Turn labels into int64 label codes.

    Parameters
    ----------
    raw : array-like (n,) or (n, 1)
        Integers, whole floats or text.  None, NaN, NaT, pandas' NA, the empty text, and masked
        values mean: no label.
    source : str
        Name for messages.

    Returns
    -------
    Labels
        Integers keep their values.  Text, and integers beyond 64 bits, are numbered in sorted
        order and listed in `class_names`.

    Raises
    ------
    InputError
        Another shape, fractions, or values of another type.

    Examples
    --------
    >>> encode(["cat", None, "ant"], "y")
    Labels(y=array([1, 0, 0]), class_names=('ant', 'cat'), labelled=array([ True, False,  True]))
    """
    hidden = np.ma.getmaskarray(raw) if isinstance(raw, np.ma.MaskedArray) else None
    values = _one_per_row(np.asarray(raw), source)
    if values.dtype.kind in "biu" and hidden is None:
        return _from_integers(values)
    listed = [_plain(value) for value in values.tolist()]
    missing = np.array([_is_missing(value) for value in listed], bool)
    if hidden is not None:
        missing |= hidden.reshape(missing.shape)
    if missing.all():
        return Labels(None)
    labels = _encode([v for v, no in zip(listed, missing, strict=True) if not no], missing, source)
    if not missing.any():
        return labels
    y = np.zeros(len(missing), np.int64)
    np.place(y, ~missing, labels.y if labels.y is not None else [])
    return Labels(y, labels.class_names, ~missing)


def _one_per_row(values: np.ndarray, source: str) -> np.ndarray:
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise InputError(
            f"{source} has labels of shape {values.shape}; expected one per row, (n,)."
        )
    if values.dtype.kind in "cMmV":
        raise InputError(
            f"{source} has labels of type {values.dtype}; labels are integers or text."
        )
    return values


def _from_integers(values: np.ndarray) -> Labels:
    if values.dtype == np.uint64 and values.size and int(values.max()) not in _INT64:
        return _named([str(value) for value in values.tolist()])
    return Labels(values.astype(np.int64))


def _plain(value: Any) -> Any:
    """Return bytes as text; bytes outside UTF-8 stay different from one another."""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value


def _is_missing(value: Any) -> bool:
    """Return whether a label is missing; pandas' NA and NaT are known by name, without pandas."""
    if isinstance(value, str):
        return value.strip() in _MISSING_TEXTS
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, numbers.Real) and bool(value != value)


def _encode(values: list[Any], missing: np.ndarray, source: str) -> Labels:
    """Encode the labels of the labelled samples."""
    plain = [_checked(value, k, missing, source) for k, value in enumerate(values)]
    if all(isinstance(value, str) for value in plain):
        plain = _numbers(plain, missing, source)
    if all(isinstance(value, int) and value in _INT64 for value in plain):
        return Labels(np.array(plain, np.int64))
    return _named([str(value) for value in plain])


def _checked(value: Any, k: int, missing: np.ndarray, source: str) -> int | str:
    """Return a label as text or a whole number, or refuse it."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | np.bool_ | numbers.Integral):
        return int(value)
    number = float(value) if isinstance(value, numbers.Real) else math.nan
    if math.isfinite(number) and number == int(number):
        return int(number)
    raise _refused(value, k, missing, source)


def _refused(value: Any, k: int, missing: np.ndarray, source: str) -> InputError:
    row = int(np.flatnonzero(~missing)[k])
    text = str(value) if isinstance(value, str | numbers.Real) else type(value).__name__
    return InputError(f"{source}: label {text[:80]} in row {row}; labels are integers or text.")


def _numbers(texts: list[Any], missing: np.ndarray, source: str) -> list[Any]:
    """Return texts as integers if all are whole numbers in their only spelling.

    Labels with zeros in front, such as ``"007"`` beside ``"07"``, remain names.
    """
    if all(_WHOLE.fullmatch(text) for text in texts):
        return [int(text) if len(text) < 40 else text for text in texts]
    if not all(_NUMBER.fullmatch(text) for text in texts) or not any("." in t for t in texts):
        return texts
    found = [float(text) for text in texts]  # as written by np.savetxt
    for k, value in enumerate(found):
        if not math.isfinite(value) or value != int(value):
            raise _refused(texts[k], k, missing, source)
    return [int(value) for value in found] if max(map(abs, found)) <= _EXACT else texts


def _named(texts: list[str]) -> Labels:
    names, y = np.unique(np.array(texts, dtype=object), return_inverse=True)
    return Labels(y.astype(np.int64), tuple(map(str, names)))

"""Label arrays of objects, text and dates, with a sentence for missing labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import InputError

_NUMBERS = int | float | np.integer | np.floating | np.bool_


def from_entries(values: np.ndarray, name: str) -> np.ndarray:
    """Return labels (n,) of text, objects or dates as a sortable array.

    Text and bytes stay what they are; numbers become int64, or float64 if some are not whole;
    dates and integers beyond 64 bits become numbers of their order.  O(n) time.

    Parameters
    ----------
    values : ndarray (n,)
        Of any dtype but those of numbers.
    name : str
        Name in messages.

    Raises
    ------
    InputError
        For missing labels (None, NaN, NaT or pandas' NA), for infinity, for text beside numbers,
        and for other objects.

    Examples
    --------
    >>> from_entries(np.array([2, 1.0, True], dtype=object), "y").tolist()
    [2, 1, 1]
    >>> from_entries(np.array(["a", None], dtype=object), "y")
    Traceback (most recent call last):
    ...
    gpuclust.errors.InputError: y has 1 missing label, the first in row 1 (None). Label ...
    """
    if values.dtype.kind in "UST":
        return values
    missing = _missing(values)
    if missing.any():
        raise _refused(values, missing, name)
    if values.dtype.kind in "Mm":
        return np.unique(values, return_inverse=True)[1]
    kinds = {type(entry) for entry in values.flat} if values.dtype.kind == "O" else set()
    for text, dtype in ((str, str), (bytes, bytes)):
        if kinds and all(issubclass(kind, text) for kind in kinds):
            return values.astype(dtype)
    if kinds and all(issubclass(kind, _NUMBERS) for kind in kinds):
        return _numbers(values, name)
    found = ", ".join(sorted(kind.__name__ for kind in kinds)) or str(values.dtype)
    raise InputError(f"{name} holds {found}; give numbers only or text only, one label per sample.")


def check_list(values: Sequence[object], name: str) -> None:
    """Raise `InputError` for missing labels in a list of text.

    Examples
    --------
    >>> check_list(["a", float("nan")], "y")
    Traceback (most recent call last):
    ...
    gpuclust.errors.InputError: y has 1 missing label, the first in row 1 (nan). Label ...
    """
    if all(type(value) is str for value in values):
        return
    entries = np.empty(len(values), dtype=object)
    entries[:] = values
    missing = _missing(entries)
    if missing.any():
        raise _refused(entries, missing, name)


def _missing(values: np.ndarray) -> np.ndarray:
    """Mark None, NaN, NaT and pandas' NA: (n,) bool."""
    if values.dtype.kind in "Mm":
        return np.isnat(values)
    if values.dtype.kind != "O":
        return np.zeros(values.shape, dtype=bool)
    # NaN and NaT differ from themselves.  pandas' NA does not answer; it is known by its class.
    return np.array(
        [
            entry is None
            or type(entry).__name__ == "NAType"
            or (np.isscalar(entry) and entry != entry)
            or type(entry).__name__ == "NaTType"
            for entry in values.flat
        ],
        dtype=bool,
    )


def _refused(values: np.ndarray, missing: np.ndarray, name: str) -> InputError:
    count, row = int(missing.sum()), int(missing.argmax())
    many = "1 missing label" if count == 1 else f"{count} missing labels"
    return InputError(
        f"{name} has {many}, the first in row {row} ({values[row]!r}). Label unclustered samples "
        "-1, or drop these samples."
    )


def _numbers(values: np.ndarray, name: str) -> np.ndarray:
    """Convert Python numbers to int64, to float64 if some are not whole, or to their ranks."""
    if any(isinstance(entry, float | np.floating) for entry in values.flat):
        floats = values.astype(np.float64)
        if not np.isfinite(floats).all():
            raise InputError(f"{name} contains infinity. Give finite numbers or text as labels.")
        if not np.array_equal(floats, np.rint(floats)):
            return floats
    try:
        return values.astype(np.int64)
    except OverflowError:
        return np.unique(values, return_inverse=True)[1]

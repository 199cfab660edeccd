"""Dtypes of samples given by users: real numbers, in a dtype readable by all code."""

from __future__ import annotations

from typing import Any

import array_api_compat as compat
import numpy as np

from ..errors import InputError

_NUMBERS = "biuf"
# float64 holds all integers up to this one.
_EXACT_INTEGERS = 2**53


class InputTypeError(InputError, TypeError):
    """Entries other than numbers; also a TypeError, as in scikit-learn."""


def holds_numbers(X: Any) -> bool:
    """Return whether `X` holds bools, integers or floats of a dtype readable by all code.

    Examples
    --------
    >>> holds_numbers(np.array([1])), holds_numbers(np.array(["1"]))
    (True, False)
    """
    if isinstance(X, np.ndarray):
        return X.dtype.kind in _NUMBERS and X.dtype.isnative and X.dtype.itemsize <= 8
    xp = compat.array_namespace(X)
    return bool(xp.isdtype(X.dtype, ("bool", "integral", "real floating")))


def as_numbers(X: Any, name: str) -> np.ndarray:
    """Convert objects, long doubles and swapped bytes; refuse complex numbers, text and dates.

    Raises
    ------
    InputError
        For entries other than real numbers, and integers that float64 would round.

    Examples
    --------
    >>> as_numbers(np.array([1, 2.5], dtype=object), "X")
    array([1. , 2.5])
    """
    if not isinstance(X, np.ndarray) or X.dtype.kind == "c":
        raise InputError(
            f"Complex data not supported: {name} has dtype {X.dtype}. Give its real part, or real "
            "and imaginary parts as features of their own."
        )
    if X.dtype.kind in "iuf":
        native = X.dtype.newbyteorder("=") if X.dtype.itemsize <= 8 else np.dtype(np.float64)
        return X.astype(native)
    if X.dtype.name in ("bfloat16", "float8_e4m3fn", "float8_e5m2"):  # of the package ml_dtypes
        return X.astype(np.float32)
    if X.dtype.kind != "O":
        raise InputTypeError(
            f"{name} has dtype {X.dtype}, not numbers. Convert its columns to numbers, or leave "
            "them out."
        )
    return _from_objects(X, name)


def _from_objects(X: np.ndarray, name: str) -> np.ndarray:
    words = [type(entry).__name__ for entry in X.flat if isinstance(entry, str | bytes)]
    if words:
        raise InputTypeError(
            f"{name} holds text ({len(words)} entries), not numbers. Convert its columns to "
            "numbers, or leave them out."
        )
    if any(isinstance(entry, complex | np.complexfloating) for entry in X.flat):
        raise InputError(f"Complex data not supported: {name} holds complex numbers.")
    if any(isinstance(entry, int) and abs(entry) > _EXACT_INTEGERS for entry in X.flat):
        raise InputError(
            f"{name} has integers beyond 2**53, which float64 rounds. Convert {name} to float64 if "
            "the rounding does not matter."
        )
    try:
        return X.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputTypeError(
            f"{name} holds entries that are not numbers: {error}. Replace them, or drop these "
            "samples."
        ) from error

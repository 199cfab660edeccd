"""Parameters given by users: whole numbers, numbers, words, flags and seeds.

Numbers of Python and NumPy are accepted.  A bool never counts as a number, a float never as a whole
number, and NaN and infinity are refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..errors import InputError, unknown

# Libraries keep counts in 32-bit integers, and seeds in unsigned ones.
MOST = 2**31 - 1
_MOST_SEED = 2**32 - 1


def whole(name: str, value: Any, *, low: int = 1, high: int = MOST) -> int:
    """Return a whole number from `low` to `high` as an int.

    Raises
    ------
    InputError
        For another type, or a number out of range.

    Examples
    --------
    >>> whole("k", np.int32(3))
    3
    >>> whole("k", 2.0)
    Traceback (most recent call last):
    ...
    gpuclust.errors.InputError: k is 2.0; it must be a whole number, 1 or more.
    """
    if _is_whole(value) and low <= value <= high:
        return int(value)
    limit = f"{low} or more" if high == MOST else f"from {low} to {high}"
    raise InputError(f"{name} is {short(value)}; it must be a whole number, {limit}.")


def optional_whole(name: str, value: Any, *, low: int = 1) -> int | None:
    """Return a whole number of at least `low`, or None.

    Examples
    --------
    >>> optional_whole("min_samples", None) is None
    True
    """
    return None if value is None else whole(name, value, low=low)


def number(
    name: str, value: Any, *, low: float = -math.inf, high: float = math.inf, below: bool = False
) -> float:
    """Return a finite number from `low` to `high` as a float; with `below`, less than `high`.

    Raises
    ------
    InputError
        For another type, NaN, infinity, or a number out of range.

    Examples
    --------
    >>> number("damping", np.float32(0.5), low=0.5, high=1, below=True)
    0.5
    """
    real = isinstance(value, float | np.floating) or _is_whole(value)
    found = _as_float(value) if real else math.nan
    if math.isfinite(found) and low <= found and (found < high if below else found <= high):
        return found
    limits = []
    if low > -math.inf:
        limits.append(f"at least {low:g}")
    if high < math.inf:
        limits.append(f"{'below' if below else 'at most'} {high:g}")
    allowed = f"a finite number{', ' if limits else ''}{' and '.join(limits)}"
    raise InputError(f"{name} is {short(value)}; it must be {allowed}.")


def choice(name: str, value: Any, allowed: Iterable[str]) -> str:
    """Return one of the allowed words.

    Raises
    ------
    UnknownNameError
        For another word, or a value that is not a text.

    Examples
    --------
    >>> choice("metric", "cosine", ("euclidean", "cosine"))
    'cosine'
    """
    allowed = tuple(allowed)
    if not isinstance(value, str) or value not in allowed:
        raise unknown(name, value if isinstance(value, str) else short(value), allowed)
    return str(value)


def flag(name: str, value: Any) -> bool:
    """Return True or False.

    Raises
    ------
    InputError
        For a value that is neither, also for 0 and 1.

    Examples
    --------
    >>> flag("standardize", np.True_)
    True
    """
    if not isinstance(value, bool | np.bool_):
        raise InputError(f"{name} is {short(value)}; it must be True or False.")
    return bool(value)


def seed(random_state: Any) -> Any:
    """Return a seed: None, an int from 0 to 2^32 - 1, or a RandomState.

    Raises
    ------
    InputError
        For everything else.

    Examples
    --------
    >>> seed(np.int64(7))
    7
    """
    if random_state is None or isinstance(random_state, np.random.RandomState):
        return random_state
    if _is_whole(random_state):
        return whole("random_state", random_state, low=0, high=_MOST_SEED)
    raise InputError(
        f"random_state is {short(random_state)}; it must be a whole number from 0 to "
        f"{_MOST_SEED}, a numpy.random.RandomState or None."
    )


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:  # an int beyond the range of floats
        return math.inf


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def entries(name: str, values: Any) -> list[Any]:
    """Return the entries of a sequence as a list.

    Raises
    ------
    InputError
        For a text, and for what has no entries.

    Examples
    --------
    >>> entries("scores", ("davies_bouldin",))
    ['davies_bouldin']
    """
    alone = isinstance(values, str | bytes) or getattr(values, "ndim", 1) == 0
    if alone or not isinstance(values, Iterable):
        raise InputError(f"{name} is {short(values)}; it must be a list.")
    return list(values)


def short(value: Any) -> str:
    """Write a value in at most 40 characters, for a message.

    Examples
    --------
    >>> short(10**5000)
    'a number of thousands of digits'
    """
    try:
        text = repr(value)
    except ValueError:  # an int of more than 4,300 digits
        text = "a number of thousands of digits"
    return text if len(text) <= 40 else f"{text[:37]}..."

"""Parameters of a method: defaults and allowed values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import InputError, unknown

Params = Mapping[str, Any]
# Libraries hold whole numbers in 32 bits.
LARGEST = 2**31 - 1


@dataclass(frozen=True)
class Param:
    """A parameter: its default and its allowed values.

    Numbers are finite, and whole numbers at most `LARGEST`.

    Attributes
    ----------
    default : object
        Value when none is given.
    kinds : tuple of type
        Allowed types.  A bool never counts as a number.
    low, high : float or None
        Inclusive limits of numbers.
    choices : tuple
        Allowed words; replaces `kinds`.
    optional : bool
        Whether None is allowed.
    """

    default: Any
    kinds: tuple[type, ...] = ()
    low: float | None = None
    high: float | None = None
    choices: tuple[Any, ...] = ()
    optional: bool = False

    def check(self, method: str, name: str, value: Any) -> Any:
        """Return the value, as a float for a parameter of type float.

        Raises
        ------
        InputError
            When the value has another type, is out of range or is not among the choices.

        Examples
        --------
        >>> Param(0.9, (float,), low=0.5).check("affinity", "damping", 1)
        1.0
        """
        if value is None and self.optional:
            return None
        if self.choices:
            if value not in self.choices:
                raise unknown(f"{name} of {method}", value, self.choices)
            return value
        if float in self.kinds and int not in self.kinds and type(value) is int:
            value = _as_float(value)
        in_range = type(value) in self.kinds and self._within(value)
        if not in_range:
            limit = f" (and at most {LARGEST})" if type(value) is int and value > LARGEST else ""
            raise InputError(
                f"{method}: {name} must be {self.allowed()}{limit}; got {_shown(value)}."
            )
        return value + 0.0 if type(value) is float else value  # -0.0 is 0.0, with the same key

    def _within(self, value: Any) -> bool:
        if isinstance(value, bool):
            return True
        if (type(value) is int and abs(value) > LARGEST) or not math.isfinite(value):
            return False
        low_ok = self.low is None or value >= self.low
        return low_ok and (self.high is None or value <= self.high)

    def allowed(self) -> str:
        """Describe the allowed values in words, for error messages.

        Examples
        --------
        >>> Param(0.9, (float,), low=0.5, high=1).allowed()
        'a number from 0.5 to 1'
        """
        if self.choices:
            return "one of " + ", ".join(map(str, self.choices))
        names = {int: "a whole number", float: "a finite number", bool: "True or False"}
        if self.low is not None and self.high is not None:
            names[float] = "a number"
        text = " or ".join(names[kind] for kind in self.kinds)
        if self.low is not None and self.high is not None:
            text += f" from {self.low:g} to {self.high:g}"
        elif self.low is not None:
            text += f" of at least {self.low:g}"
        return text + (" or None" if self.optional else "")


def _as_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _shown(value: Any) -> str:
    """Write a value for a message, shortened: a number may have thousands of digits."""
    try:
        text = repr(value)
    except ValueError:  # more digits than Python writes
        return f"a number of {value.bit_length()} bits"
    return text if len(text) <= 60 else f"{text[:57]}..."


def count(default: int | None, *, low: int = 1, optional: bool = False) -> Param:
    """Make a parameter for whole numbers of at least `low`.

    Examples
    --------
    >>> count(30, low=2).allowed()
    'a whole number of at least 2'
    """
    return Param(default, (int,), low=low, optional=optional)


def flag(default: bool) -> Param:  # noqa: FBT001 - the value of the flag
    """Make a parameter for True or False.

    Examples
    --------
    >>> flag(default=False).allowed()
    'True or False'
    """
    return Param(default, (bool,))

"""What an entry of the tables of methods is: its forms, its parameters and their rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..errors import InputError, unknown


class Fit(NamedTuple):
    """What a method is about to be fitted on.

    `neighbors(k, metric)` gives the k nearest neighbours of every sample, the sample itself counted
    and first: (distances, indices), both (n, k) on the device of the data.  `trees` holds the
    linkage trees of this space.  Both are shared by all methods of the space.
    """

    n: int
    d: int
    k: int | None
    seed: int
    trees: dict[tuple[str, str], Any]
    neighbors: Callable[[int, str], tuple[Any, Any]] | None = None


@dataclass(frozen=True)
class Param:
    """A parameter: its default and what it may be.

    `kinds` are the allowed types (a bool is never taken for a number), `low` and `high` bound
    numbers inclusively, `choices` lists the allowed words, `optional` allows None.
    """

    default: Any
    kinds: tuple[type, ...] = ()
    low: float | None = None
    high: float | None = None
    choices: tuple[Any, ...] = ()
    optional: bool = False

    def check(self, method: str, name: str, value: Any) -> Any:
        """Return the value (as a float where only floats are taken) or raise `InputError`."""
        if value is None and self.optional:
            return None
        if self.choices:
            if value not in self.choices:
                raise unknown(f"{name} of {method}", value, self.choices)
            return value
        if float in self.kinds and int not in self.kinds and type(value) is int:
            value = float(value)
        in_range = type(value) in self.kinds and self._within(value)
        if not in_range:
            raise InputError(f"{method}: {name} must be {self.allowed()}; got {value!r}.")
        return value

    def _within(self, value: Any) -> bool:
        if isinstance(value, bool):
            return True
        low_ok = self.low is None or value >= self.low
        return low_ok and (self.high is None or value <= self.high)

    def allowed(self) -> str:
        """Say in words what the parameter may be."""
        if self.choices:
            return "one of " + ", ".join(map(str, self.choices))
        names = {int: "a whole number", float: "a number", bool: "True or False"}
        text = " or ".join(names[kind] for kind in self.kinds)
        if self.low is not None and self.high is not None:
            text += f" from {self.low:g} to {self.high:g}"
        elif self.low is not None:
            text += f" of at least {self.low:g}"
        return text + (" or None" if self.optional else "")


def _nothing_to_check(name: str, params: Mapping[str, Any]) -> None:
    """Accept every combination."""


def _nothing_needed(params: Mapping[str, Any], fit: Fit) -> None:
    """Accept every size."""


@dataclass(frozen=True)
class Form:
    """A class that runs a method, and how our parameters become its keywords.

    Attributes
    ----------
    path : str
        ``"module:Class"``, imported when it is built.
    bind : callable (params, fit) -> dict
        The constructor's keywords.  A library's names and conventions are met here, nowhere else.
    takes : callable (params, fit) -> bool
        Whether this class can do what is asked; the next form of the method is tried otherwise.
    """

    path: str
    bind: Callable[[Mapping[str, Any], Fit], dict[str, Any]] = lambda params, fit: dict(params)
    takes: Callable[[Mapping[str, Any], Fit], bool] = lambda params, fit: True


@dataclass(frozen=True)
class Method:
    """One entry of a table.

    Attributes
    ----------
    summary : str
        One line for `gpuclust list`.
    cpu, gpu : tuple of Form
        In order of preference; empty where that side has no form of the method.
    params : mapping of str to Param
        The first one may be given without its name.
    check : callable (name, params)
        Raises `InputError` for combinations that can never work.
    needs : callable (params, fit)
        Raises `CellError` when this number of samples, dimensions or clusters cannot work.
    takes_k : bool
        Whether the number of clusters is an input; see `wants_k`.
    extra : str or None
        The optional dependency that brings it.
    """

    summary: str
    cpu: tuple[Form, ...]
    gpu: tuple[Form, ...]
    params: Mapping[str, Param] = field(default_factory=dict)
    check: Callable[[str, Mapping[str, Any]], None] = _nothing_to_check
    needs: Callable[[Mapping[str, Any], Fit], None] = _nothing_needed
    takes_k: bool = False
    extra: str | None = None

    def wants_k(self, params: Mapping[str, Any]) -> bool:
        """Whether the number of clusters is an input, given these parameters."""
        return self.takes_k and params.get("distance_threshold") is None

    def form(self, side: str, params: Mapping[str, Any], fit: Fit) -> Form | None:
        """Choose the form that runs on a side, ``cpu`` or ``gpu``; None when none can.

        Raises
        ------
        CellError
            When the method cannot work on data of this shape, whatever runs it.
        """
        self.needs(params, fit)
        return next((form for form in getattr(self, side) if form.takes(params, fit)), None)

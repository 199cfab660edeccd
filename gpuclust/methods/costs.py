"""Cost of a method: growth with the number of samples, and lower bounds of its work."""

from __future__ import annotations

from typing import NamedTuple

from .param import Params


class Growth(NamedTuple):
    """Growth of time and memory with the number of samples n.

    Attributes
    ----------
    power : float
        Time grows like n^power.
    bytes : (c, p) or None
        The largest buffer takes c n^p bytes; None when memory grows in proportion to n.
    """

    power: float
    bytes: tuple[float, float] | None = None


class Work(NamedTuple):
    """Lower bound of the work of a fit: bytes moved and float32 operations.

    Arrays smaller than n x n or n x d count as cached, so they are read from memory once.
    """

    moved: float
    operations: float


def linear(params: Params) -> Growth:
    """Time and memory in proportion to n, for every choice of parameters.

    Examples
    --------
    >>> linear({})
    Growth(power=1, bytes=None)
    """
    del params
    return Growth(1)


def quadratic(params: Params) -> Growth:
    """Time in proportion to n^2 and memory in proportion to n, for every choice of parameters.

    Examples
    --------
    >>> quadratic({})
    Growth(power=2, bytes=None)
    """
    del params
    return Growth(2)


def all_pairs(n: int, d: int, k: int) -> Work:
    """Count reading the samples once and computing each pairwise distance once.

    Examples
    --------
    >>> all_pairs(100, 10, 3)
    Work(moved=4000.0, operations=100000.0)
    """
    del k
    return Work(4.0 * n * d, 1.0 * n * n * d)

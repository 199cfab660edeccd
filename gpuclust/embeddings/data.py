"""An embedding in memory."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import array_api_compat

from ..errors import InputError
from ..vectors.values import release

_BLOCK = 2**23  # values that are checked together


class Samples(NamedTuple):
    """Names of the samples and of the classes; None where there are none.

    `paths` has one text per sample, in the order of the vectors; `class_names` one per class code.
    """

    paths: tuple[str, ...] | None = None
    class_names: tuple[str, ...] | None = None


@dataclass(frozen=True, eq=False)
class Data:
    """An embedding in memory, its classes and its fingerprint.

    Attributes
    ----------
    X : array (n, d)
        Vectors, float, on the device of the run or on the host.
    y : array (n,) or None
        Integer classes, on the same device.
    fingerprint : str
        Identifies the encoder, the preprocessing and the images; part of every key.
    labelled : array (n,) of bool, or None
        False for the samples without a label, whose `y` has no meaning.  None: every sample has
        one, or none has.
    names : callable () -> Samples
        Reads the paths of the samples and the names of the classes, when they are wanted.

    Examples
    --------
    >>> import numpy as np
    >>> Data(np.eye(3), np.array([0, 1, 1]), "my vectors").n_classes
    2
    """

    X: Any
    y: Any | None
    fingerprint: str
    labelled: Any | None = None
    names: Callable[[], Samples] = Samples

    @functools.cached_property
    def n_classes(self) -> int | None:
        """Number of true classes, None without labels; O(n log n), computed once."""
        if self.y is None:
            return None
        xp = array_api_compat.array_namespace(self.y)
        y = self.y if self.labelled is None else self.y[self.labelled]
        return int(xp.unique_values(y).shape[0])

    @functools.cached_property
    def n_labelled(self) -> int:
        """Number of samples with a label."""
        if self.y is None:
            return 0
        if self.labelled is None:
            return int(self.y.shape[0])
        xp = array_api_compat.array_namespace(self.labelled)
        return int(xp.count_nonzero(self.labelled))


def check_finite(X: Any, name: str) -> None:
    """Raise `InputError` unless `X` is a non-empty (n, d) array without NaN or infinity."""
    if X.ndim != 2 or 0 in X.shape:
        raise InputError(
            f"the embedding of {name} must be a non-empty (n, d) array; got {X.shape}."
        )
    xp = array_api_compat.array_namespace(X)
    count, first = 0, 0
    rows = max(1, _BLOCK // X.shape[1])
    for start in range(0, X.shape[0], rows):  # a mapped file of any size fits into memory
        stop = min(start + rows, X.shape[0])
        bad = ~xp.all(xp.isfinite(X[start:stop, :]), axis=1)
        found = int(xp.count_nonzero(bad))
        if found and not count:
            first = start + int(xp.argmax(xp.astype(bad, xp.int8)))
        count += found
        release(X)
    if count:
        raise InputError(
            f"the embedding of {name} has NaN or infinite values in {count} of {X.shape[0]} "
            f"samples, first in row {first}. Embed again, or remove these samples."
        )

"""An embedding in memory."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import array_api_compat

from ..errors import InputError


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

    Examples
    --------
    >>> import numpy as np
    >>> Data(np.eye(3), np.array([0, 1, 1]), "my vectors").n_classes
    2
    """

    X: Any
    y: Any | None
    fingerprint: str

    @functools.cached_property
    def n_classes(self) -> int | None:
        """Number of true classes, None without labels; O(n log n), computed once."""
        if self.y is None:
            return None
        xp = array_api_compat.array_namespace(self.y)
        return int(xp.unique_values(self.y).shape[0])


def check_finite(X: Any, name: str) -> None:
    """Raise `InputError` unless `X` is a non-empty (n, d) array without NaN or infinity."""
    if X.ndim != 2 or 0 in X.shape:
        raise InputError(
            f"the embedding of {name} must be a non-empty (n, d) array; got {X.shape}."
        )
    xp = array_api_compat.array_namespace(X)
    bad = ~xp.all(xp.isfinite(X), axis=1)
    count = int(xp.count_nonzero(bad))
    if count:
        first = int(xp.argmax(xp.astype(bad, xp.int8)))
        raise InputError(
            f"the embedding of {name} has NaN or infinite values in {count} of {X.shape[0]} "
            f"samples, first in row {first}. Embed again, or remove these samples."
        )

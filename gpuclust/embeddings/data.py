"""An embedding in memory."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import array_api_compat

from ..errors import InputError


@dataclass(frozen=True, eq=False)
class Data:
    """An embedding and what is known of it.

    X is (n, d) float, y (n,) integer classes or None, both on the device of the run or on the host;
    `fingerprint` identifies the encoder, the preprocessing and the images, and is part of every
    key.
    """

    X: Any
    y: Any | None
    fingerprint: str

    @functools.cached_property
    def n_classes(self) -> int | None:
        """The number of true classes, None without labels: O(n log n) once, all cells ask."""
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

"""Compilation of loops by numba, without reordering sums."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def compiled(function: Callable) -> Callable:
    """Compile `function` by numba; it releases the GIL, and its sums keep their order.

    The machine code is cached on disk where that can be written.
    `gpuclust.device.threads.compiled` differs in that the compiler may reorder sums.
    """
    # Loops vectorize once NaN and the sign of zero are ruled out; -inf keeps its meaning.
    options: dict[str, Any] = {"nogil": True, "fastmath": {"nnan", "nsz", "contract"}}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # neither the package nor the home directory can be written to
        return numba.njit(**options)(function)

"""Affinity propagation's messages as full matrices, on any array namespace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import array_api_compat

from ...arrays.indexing import diagonal_mask


class ArrayMessages:
    """Messages between n samples, with the methods of `sparse_messages.SparseMessages`.

    Responsibilities and availabilities are matrices (n, n) of float32: 8 n^2 bytes.  An iteration
    reads and writes 20 n^2 bytes.

    Parameters
    ----------
    S : array (n, n), float32
        Similarities, with the preferences on the diagonal; only read.
    damping : float
        Weight of the old message, in [0.5, 1).
    """

    def __init__(self, S: Any, damping: float):
        self._xp = array_api_compat.array_namespace(S)
        self._similarity, self._damping = S, damping
        self._responsibility = self._xp.zeros_like(S)
        self._availability = self._xp.zeros_like(S)

    @property
    def self_responsibility(self) -> Any:
        """Responsibility r(i, i) of each sample for itself, (n,) float32."""
        return self._xp.linalg.diagonal(self._responsibility)

    def iteration(self, total: Any) -> Callable[[int, int], Any]:
        """Start an iteration from the column sums `total` (n,), float32, of the last one.

        Returns
        -------
        function
            ``update(start, stop)`` updates the messages of these rows, availabilities first, and
            returns their part (n,) of the next column sums.
        """

        def update(start: int, stop: int) -> Any:
            diagonal = diagonal_mask(self._xp, self._similarity, start, stop)
            self._update_availabilities(start, stop, total, diagonal)
            self._update_responsibilities(start, stop)
            return self._positive_sums(start, stop, diagonal)

        return update

    def _update_availabilities(self, start: int, stop: int, total: Any, diagonal: Any) -> None:
        xp, R = self._xp, self._responsibility[start:stop, :]
        zeros = xp.zeros_like(R)
        new = total[None, :] - xp.where(diagonal, R, xp.maximum(R, zeros))
        new = xp.where(diagonal, new, xp.minimum(new, zeros))  # self-availability is not capped
        old = self._availability[start:stop, :]
        self._availability[start:stop, :] = self._damping * old + (1 - self._damping) * new

    def _update_responsibilities(self, start: int, stop: int) -> None:
        xp, S = self._xp, self._similarity[start:stop, :]
        sums = self._availability[start:stop, :] + S
        columns = xp.arange(S.shape[1], device=array_api_compat.device(S))
        best = xp.argmax(sums, axis=1, keepdims=True) == columns[None, :]
        first = xp.max(sums, axis=1, keepdims=True)
        sums = xp.where(best, xp.full_like(sums, float("-inf")), sums)
        second = xp.max(sums, axis=1, keepdims=True)
        old, new = self._responsibility[start:stop, :], S - xp.where(best, second, first)
        self._responsibility[start:stop, :] = self._damping * old + (1 - self._damping) * new

    def _positive_sums(self, start: int, stop: int, diagonal: Any) -> Any:
        xp, R = self._xp, self._responsibility[start:stop, :]
        positive = xp.where(diagonal, R, xp.maximum(R, xp.zeros_like(R)))
        return xp.astype(xp.sum(positive, axis=0, dtype=xp.float64), R.dtype)

    def restore(self) -> None:
        """Do nothing: S was only read."""

"""Affinity propagation on NumPy without storing the matrices of messages.

Notation of Frey and Dueck (2007): similarity s(i, j), responsibility r(i, j), availability a(i, j).
With damping factor ``keep`` and ``change = 1 - keep``, let ``max1_i`` and ``max2_i`` be the two
largest a + s of row i, and ``total_j`` the sum over column j of max(r, 0), on the diagonal of r.

Responsibilities need no matrix.  The damped update is::

    r' = keep r + change (s - max1_i)         in the column of the maximum: s - max2_i

From r = 0 on, it follows by induction that::

    r = scale s - offset_i + bonus
    scale' = keep scale + change
    offset_i' = keep offset_i + change max1_i
    bonus' = keep bonus                       plus change (max1_i - max2_i)
                                              in the column of the maximum

A bonus is nonzero only in columns that once had the maximum of the row.  These are *tracked*: a few
per row, in a list of their own, and hidden in S.

Availabilities hardly need a matrix.  Off the diagonal the damped update is::

    a' = keep a + change min(total_j - max(r, 0), 0)

Wherever ``r <= max(total_j, 0)``, the new part is ``min(total_j, 0)`` for all rows: one *common*
availability per column is enough.  Columns are cut into *segments* of 64.  A segment of a row is
*stored* in the matrix A from the first responsibility above that threshold on, until every a + s in
it equals the value by the common availability.  With scikit-learn's default preference, stored
segments hold about as many pairs as the clusters do.

Most other segments are not even read.  The largest similarity of a segment shows whether it can
contribute to a sum, exceed a threshold, or hold one of the two largest a + s.  An iteration
therefore reads the pairs within clusters and few others, if neighbors have adjacent numbers, see
`similarity.locality_order`.  In the worst case it reads all of S and A.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from . import kernels
from .kernels import SEGMENT
from .similarity import empty_matrix
from .state import Columns, State, Step

_SLOTS = 8  # tracked columns per row, at first


class SparseMessages:
    """Messages between n samples.  Memory: at most 4 n^2 bytes besides S.

    Parameters
    ----------
    S : ndarray (n, n), float32, C-contiguous
        Similarities, with the preferences on the diagonal.  Some entries are overwritten until
        `restore` is called.
    damping : float
        Weight of the old message, in [0.5, 1).
    """

    def __init__(self, S: np.ndarray, damping: float):
        n = S.shape[0]
        self._damping, self._scale = damping, 0.0
        self._common = np.zeros(n, np.float32)
        self._starts = np.arange(0, n, SEGMENT)
        segment_max = np.empty((n, len(self._starts)), np.float32)
        self._state = State(
            similarity=S,
            availability=empty_matrix(n),
            segment_max=segment_max,
            offset=np.zeros(n),
            self_responsibility=np.zeros(n, np.float32),
            rival=np.zeros(n, np.int64),
            # Each row tracks the diagonal first: self-availability has an update of its own.
            tracked=np.repeat(np.arange(n, dtype=np.int32)[:, None], _SLOTS, axis=1),
            tracked_similarity=np.zeros((n, _SLOTS), np.float32),
            tracked_bonus=np.zeros((n, _SLOTS), np.float32),
            tracked_availability=np.zeros((n, _SLOTS), np.float32),
            tracked_count=np.ones(n, np.int64),
            stored=np.empty(segment_max.shape, np.int32),
            stored_count=np.zeros(n, np.int64),
        )
        kernels.hide_diagonal(S, segment_max, self._state.tracked_similarity)

    @property
    def self_responsibility(self) -> np.ndarray:
        """Responsibility r(i, i) of each sample for itself, (n,) float32."""
        return self._state.self_responsibility

    def iteration(self, total: np.ndarray) -> Callable[[int, int], np.ndarray]:
        """Start an iteration from the column sums `total` (n,), float32, of the last one.

        Returns
        -------
        function
            ``update(start, stop)`` updates the messages of these rows, availabilities first, and
            returns their part (n,) of the next column sums.  Each row must be updated once.
        """
        scale = self._scale
        self._scale = self._damping * scale + (1 - self._damping)
        step = Step(self._damping, np.float32(scale), np.float32(self._scale))
        if self._state.tracked_count.max() == self._state.tracked.shape[1]:
            self._double_slots()
        previous, state = self._common, self._state
        self._common = kernels.common_availability(previous, total, self._damping)
        threshold = np.maximum(total, np.float32(0))
        columns = Columns(
            total=total,
            previous=previous,
            common=self._common,
            threshold=threshold,
            segment_threshold=np.minimum.reduceat(threshold, self._starts),
            segment_common=np.maximum.reduceat(self._common, self._starts),
        )

        def update(start: int, stop: int) -> np.ndarray:
            sums = np.zeros_like(total)
            kernels.update_rows(state, columns, step, (start, stop), sums)
            return sums

        return update

    def _double_slots(self) -> None:
        names = ("tracked", "tracked_similarity", "tracked_bonus", "tracked_availability")
        wider = {}
        for name in names:
            values = getattr(self._state, name)
            wider[name] = np.concatenate([values, np.zeros_like(values)], axis=1)
        self._state = self._state._replace(**wider)

    def restore(self) -> None:
        """Write the hidden entries back to S; no message can be updated afterwards."""
        state = self._state
        kernels.unhide(
            state.similarity, state.tracked, state.tracked_similarity, state.tracked_count
        )

"""The messages of affinity propagation on NumPy: no matrix of them, and S is hardly read.

Responsibilities need no matrix.  Damped by ``keep = 1 - change`` they follow

    R' = keep R + change (S - first),  first_i = max_j (A + S)_ij

except where a row has its maximum, which counts the second largest there.  From R = 0 on, so::

    R = share S - below_i + extra
    share' = keep share + change,  below' = keep below + change first

and ``extra`` is not zero only where a row ever had its maximum: the chosen columns, a few per row.

Availabilities hardly need one.  Away from the diagonal they follow

    A' = keep A + change min(total_j - max(R, 0), 0)

which is the same for all rows of a column wherever R <= max(total_j, 0): one number per column, the
common one.  Columns are taken in runs; where a run of a row has an exception, the run is kept in A,
until no a + s of it differs from what the common ones give.  With scikit-learn's preference
exceptions are about as many as pairs within a cluster.

Most runs that are not kept need not be read either: their largest similarity tells whether one may
hold a responsibility above 0, which sums and exceptions come from, or one of the two largest a + s.
So an iteration reads the runs within clusters, and few others, where the samples are in an order
that has neighbours side by side; wherever they are not, at worst all of S and A.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .numpy_engine import LEAF, compiled, untouched

_SLOTS = 8
_RUN = LEAF  # columns
# What is chosen is hidden in S, and kept beside it, as are the peaks of runs that are kept.  It is
# finite, as the first share is 0.
_HIDDEN = np.float32(-np.finfo(np.float32).max)


class Messages:
    """What follows from which; see the module.

    Parameters
    ----------
    S : array (n, n), float32, C-contiguous
        Similarities; a few are hidden, until `restore`.
    damping : float
        Share of the old message that is kept.

    Attributes
    ----------
    own : array (n,), float32
        Responsibility of each sample for itself.
    """

    def __init__(self, S: np.ndarray, damping: float):
        n = S.shape[0]
        self._matrices, self._damping, self._shares = (S, untouched(n)), damping, (0.0, 0.0)
        self._below, self.own = np.zeros(n), np.zeros(n, np.float32)
        self._common, self._rivals = np.zeros(n, np.float32), np.zeros(n, np.int64)
        self._starts = np.arange(0, n, _RUN)
        self._peaks = np.empty((n, len(self._starts)), np.float32)
        self._runs, self._kept = np.empty(self._peaks.shape, np.int32), np.zeros(n, np.int64)
        # The first column chosen is the sample's own, which has rules of its own in any case.
        self._columns = np.repeat(np.arange(n, dtype=np.int32)[:, None], _SLOTS, axis=1)
        self._chosen = np.zeros((3, n, _SLOTS), np.float32)  # similarity, extra, availability
        self._used = np.ones(n, np.int64)
        _begin(S, self._peaks, self._chosen[0])

    def given(self, total: np.ndarray) -> Callable[[int, int], np.ndarray]:
        """Return the function that passes the messages of the rows a:b, for the next iteration.

        It starts with the availabilities that follow from `total` (n,), the sums by column of
        max(R, 0), and of R on the diagonal.  It returns what its rows add to the next `total`.
        """
        share = self._shares[1]
        self._shares = share, self._damping * share + (1 - self._damping)
        factors = self._damping, *(np.float32(share) for share in self._shares)
        if self._used.max() == self._columns.shape[1]:
            self._columns = np.concatenate([self._columns, self._columns], axis=1)
            self._chosen = np.concatenate([self._chosen, np.zeros_like(self._chosen)], axis=2)
        chosen = self._columns, *self._chosen, self._used
        before, self._common = self._common, _damped(self._common, total, self._damping)
        # Above which responsibilities are exceptions, and what of it is known of a whole run.
        bars = np.maximum(total, np.float32(0))
        floors = np.minimum.reduceat(bars, self._starts)
        heights = np.maximum.reduceat(self._common, self._starts)
        by_column = total, before, self._common, bars, floors, heights
        by_row = self._below, self.own, self._peaks, self._rivals
        lists = chosen, (self._runs, self._kept)

        def rows(a: int, b: int) -> np.ndarray:
            sums = np.zeros_like(total)
            _pass_rows(self._matrices, (a, b), factors, (by_column, by_row, sums), lists)
            return sums

        return rows

    def restore(self) -> None:
        """Give S back what is hidden; no message can be passed any more."""
        _restore(self._matrices[0], self._columns, self._chosen[0], self._used)


@compiled
def _begin(S, peaks, similar):
    for i in range(len(S)):
        similar[i, 0], S[i, i] = S[i, i], _HIDDEN
        for q in range(peaks.shape[1]):
            peaks[i, q] = _peak(S[i], q)


@compiled
def _restore(S, columns, similar, used):
    for i in range(len(S)):
        for k in range(used[i]):
            S[i, columns[i, k]] = similar[i, k]


@compiled
def _peak(s, q):
    most = _HIDDEN
    for j in range(q * _RUN, min(q * _RUN + _RUN, len(s))):
        most = max(most, s[j])
    return most


@compiled
def _damped(common, total, damping):
    """Return the common availabilities of this iteration."""
    keep, change, zero = np.float32(damping), np.float32(1 - damping), np.float32(0)
    now = np.empty_like(common)
    for j in range(len(now)):
        now[j] = keep * common[j] + change * min(total[j], zero)
    return now


@compiled
def _pass_rows(matrices, rows, factors, vectors, lists):
    (S, A), (damping, share, next_share) = matrices, factors
    by_column, (below, own, all_peaks, rivals), sums = vectors
    (columns, similar, extra, available, used), (runs, counts) = lists
    weights = np.float32(damping), np.float32(1 - damping)
    hits = np.empty(runs.shape[1] + 1, np.int64)
    for i in range(rows[0], rows[1]):
        row, r = (S[i], A[i], all_peaks[i]), (share, np.float32(below[i]))
        few, some = (columns[i], similar[i], extra[i], available[i]), runs[i]
        top = _update_chosen(i, by_column[0], (r, weights), few, used[i])
        count = _keep_more(row, by_column, r, some, counts[i])
        left = _update(row, by_column, (r, weights), some, count)
        top, rivals[i] = _searched(row, by_column, (some, count, hits), rivals[i], top)
        first, second, best = top
        below[i] = damping * below[i] + (1 - damping) * first
        place = _reward(few, used[i], (best, weights[0], weights[1] * (first - second)))
        if place == used[i]:
            used[i] += 1
            _choose(row, by_column[2], best, few, place)
        for k in range(left, count):
            row[2][some[k]] = _peak(row[0], some[k])
        counts[i], r = left, (next_share, np.float32(below[i]))
        own[i] = _add_positive(i, (row, sums), r, (few, used[i]), (some, left))


# ---- the chosen columns -------------------------------------------------------------------------


@compiled
def _update_chosen(i, total, factors, few, used):
    """Pass their messages; return the two largest a + s of them, and where the first one is."""
    ((share, below), (keep, change)), (columns, similar, extra, available) = factors, few
    zero, first, second = np.float32(0), np.float32(-np.inf), np.float32(-np.inf)
    best = 0
    for k in range(used):
        j = columns[k]
        responsibility = share * similar[k] - below + extra[k]
        if j == i:  # a sample's availability to itself is not capped at 0
            new = total[j] - responsibility
        else:
            new = min(total[j] - max(responsibility, zero), zero)
        available[k] = keep * available[k] + change * new
        value = available[k] + similar[k]
        if value > first:
            first, second, best = value, first, j
        else:
            second = max(second, value)
    return first, second, best


@compiled
def _reward(few, used, bonus):
    """Damp what is added, and add the bonus of the best column; return its place in the list."""
    (columns, _, extra, _), (best, keep, more) = few, bonus
    found = used
    for k in range(used):
        extra[k] *= keep
        if columns[k] == best:
            found = k
    columns[found] = best
    extra[found] += more
    return found


@compiled
def _choose(row, now, j, few, place):
    """Keep the column in this place, and hide it."""
    (s, a, peaks), (_, similar, _, available), q = row, few, j // _RUN
    is_kept = peaks[q] == _HIDDEN
    similar[place], available[place] = s[j], a[j] if is_kept else now[j]
    s[j] = _HIDDEN
    if not is_kept:
        peaks[q] = _peak(s, q)


# ---- the runs that are kept ---------------------------------------------------------------------


@compiled
def _keep_more(row, by_column, r, some, count):
    """Keep the runs with new exceptions; return how many are kept then."""
    (s, a, peaks), (_, before, _, bars, floors, _) = row, by_column
    if _any_above(peaks, floors, r):
        for q in range(len(peaks)):
            run = slice(q * _RUN, min(q * _RUN + _RUN, len(s)))
            if r[0] * peaks[q] - r[1] > floors[q] and _any_above(s[run], bars[run], r):
                a[run] = before[run]
                peaks[q] = _HIDDEN
                some[count] = q
                count += 1
    return count


@compiled
def _any_above(s, bars, r):
    (share, below), above = r, 0
    for j in range(len(s)):
        above += share * s[j] - below > bars[j]
    return above > 0


@compiled
def _update(row, by_column, factors, some, count):
    """Pass the messages of the runs that are kept; return how many still are exceptions.

    Those come first in the list then.
    """
    (s, a, _), (total, _, now, _, _, _), left = row, by_column, 0
    for k in range(count):
        q = some[k]
        run = slice(q * _RUN, min(q * _RUN + _RUN, len(s)))
        differ = _update_run((s[run], a[run], total[run], now[run]), factors)
        some[k], some[left] = some[left], q
        left += differ > 0
    return left


@compiled
def _update_run(vectors, factors):
    (s, a, total, now), ((share, below), (keep, change)) = vectors, factors
    zero, differ = np.float32(0), 0
    for j in range(len(s)):
        new = min(total[j] - max(share * s[j] - below, zero), zero)
        a[j] = keep * a[j] + change * new
        differ += a[j] + s[j] != now[j] + s[j]
    return differ


# ---- any run ------------------------------------------------------------------------------------


@compiled
def _searched(row, by_column, kept, rival, top):
    """Return the two largest a + s and where the first one is, given those of the chosen columns.

    Return, too, where the largest one is that is not chosen, which was `rival` the last time.
    """
    (s, a, peaks), (_, _, now, _, _, heights), (some, count, hits) = row, by_column, kept
    # The second largest is no less in the end: what the rival has comes from no chosen column.
    other = a[rival] if peaks[rival // _RUN] == _HIDDEN else now[rival]
    bound, best = max(top[1], min(top[0], other + s[rival])), (np.float32(-np.inf), rival)
    for k in range(count):
        top, best = _search_run((s, a), some[k], bound, top, best)
        bound = max(bound, top[1])
    more = 0
    for q in range(len(peaks)):
        hits[more] = q
        more += peaks[q] + heights[q] >= bound
    for k in range(more):
        top, best = _search_run((s, now), hits[k], bound, top, best)
        bound = max(bound, top[1])
    return top, best[1]


@compiled
def _search_run(vectors, q, bound, top, other):
    s, a = vectors
    run = slice(q * _RUN, min(q * _RUN + _RUN, len(s)))
    some, more = s[run], a[run]
    if _any_from(some, more, bound):
        (first, second, best), (most, rival) = top, other
        for j in range(len(some)):
            value = some[j] + more[j]
            if value > most:
                most, rival = value, run.start + j
            if value > first:
                first, second, best = value, first, run.start + j
            else:
                second = max(second, value)
        return (first, second, best), (most, rival)
    return top, other


@compiled
def _any_from(s, a, bound):
    found = 0
    for j in range(len(s)):
        found += s[j] + a[j] >= bound
    return found > 0


@compiled
def _add_positive(i, vectors, r, chosen, kept):
    """Add max(R, 0) of row i to the sums, R itself at i; return this R."""
    ((s, _, peaks), sums), (share, below), zero = vectors, r, np.float32(0)
    above = 0
    for q in range(len(peaks)):
        above += share * peaks[q] - below > zero
    for q in range(len(peaks) if above else 0):
        if share * peaks[q] - below > zero:
            _add_run(s, sums, q, r)
    for k in range(kept[1]):
        _add_run(s, sums, kept[0][k], r)
    (columns, similar, extra, _), used = chosen
    own = np.float32(0)
    for k in range(used):
        responsibility = share * similar[k] - below + extra[k]
        if columns[k] == i:
            own = responsibility
            sums[i] += own
        else:
            sums[columns[k]] += max(responsibility, zero)
    return own


@compiled
def _add_run(s, sums, q, r):
    (share, below), zero = r, np.float32(0)
    run = slice(q * _RUN, min(q * _RUN + _RUN, len(s)))
    some, more = sums[run], s[run]
    for j in range(len(some)):
        some[j] += max(share * more[j] - below, zero)

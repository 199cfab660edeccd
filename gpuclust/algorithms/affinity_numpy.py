"""Affinity propagation on NumPy: similarities and messages in compiled threads, on two matrices.

The responsibilities need no matrix.  Damped by ``keep = 1 - change`` they follow

    R' = keep R + change (S - first),  first_i = max_j (A + S)_ij

except where a row has its maximum, which counts the second largest there.  From R = 0 on, so::

    R = share S - below_i + extra
    share' = keep share + change,  below' = keep below + change first

and ``extra`` is not zero only where a row ever had its maximum: a few columns per row, listed.  An
iteration reads S and A and writes A, 12 n^2 bytes, and rounds R less than the recurrence does.
"""

from __future__ import annotations

from collections.abc import Callable

import numba
import numpy as np

from ..gaps import one_blas_thread

# Columns of a row whose maxima are taken side by side: without an order between them, the compiler
# uses vectors, which it does not for the maximum of a row of floats.
_LANES = 512
_SLOTS = 8
# Pairs of uniform numbers that become normal ones at a time.
_PAIRS = 1 << 15
# Rows of products in float64 at a time: they stay in the cache of a core.
_STEP = 32
# Pairs with a squared distance of less than this share of their norms are evaluated again.
_CLOSE = 2e-6


def fill(S: np.ndarray, X: np.ndarray, over_rows: Callable) -> None:
    """Set S (n, n) to minus the squared distances of the centred rows X (n, d), float64.

    As `gram.squared_blocks` has them, but with no block of distances between: fresh memory and
    waiting for a core that draws noise would take ten times as long as the products.
    """
    norms, n = np.vecdot(X, X), X.shape[0]

    def rows(a: int, b: int) -> None:
        products = np.empty((_STEP, n))
        for start in range(a, b, _STEP):
            stop = min(start + _STEP, b)
            block = np.matmul(X[start:stop], X.T, out=products[: stop - start])
            _to_similarities(block, start, (X, norms), S)

    # Threads of BLAS wait in a loop for one another, so these here take one each.
    with one_blas_thread():
        over_rows(rows)


def draw(random: np.random.RandomState, A: np.ndarray) -> None:
    """Fill A, float32, with the numbers that ``random.standard_normal(A.shape)`` gives, row by row.

    A third of its time: the same polar method (Marsaglia, 1964), compiled, from the same uniform
    numbers.  `random` is left further on than by its own method.
    """
    flat, filled = A.reshape(-1), 0
    if random.get_state(legacy=False)["has_gauss"]:
        flat[:1], filled = random.standard_normal(), 1
    some = np.empty(2 * _PAIRS, A.dtype)
    while filled < flat.size:
        count = min(_to_normal(random.random_sample(2 * _PAIRS), some), flat.size - filled)
        flat[filled : filled + count] = some[:count]
        filled += count


class Messages:
    """Availabilities, in `A`, and what gives the responsibilities; see the module.

    Parameters
    ----------
    S, A : array (n, n), float32
        Similarities, and zeros; S is read and A is ours from here on.
    damping : float
        Share of the old message that is kept.

    Attributes
    ----------
    own : array (n,), float32
        Responsibility of each sample for itself.
    """

    def __init__(self, S: np.ndarray, A: np.ndarray, damping: float):
        n = S.shape[0]
        self._matrices, self._damping, self._shares = (S, A), damping, (0.0, 0.0)
        self._below, self.own = np.zeros(n), np.zeros(n, np.float32)
        # The first column listed is the sample's own, which has rules of its own in any case.
        self._columns = np.repeat(np.arange(n, dtype=np.int32)[:, None], _SLOTS, axis=1)
        self._extra = np.zeros((n, _SLOTS), np.float32)
        self._used = np.ones(n, np.int64)

    def given(self, total: np.ndarray) -> Callable[[int, int], np.ndarray]:
        """Return the function that passes the messages of the rows a:b, for the next iteration.

        It starts with the availabilities that follow from `total` (n,), the sums by column of
        max(R, 0), and of R on the diagonal.  It returns what its rows add to the next `total`.
        """
        share = self._shares[1]
        self._shares = share, self._damping * share + (1 - self._damping)
        if self._used.max() == self._columns.shape[1]:
            self._columns = np.concatenate([self._columns, self._columns], axis=1)
            self._extra = np.concatenate([self._extra, np.zeros_like(self._extra)], axis=1)
        shares = tuple(np.float32(share) for share in self._shares)
        listed = self._columns, self._extra, self._used

        def rows(a: int, b: int) -> np.ndarray:
            sums = np.zeros_like(total)
            vectors = total, sums, self._below, self.own
            _pass_rows(self._matrices, (a, b), (self._damping, *shares), vectors, listed)
            return sums

        return rows


def _compiled(function: Callable) -> Callable:
    # Without NaN and without signed zeros loops are vectorised; -inf keeps its meaning.
    options = {"nogil": True, "fastmath": {"nnan", "nsz", "contract"}}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # neither the package nor the home can be written to
        return numba.njit(**options)(function)


# The kernels are functions of the module: numba's cache never finds one that closes over another.
@_compiled
def _to_normal(uniform, out):
    """Make normal numbers of pairs of uniform ones; return how many there are, at most as many."""
    x, y, r = np.empty(_LANES), np.empty(_LANES), np.empty(_LANES)
    done = 0
    for first in range(0, len(uniform), 2 * _LANES):
        pairs, some = uniform[first : first + 2 * _LANES], 0
        for i in range(len(pairs) // 2):
            a, b = 2 * pairs[2 * i] - 1, 2 * pairs[2 * i + 1] - 1
            x[some], y[some], r[some] = a, b, a * a + b * b
            some += (r[some] < 1) & (r[some] > 0)  # the next one overwrites what is outside
        for i in range(some):
            factor = np.sqrt(-2 * np.log(r[i]) / r[i])
            out[done + 2 * i], out[done + 2 * i + 1] = factor * y[i], factor * x[i]
        done += 2 * some
    return done


@_compiled
def _to_similarities(products, start, points, S):
    X, norms = points
    for k in range(len(products)):
        row, i = products[k], start + k
        limit = -_CLOSE * norms[i]
        # The row itself is always near, but where all is zero.
        if _scale(row, (norms[i], limit), norms, S[i]) > 1:
            for j in range(len(row)):
                if row[j] > limit:
                    S[i, j] = _minus_squared_gap(X[i], X[j])
        S[i, i] = 0


@_compiled
def _scale(row, factors, norms, s):
    """Make similarities of products, in both dtypes, and count those above the limit."""
    (norm, limit), near = factors, 0
    for j in range(len(row)):
        row[j] = (row[j] + row[j]) - norm - norms[j]
        near += row[j] > limit
        s[j] = row[j]
    return near


@_compiled
def _minus_squared_gap(x, y):
    total = 0.0
    for f in range(len(x)):
        total -= (x[f] - y[f]) ** 2
    return total


@_compiled
def _pass_rows(matrices, rows, factors, vectors, listed):
    (S, A), (damping, share, next_share) = matrices, factors
    (total, sums, below, own), (columns, extra, used) = vectors, listed
    weights = np.float32(damping), np.float32(1 - damping)
    lanes, kept = np.empty(_LANES, np.float32), np.empty(columns.shape[1], np.float32)
    for i in range(rows[0], rows[1]):
        s, a, r = S[i], A[i], (share, np.float32(below[i]))
        _set_aside(i, (s, a, total), r, weights, (columns[i], extra[i], kept[: used[i]]))
        lanes[:] = -np.inf
        for j in range(0, len(s), _LANES):
            piece = slice(j, min(j + _LANES, len(s)))
            _make_available(s[piece], a[piece], total[piece], (r, weights), lanes)
        _put_back((s, a), lanes, (columns[i], kept[: used[i]]))
        first, second, best = _two_largest(s, a, lanes)
        below[i] = damping * below[i] + (1 - damping) * first
        bonus = weights[1] * (first - second)
        used[i] = _list(columns[i], extra[i], used[i], (best, weights[0], bonus))
        r = next_share, np.float32(below[i])
        own[i] = _add_positive(i, (s, sums), r, (columns[i], extra[i], kept, used[i]))


@_compiled
def _set_aside(i, vectors, r, weights, listed):
    """Keep the availabilities of the listed columns, and hide these from the maximum."""
    (s, a, total), (share, below), (keep, change) = vectors, r, weights
    columns, extra, kept = listed
    zero = np.float32(0)
    for k in range(len(kept)):
        j = columns[k]
        responsibility = share * s[j] - below + extra[k]
        if j == i:  # a sample's availability to itself is not capped at 0
            available = total[j] - responsibility
        else:
            available = min(total[j] - max(responsibility, zero), zero)
        kept[k] = keep * a[j] + change * available
        a[j] = -np.inf


@_compiled
def _make_available(s, a, total, factors, lanes):
    (share, below), (keep, change) = factors
    zero = np.float32(0)
    for j in range(len(s)):
        available = min(total[j] - max(share * s[j] - below, zero), zero)
        available = keep * a[j] + change * available
        a[j] = available
        lanes[j] = max(lanes[j], available + s[j])


@_compiled
def _put_back(vectors, lanes, listed):
    (s, a), (columns, kept) = vectors, listed
    for k in range(len(kept)):
        j = columns[k]
        a[j] = kept[k]
        lanes[j % _LANES] = max(lanes[j % _LANES], a[j] + s[j])


@_compiled
def _two_largest(s, a, lanes):
    """Find the two largest a + s, given the maxima of the lanes, and where the first one is."""
    top = second = np.float32(-np.inf)
    lane = 0
    for k in range(len(lanes)):
        value = lanes[k]
        if value > second:
            if value > top:
                top, second, lane = value, top, k
            else:
                second = value
    first, best = np.float32(-np.inf), lane
    for j in range(lane, len(s), _LANES):
        value = a[j] + s[j]
        if value > first:
            first, second, best = value, max(first, second), j
        else:
            second = max(second, value)
    return first, second, best


@_compiled
def _list(columns, extra, used, bonus):
    """Damp what is added, and add the bonus of the best column; return how many are listed."""
    best, keep, more = bonus
    found = used
    for k in range(used):
        extra[k] *= keep
        if columns[k] == best:
            found = k
    columns[found] = best
    extra[found] += more
    return max(used, found + 1)


@_compiled
def _add_positive(i, vectors, r, listed):
    """Add max(R, 0) of row i to the sums, R itself at i; return this R."""
    (s, sums), (share, below), (columns, extra, kept, used) = vectors, r, listed
    zero = own = np.float32(0)
    for k in range(used):
        kept[k] = sums[columns[k]]
    for j in range(len(s)):
        sums[j] += max(share * s[j] - below, zero)
    for k in range(used):
        j = columns[k]
        responsibility = share * s[j] - below + extra[k]
        if j == i:
            own = responsibility
        else:
            responsibility = max(responsibility, zero)
        sums[j] = kept[k] + responsibility
    return own

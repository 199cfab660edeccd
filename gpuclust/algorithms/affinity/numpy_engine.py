"""Similarities of affinity propagation on NumPy, and scikit-learn's noise: compiled, in threads.

`gpuclust.algorithms.affinity.messages` has the messages.
"""

from __future__ import annotations

import collections
import contextlib
import errno
import itertools
import mmap
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np

from ...device.threads import one_blas_thread

# Samples at least that are told to be neighbours.
LEAF = 64
# Rows of noise at a time.
_ROWS = 32
# Pairs that the polar method tries at a time.
_LANES = 512
# Pairs of uniform numbers that become normal ones at a time.
_PAIRS = 1 << 15
# Rows of products in float64 at a time: they stay in the cache of a core.
_STEP = 32
# Pairs with a squared distance of less than this share of their norms are evaluated again.
_CLOSE = 2e-6


def untouched(n: int) -> np.ndarray:
    """Return a matrix (n, n) of float32 whose pages become memory once they are written to.

    NumPy's own asks for huge pages: a few runs in each row would make all of it memory, and where
    memory is in small pieces the kernel takes a second for what a matrix of 10,000 rows needs.
    Raises MemoryError, as NumPy's own does.
    """
    try:
        pages = mmap.mmap(-1, 4 * n * n)
    except OSError as error:
        if error.errno != errno.ENOMEM:
            raise
        raise MemoryError(f"{4 * n * n} bytes for the similarities of {n} samples") from error
    if hasattr(mmap, "MADV_NOHUGEPAGE"):  # Linux; some have huge pages unasked
        with contextlib.suppress(OSError):  # a kernel that knows none refuses
            pages.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(pages, np.float32).reshape(n, n)


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


def neighbours_side_by_side(X: np.ndarray) -> np.ndarray:
    """Return an order (n,) of the rows of X (n, d) in which most have near ones around them.

    That of the leaves of a k-d tree.  O(n d log n), the variances of each part.
    """
    order, parts = np.arange(len(X)), [(0, len(X))]
    while parts:
        start, stop = parts.pop()
        middle = (stop - start) // 2 // LEAF * LEAF
        if middle:
            some = order[start:stop]
            widest = X[some].var(axis=0).argmax() if X.shape[1] else 0
            order[start:stop] = some[np.argpartition(X[some, widest], middle)]
            parts += [(start, start + middle), (start + middle, stop)]
    return order


@contextlib.contextmanager
def drawn_aside(random: np.random.RandomState, n: int) -> Iterator[Callable]:
    """Draw noise in another thread, some of it ahead; give ``blocks()``, which yields its rows.

    They are those of ``random.standard_normal((n, n))``, float32, in blocks ``(start, rows)``.  A
    third of them is held at a time.
    """
    step = max(min(_ROWS, n // 8), 1)
    starts, draw = range(0, n, step), _drawing(random)
    with ThreadPoolExecutor(1) as aside:
        # One thread: what is submitted later is drawn later.
        ahead = (aside.submit(draw, (min(step, n - start), n)) for start in starts)
        drawn = collections.deque(itertools.islice(ahead, max(len(starts) // 3, 2)))

        def blocks() -> Iterator[tuple[int, np.ndarray]]:
            for start in starts:
                rows = drawn.popleft().result()
                drawn.extend(itertools.islice(ahead, 1))
                yield start, rows

        try:
            yield blocks
        finally:
            aside.shutdown(cancel_futures=True)


def add_noise(
    S: np.ndarray,
    order: np.ndarray,
    preference: np.ndarray,
    blocks: Iterable[tuple[int, np.ndarray]],
) -> None:
    """Set the diagonal of S, and add the noise of scikit-learn, which `blocks` have by sample.

    S and `preference` have the samples in `order`.
    """
    limits, place = np.finfo(S.dtype), np.argsort(order)
    np.fill_diagonal(S, preference)
    for start, noise in blocks:
        rows = place[start : start + len(noise)]
        block = S[rows]
        S[rows] = block + (block * limits.eps + 100 * limits.smallest_normal) * noise[:, order]


def _drawing(random: np.random.RandomState) -> Callable[[tuple[int, int]], np.ndarray]:
    """Return ``draw(shape)``, which gives what ``random.standard_normal(shape)`` does, in float32.

    A third of its time: the same polar method (Marsaglia, 1964), compiled, from the same uniform
    numbers.  `random` is left further on than by its own method.
    """
    has_one = random.get_state(legacy=False)["has_gauss"]
    rest, made = random.standard_normal(has_one), np.empty(2 * _PAIRS, np.float32)

    def draw(shape: tuple[int, int]) -> np.ndarray:
        nonlocal rest
        out, filled = np.empty(shape, np.float32), 0
        flat = out.reshape(-1)
        while filled < flat.size:
            if not rest.size:
                rest = made[: _to_normal(random.random_sample(2 * _PAIRS), made)]
            some, rest = rest[: flat.size - filled], rest[flat.size - filled :]
            flat[filled : filled + some.size] = some
            filled += some.size
        return out

    return draw


def compiled(function: Callable) -> Callable:
    """Compile by numba for threads, as `gpuclust.device.threads.compiled`, but sums keep their order."""
    # Without NaN and without signed zeros loops are vectorised; -inf keeps its meaning.
    options = {"nogil": True, "fastmath": {"nnan", "nsz", "contract"}}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # neither the package nor the home can be written to
        return numba.njit(**options)(function)


# The kernels are functions of the module: numba's cache never finds one that closes over another.
@compiled
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


@compiled
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


@compiled
def _scale(row, factors, norms, s):
    """Make similarities of products, in both dtypes, and count those above the limit."""
    (norm, limit), near = factors, 0
    for j in range(len(row)):
        row[j] = (row[j] + row[j]) - norm - norms[j]
        near += row[j] > limit
        s[j] = row[j]
    return near


@compiled
def _minus_squared_gap(x, y):
    total = 0.0
    for f in range(len(x)):
        total -= (x[f] - y[f]) ** 2
    return total

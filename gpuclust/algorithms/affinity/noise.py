"""Noise of scikit-learn's affinity propagation on NumPy: the same numbers, drawn faster.

scikit-learn breaks ties by normal noise of the size of a rounding error, one number for each pair.
"""

from __future__ import annotations

import collections
import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from .jit import compiled

# Rows of noise that are drawn at a time.
_ROWS = 32
# Pairs of uniform numbers per attempt of the polar method.
_ATTEMPTS = 512
# Pairs of uniform numbers that are drawn at a time.
_PAIRS = 1 << 15


@contextlib.contextmanager
def drawn_ahead(random: np.random.RandomState, n: int) -> Iterator[Callable]:
    """Draw noise in a second thread; give ``blocks()``, a generator of ``(start, rows)``.

    All rows together are ``random.standard_normal((n, n))`` in float32.  At most a third of them is
    in memory at a time: 4/3 n^2 bytes.
    """
    step = max(min(_ROWS, n // 8), 1)
    starts, draw = range(0, n, step), normal_sampler(random)
    with ThreadPoolExecutor(1) as thread:
        # A single thread draws in the order of submission.
        ahead = (thread.submit(draw, (min(step, n - start), n)) for start in starts)
        drawn = collections.deque(itertools.islice(ahead, max(len(starts) // 3, 2)))

        def blocks() -> Iterator[tuple[int, np.ndarray]]:
            for start in starts:
                rows = drawn.popleft().result()
                drawn.extend(itertools.islice(ahead, 1))
                yield start, rows

        try:
            yield blocks
        finally:
            thread.shutdown(cancel_futures=True)


def add_noise(
    S: np.ndarray,
    order: np.ndarray,
    preference: np.ndarray,
    blocks: Iterable[tuple[int, np.ndarray]],
) -> None:
    """Set the diagonal of S to the preferences, then add scikit-learn's noise to all of S.

    Parameters
    ----------
    S : ndarray (n, n), float32
        Similarities of the samples in `order`; changed in place.
    order : ndarray (n,), int64
        The sample at each place of S.
    preference : ndarray (n,), float32
        Preferences of the samples in `order`.
    blocks : iterable of (int, ndarray (b, n))
        Noise of the samples ``start`` to ``start + b``, rows and columns by sample.
    """
    limits, place = np.finfo(S.dtype), np.argsort(order)
    np.fill_diagonal(S, preference)
    for start, noise in blocks:
        rows = place[start : start + len(noise)]
        block = S[rows]
        S[rows] = block + (block * limits.eps + 100 * limits.smallest_normal) * noise[:, order]


def normal_sampler(random: np.random.RandomState) -> Callable[[tuple[int, int]], np.ndarray]:
    """Return ``draw(shape)``, equal to ``random.standard_normal(shape)`` rounded to float32.

    It takes a third of the time, by a compiled version of the polar method on the same uniform
    numbers (Marsaglia and Bray, 1964).  It may draw more uniform numbers than needed, so the state
    of `random` afterwards differs.
    """
    # The polar method makes two numbers at a time; RandomState may still hold the second.
    has_one = random.get_state(legacy=False)["has_gauss"]
    rest, made = random.standard_normal(has_one), np.empty(2 * _PAIRS, np.float32)

    def draw(shape: tuple[int, int]) -> np.ndarray:
        nonlocal rest
        out, filled = np.empty(shape, np.float32), 0
        flat = out.reshape(-1)
        while filled < flat.size:
            if not rest.size:
                rest = made[: _to_normal(random.random_sample(2 * _PAIRS), made)]
            part, rest = rest[: flat.size - filled], rest[flat.size - filled :]
            flat[filled : filled + part.size] = part
            filled += part.size
        return out

    return draw


@compiled
def _to_normal(uniform, out):
    """Turn pairs of uniform numbers into normal ones; return their number, at most as many."""
    x, y, r = np.empty(_ATTEMPTS), np.empty(_ATTEMPTS), np.empty(_ATTEMPTS)
    done = 0
    for first in range(0, len(uniform), 2 * _ATTEMPTS):
        pairs, accepted = uniform[first : first + 2 * _ATTEMPTS], 0
        for i in range(len(pairs) // 2):
            a, b = 2 * pairs[2 * i] - 1, 2 * pairs[2 * i + 1] - 1
            x[accepted], y[accepted], r[accepted] = a, b, a * a + b * b
            # Outside the unit circle: the next pair overwrites this one.
            accepted += (r[accepted] < 1) & (r[accepted] > 0)
        for i in range(accepted):
            factor = np.sqrt(-2 * np.log(r[i]) / r[i])
            out[done + 2 * i], out[done + 2 * i + 1] = factor * y[i], factor * x[i]
        done += 2 * accepted
    return done

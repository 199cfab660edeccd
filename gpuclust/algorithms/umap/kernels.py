"""Compiled moves of UMAP's layout, and their tables of forces.

All kernels are in this file, because numba's cache on disk looks only at the file of the function
that is called: it would miss a change of a kernel in another file.  Arrays are taken out of their
named tuples before loops, because numba counts a reference at every access.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ...device.threads import compiled

# Tables have 64 steps per power of two, for squared distances from 2^-40 to 2^20.  Interpolation
# between the steps is exact to 3e-4; values outside are those of the nearest end.
_LOWEST, _OCTAVES, _FRACTION = -40, 60, 17
_STEPS = np.int32(_OCTAVES << 23 - _FRACTION)
_FIRST = np.int32(127 + _LOWEST << 23)
_FRACTION_BITS = np.int32((1 << _FRACTION) - 1)
_UNIT = np.float32(2.0**-_FRACTION)
# A push moves no coordinate farther than this, times the learning rate.
_FARTHEST = 4.0
# Added to the squared distance of a push, which keeps it finite.
_SOFT = 0.001
WORD = np.uint64


class Positions(NamedTuple):
    """Coordinates (n * width,), float32, now and at the start of the epoch; rows are padded.

    They are flat, and rows are offsets (uint64) into them, because numba counts a reference for
    each row that is sliced.
    """

    now: np.ndarray
    old: np.ndarray
    width: np.uint64


class Edges(NamedTuple):
    """Edges sorted by task; task t has the edges ``bounds[t]:bounds[t + 1]``.

    Attributes
    ----------
    bounds : ndarray (tasks + 1,), int64
        First edge of each task, and the number of edges.
    heads, tails : ndarray (m,), int32
        Ends of each edge.
    rates : ndarray (m,), float32
        Share of the epochs in which an edge is due.
    """

    bounds: np.ndarray
    heads: np.ndarray
    tails: np.ndarray
    rates: np.ndarray


class Forces(NamedTuple):
    """Tables of pull and push (steps, 2), float32, and the limits of pushes.

    Attributes
    ----------
    pull, push : ndarray (steps, 2), float32
        Value and slope of each step, by squared distance: the share of the difference by which one
        end moves, times the learning rate.
    near : float32
        Largest squared distance at which a push may have to be clipped.
    limit : float32
        Largest move of a coordinate by a push.
    """

    pull: np.ndarray
    push: np.ndarray
    near: np.float32
    limit: np.float32


class Pair(NamedTuple):
    """Rows of the ends of an edge, and the strength of its pull."""

    head: np.uint64
    tail: np.uint64
    strength: np.float32


def tabulate(curve: tuple[float, float], alpha: float) -> Forces:
    """Tabulate pull and push for the similarity ``1 / (1 + a distance ** (2 b))``.

    Only pushes need a limit: a pull moves no end farther than 1.3 alpha, for a minimum distance
    of up to 1.

    Parameters
    ----------
    curve : (a, b)
        Parameters of the similarity.
    alpha : float
        Learning rate.
    """
    a, b = curve
    steps = _FIRST + (np.arange(_STEPS + 1, dtype=np.int32) << _FRACTION)
    squared = steps.view(np.float32).astype(np.float64)
    far = a * squared**b
    pull = 2 * b * far / (squared * (1 + far))
    push = 2 * b / ((_SOFT + squared) * (1 + far))
    near = squared[push * np.sqrt(squared) > _FARTHEST].max(initial=0)
    limit = np.float32(_FARTHEST * alpha)
    return Forces(_table(-alpha * pull), _table(alpha * push), np.float32(near), limit)


def _table(values: np.ndarray) -> np.ndarray:
    return np.stack([values[:-1], np.diff(values)], axis=1).astype(np.float32)


@compiled
def look_up(table: Any, squared: Any) -> Any:
    """Interpolate a table at a squared distance, float32."""
    # The bits of a float are its exponent and fraction: the step, and the way to the next one.
    bits = np.float32(squared).view(np.int32)
    step = min(max((bits - _FIRST) >> _FRACTION, 0), _STEPS - 1)
    return table[step, 0] + table[step, 1] * (np.float32(bits & _FRACTION_BITS) * _UNIT)


@compiled
def move(positions, tasks, edges, forces, when):
    """Move the ends of all due edges of the tasks ``tasks[0]:tasks[1]``, one edge after another.

    `when` is the epoch, from 1 on, and the seed (uint64).
    """
    (epoch, seed), bounds, pull, push = when, edges.bounds, forces.pull, forces.push
    heads, tails, rates, width = edges.heads, edges.tails, edges.rates, positions.width
    samples = WORD(len(positions.old)) // width
    due = np.empty(bounds[tasks[1]] - bounds[tasks[0]], np.int64)
    for task in range(tasks[0], tasks[1]):
        state = _stream(seed, WORD(epoch), WORD(task))
        for k in range(list_due(rates, (bounds[task], bounds[task + 1]), epoch, due)):
            i, j = WORD(heads[due[k]]) * width, WORD(tails[due[k]]) * width
            state, drawn = _draw(state, samples, width)
            squared, to_drawn = _squared_distances(positions, i, j, drawn)
            pair = Pair(i, j, look_up(pull, squared))
            # After a push that may be clipped, the next one is much weaker: take them in turn.
            if min(to_drawn) < forces.near or i in drawn:
                _push_in_turn(positions, pair, drawn, push, forces.limit)
            else:
                _push_at_once(positions, pair, drawn, push, to_drawn)


@compiled
def list_due(rates, bounds, epoch, due):
    """List the edges due in an epoch: their rate times the epoch reaches a whole number."""
    count: Any = 0
    after, before = np.float32(epoch), np.float32(epoch - 1)
    for e in range(bounds[0], bounds[1]):
        due[count] = e
        count += np.int32(rates[e] * after) > np.int32(rates[e] * before)
    return count


@compiled
def _stream(seed, epoch, task):
    """Mix seed, epoch and task to the first state of a stream (splitmix64; Steele et al., 2014)."""
    state = seed + epoch * WORD(0x9E3779B97F4A7C15) + task * WORD(0xD1B54A32D192ED03)
    state = (state ^ (state >> WORD(30))) * WORD(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> WORD(27))) * WORD(0x94D049BB133111EB)
    return state ^ (state >> WORD(31))


@compiled
def _next(state):
    # Knuth's linear congruential generator; only the upper half of the bits is used.
    return state * WORD(6364136223846793005) + WORD(1442695040888963407)


@compiled
def _draw(state, samples, width):
    """Draw five rows; return the new state and the rows."""
    a = _next(state)
    b = _next(a)
    c = _next(b)
    d = _next(c)
    e = _next(d)
    return e, (
        ((a >> WORD(32)) * samples >> WORD(32)) * width,
        ((b >> WORD(32)) * samples >> WORD(32)) * width,
        ((c >> WORD(32)) * samples >> WORD(32)) * width,
        ((d >> WORD(32)) * samples >> WORD(32)) * width,
        ((e >> WORD(32)) * samples >> WORD(32)) * width,
    )


# Five variables instead of an array: they stay in registers, and the loops are vectorized.
@compiled
def _squared_distances(positions, i, j, drawn):
    """Return the squared distances from row i to row j, and to the drawn samples in `old`."""
    now, old, (a, b, c, d, e) = positions.now, positions.old, drawn
    squared = to_a = to_b = to_c = to_d = to_e = np.float32(0)
    for f in range(positions.width):
        x = now[i + f]
        squared += (x - now[j + f]) * (x - now[j + f])
        to_a += (x - old[a + f]) * (x - old[a + f])
        to_b += (x - old[b + f]) * (x - old[b + f])
        to_c += (x - old[c + f]) * (x - old[c + f])
        to_d += (x - old[d + f]) * (x - old[d + f])
        to_e += (x - old[e + f]) * (x - old[e + f])
    return squared, (to_a, to_b, to_c, to_d, to_e)


@compiled
def _push_at_once(positions, pair, drawn, push, squared):
    """Move both ends by the sum of the pull and the five pushes, all from the same positions."""
    now, old, i, j = positions.now, positions.old, pair.head, pair.tail
    (a, b, c, d, e), (to_a, to_b, to_c, to_d, to_e) = drawn, squared
    by_a, by_b, by_c = look_up(push, to_a), look_up(push, to_b), look_up(push, to_c)
    by_d, by_e = look_up(push, to_d), look_up(push, to_e)
    for f in range(positions.width):
        x, y = now[i + f], now[j + f]
        step = pair.strength * (x - y)
        near = by_a * (x - old[a + f]) + by_b * (x - old[b + f]) + step
        far = by_c * (x - old[c + f]) + by_d * (x - old[d + f]) + by_e * (x - old[e + f])
        now[i + f] = x + near + far
        now[j + f] = y - step


@compiled
def _push_in_turn(positions, pair, drawn, push, limit):
    """Pull both ends, then push the head from one drawn sample after another, except itself."""
    now, old, width, i, j = positions.now, positions.old, positions.width, pair.head, pair.tail
    for f in range(width):
        step = pair.strength * (now[i + f] - now[j + f])
        now[i + f] += step
        now[j + f] -= step
    for k in drawn:
        if k == i:
            continue
        squared = np.float32(0)
        for f in range(width):
            squared += (now[i + f] - old[k + f]) * (now[i + f] - old[k + f])
        strength = look_up(push, squared)
        for f in range(width):
            step = strength * (now[i + f] - old[k + f])
            now[i + f] += max(min(step, limit), -limit)

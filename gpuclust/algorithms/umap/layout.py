"""The layout of UMAP: the moves of umap-learn in an order that threads can share without a race.

In an epoch every edge that is due pulls its two ends together, and pushes its head away from five
samples drawn at random (McInnes et al., 2018; the rules and constants are those of
`umap.layouts.optimize_layout_euclidean`).  umap-learn takes the edges in the order of the graph, on
one thread when seeded; here

- samples are dealt into blocks, whose number depends on the number of samples alone.  An epoch has
  rounds, in which each block meets one other, so that a task, the edges between two blocks, moves
  samples that no other task of its round moves;
- pushes come from where the drawn samples were when the epoch began; where all samples are one
  block, from where they are, so that the moves of small data are those of umap-learn in its order;
- a task draws from its own stream, which follows from the seed, the epoch and the task.

So the layout depends neither on the number of threads nor on their speed.  What a pair does depends
on its squared distance alone, and is read from a table instead of taking powers.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from ...device.threads import all_cores, compiled, cores

# Steps of a table: 64 per power of two from 2^-40 on to 2^20.  Interpolated between them, the
# strengths are right to 3e-4; what is nearer or farther is taken as at the ends.
_LOWEST, _OCTAVES, _FRACTION = -40, 60, 17
_STEPS = np.int32(_OCTAVES << 23 - _FRACTION)
_FIRST = np.int32(127 + _LOWEST << 23)
_FRACTION_BITS = np.int32((1 << _FRACTION) - 1)
_UNIT = np.float32(2.0**-_FRACTION)
# No coordinate is pushed farther than this, times the rate of learning.
_FARTHEST = 4.0
# Kept with the squared distance of a push, so that it is finite.
_SOFT = 0.001
# Rows are filled up with zeros to whole vectors, where they are longer than half of one.
_LANES = 16
_WORD = np.uint64


def lay_out(
    Z: np.ndarray, graph: Any, *, curve: tuple[float, float], n_epochs: int, seed: int
) -> np.ndarray:
    """Move the samples from where they start to their places in the layout.

    O(n_epochs * sum of the weights * n_components) time on all cores; two copies of Z, and 12 bytes
    an edge.  The same bits for a seed, whatever the number of cores.

    Parameters
    ----------
    Z : array (n, n_components), float32
        Where they start.
    graph : sparse array (n, n)
        Symmetric weights above 0, in both directions.  An edge is due in as many of the epochs as
        its weight has of the largest one.
    curve : (a, b)
        Of the similarity ``1 / (1 + a * distance ** (2 b))`` in the layout; b above 0.5.
    n_epochs : int
        The moves become smaller from epoch to epoch, down to nothing.
    seed : int
        From 0 to 2^64 - 1.

    Returns
    -------
    array (n, n_components), float32
    """
    blocks = _blocks(len(Z))
    order, edges, rounds = _scheduled(graph.tocsr(), blocks)
    now = _rows(Z[order])
    old = now if blocks == 1 else _rows(now)
    positions = now.reshape(-1), old.reshape(-1), _WORD(now.shape[1])
    in_round = _each_task(positions, edges)
    for epoch in range(1, n_epochs):
        if old is not now:
            old[:] = now
        forces = _forces(curve, 1 - (epoch - 1) / n_epochs)
        for tasks in rounds:
            in_round(tasks, forces, (epoch, _WORD(seed)))
    placed = np.empty_like(Z)
    placed[order] = now[:, : Z.shape[1]]
    return placed


def _blocks(n: int) -> int:
    """Fewer tasks than these are not worth a thread; half as many threads as blocks are busy."""
    return 1 if n < 4000 else 8 if n < 20000 else 16


def _scheduled(graph: Any, blocks: int) -> tuple[np.ndarray, tuple, list]:
    """Deal samples into blocks in turn, as files are often sorted, and pair blocks by round.

    Return the sample (n,) that has each number; edges by task in these numbers, as bounds, heads,
    tails and rates; for each round its first task and the one after its last.
    """
    n = graph.shape[0]
    order = np.argsort(np.arange(n) % blocks, kind="stable")
    graph = graph[order][:, order].tocoo()
    block = np.sort(np.arange(n) % blocks)
    low = np.minimum(block[graph.row], block[graph.col])
    high = np.maximum(block[graph.row], block[graph.col])
    # The circle method: the last block meets the one that would meet itself.  The edges within
    # blocks have a round of their own, the last one.
    last = blocks - 1
    turn = np.where(high == last, 2 * low, low + high) % max(last, 1)
    task = np.where(low == high, last, turn) * blocks + low
    sort = np.argsort(task, kind="stable")
    kept, first = np.unique(task[sort], return_index=True)
    bounds = np.append(first, len(sort))
    cuts = np.searchsorted(kept, np.arange(blocks + 1) * blocks)
    rates = (graph.data / graph.data.max(initial=0)).astype(np.float32)
    ends = (part[sort].astype(np.int32) for part in (graph.row, graph.col))
    rounds = [(int(a), int(b)) for a, b in itertools.pairwise(cuts) if a < b]
    return order, (bounds, *ends, rates[sort]), rounds


def _rows(Z: np.ndarray) -> np.ndarray:
    """Copy to rows of whole vectors; each starts with a line of the cache."""
    n, width = Z.shape
    if width > _LANES // 2:
        width = -(-width // _LANES) * _LANES
    memory = np.zeros(n * width + _LANES, np.float32)
    skip = -memory.ctypes.data % 64 // 4
    rows = memory[skip : skip + n * width].reshape(n, width)
    rows[:, : Z.shape[1]] = Z
    return rows


def _each_task(positions: tuple, edges: tuple) -> Callable:
    """Return the function that passes the tasks of a round, on as many cores as there are."""
    each, workers = all_cores(), cores()

    def in_round(tasks: tuple[int, int], forces: tuple, when: tuple) -> None:
        first, count = tasks[0], tasks[1] - tasks[0]

        def move(a: int, b: int) -> None:
            _move(positions, (first + a, first + b), edges, forces, when)

        if count == 1 or workers == 1:
            move(0, count)
        else:  # one piece per core, as a round takes less than a millisecond
            each(move, count, step=-(-count // workers))

    return in_round


# ---- what a pair does, by its squared distance --------------------------------------------------


def _forces(curve: tuple[float, float], alpha: float) -> tuple:
    """Tabulate pull and push, and say below which gap pushes may be cut, and to what.

    Both are shares of the gap by which one end moves, times the rate of learning `alpha`.  A pull
    moves no end farther than 1.3 alpha, for any minimum distance up to 1: only pushes are ever cut.
    """
    a, b = curve
    steps = _FIRST + (np.arange(_STEPS + 1, dtype=np.int32) << _FRACTION)
    gaps = steps.view(np.float32).astype(np.float64)  # squared
    far = a * gaps**b
    pull = 2 * b * far / (gaps * (1 + far))
    push = 2 * b / ((_SOFT + gaps) * (1 + far))
    near = gaps[push * np.sqrt(gaps) > _FARTHEST].max(initial=0)
    limits = np.float32(near), np.float32(_FARTHEST * alpha)
    return _table(-alpha * pull), _table(alpha * push), limits


def _table(values: np.ndarray) -> np.ndarray:
    return np.stack([values[:-1], np.diff(values)], axis=1).astype(np.float32)


@compiled
def _look_up(table, gap):
    # The bits of a float are its exponent and its fraction: the step, and the way to the next.
    bits = np.float32(gap).view(np.int32)
    step = min(max((bits - _FIRST) >> _FRACTION, 0), _STEPS - 1)
    return table[step, 0] + table[step, 1] * (np.float32(bits & _FRACTION_BITS) * _UNIT)


# ---- the moves ----------------------------------------------------------------------------------


# Rows are offsets into flat arrays: numba counts the references to every row that is cut.
@compiled
def _move(positions, tasks, edges, forces, when):
    """Pass all edges of the tasks that are due, one after another."""
    (_, old, width), (bounds, heads, tails, rates), (epoch, seed) = positions, edges, when
    pull, push, limits = forces
    samples = _WORD(len(old)) // width
    due = np.empty(bounds[tasks[1]] - bounds[tasks[0]], np.int64)
    for task in range(tasks[0], tasks[1]):
        state = _stream(seed, _WORD(epoch), _WORD(task))
        for k in range(_list_due(rates, (bounds[task], bounds[task + 1]), epoch, due)):
            i, j = _WORD(heads[due[k]]) * width, _WORD(tails[due[k]]) * width
            state, drawn = _draw(state, samples, width)
            gap, gaps = _squared_gaps(positions, (i, j), drawn)
            pulled = i, j, _look_up(pull, gap)
            # In turn where one may be cut: after such a push, the next one is much weaker.
            if min(gaps) < limits[0] or i in drawn:
                _push_in_turn(positions, pulled, drawn, (push, limits[1]))
            else:
                _push_at_once(positions, pulled, drawn, (push, gaps))


@compiled
def _list_due(rates, bounds, epoch, due):
    """List the edges whose count of moves, their rate times the epoch, reaches a whole number."""
    count = 0
    after, before = np.float32(epoch), np.float32(epoch - 1)
    for e in range(bounds[0], bounds[1]):
        due[count] = e
        count += np.int32(rates[e] * after) > np.int32(rates[e] * before)
    return count


@compiled
def _stream(seed, epoch, task):
    """Mix the three to the state that a stream starts from (splitmix64; Steele et al., 2014)."""
    state = seed + epoch * _WORD(0x9E3779B97F4A7C15) + task * _WORD(0xD1B54A32D192ED03)
    state = (state ^ (state >> _WORD(30))) * _WORD(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> _WORD(27))) * _WORD(0x94D049BB133111EB)
    return state ^ (state >> _WORD(31))


@compiled
def _next(state):
    # Knuth's linear congruential generator, of which only the upper half of the bits is used.
    return state * _WORD(6364136223846793005) + _WORD(1442695040888963407)


@compiled
def _draw(state, samples, width):
    """Draw five rows."""
    a = _next(state)
    b = _next(a)
    c = _next(b)
    d = _next(c)
    e = _next(d)
    return e, (
        ((a >> _WORD(32)) * samples >> _WORD(32)) * width,
        ((b >> _WORD(32)) * samples >> _WORD(32)) * width,
        ((c >> _WORD(32)) * samples >> _WORD(32)) * width,
        ((d >> _WORD(32)) * samples >> _WORD(32)) * width,
        ((e >> _WORD(32)) * samples >> _WORD(32)) * width,
    )


@compiled
def _squared_gaps(positions, ends, drawn):
    """Return that of the ends, and those between the head and where the drawn samples were."""
    (now, old, width), (i, j), (a, b, c, d, e) = positions, ends, drawn
    gap = to_a = to_b = to_c = to_d = to_e = np.float32(0)
    for f in range(width):
        x = now[i + f]
        gap += (x - now[j + f]) * (x - now[j + f])
        to_a += (x - old[a + f]) * (x - old[a + f])
        to_b += (x - old[b + f]) * (x - old[b + f])
        to_c += (x - old[c + f]) * (x - old[c + f])
        to_d += (x - old[d + f]) * (x - old[d + f])
        to_e += (x - old[e + f]) * (x - old[e + f])
    return gap, (to_a, to_b, to_c, to_d, to_e)


@compiled
def _push_at_once(positions, pulled, drawn, forces):
    """Move both ends by what the six pairs of the head add up to."""
    (now, old, width), (i, j, share), (a, b, c, d, e) = positions, pulled, drawn
    push, (to_a, to_b, to_c, to_d, to_e) = forces
    by_a, by_b, by_c = _look_up(push, to_a), _look_up(push, to_b), _look_up(push, to_c)
    by_d, by_e = _look_up(push, to_d), _look_up(push, to_e)
    for f in range(width):
        x, y = now[i + f], now[j + f]
        step = share * (x - y)
        near = by_a * (x - old[a + f]) + by_b * (x - old[b + f]) + step
        far = by_c * (x - old[c + f]) + by_d * (x - old[d + f]) + by_e * (x - old[e + f])
        now[i + f] = x + near + far
        now[j + f] = y - step


@compiled
def _push_in_turn(positions, pulled, drawn, forces):
    """Pull both ends, then push the head from one drawn sample after another but itself."""
    (now, old, width), (i, j, share), (push, limit) = positions, pulled, forces
    for f in range(width):
        step = share * (now[i + f] - now[j + f])
        now[i + f] += step
        now[j + f] -= step
    for k in drawn:
        if k == i:
            continue
        gap = np.float32(0)
        for f in range(width):
            gap += (now[i + f] - old[k + f]) * (now[i + f] - old[k + f])
        strength = _look_up(push, gap)
        for f in range(width):
            step = strength * (now[i + f] - old[k + f])
            now[i + f] += max(min(step, limit), -limit)

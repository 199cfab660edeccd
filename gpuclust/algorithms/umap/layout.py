"""Layout of UMAP: the moves of umap-learn, in an order without races between threads.

In an epoch, each edge that is due pulls its two ends together and pushes its first end away from
five random samples (McInnes et al., 2018).  Rules and constants are those of
`umap.layouts.optimize_layout_euclidean`.  umap-learn takes the edges in the order of the graph, on
one thread when seeded.  This layout differs in three points:

- Samples are dealt into blocks; the number of blocks depends on the number of samples only.  An
  epoch has rounds, and in each round a block meets one other block.  The edges between two blocks
  are a task, so no two tasks of a round move the same sample.
- Pushes come from the positions of the drawn samples at the start of the epoch.  With a single
  block they come from the current positions, so small datasets get the moves of umap-learn in its
  order.
- Each task draws from a random stream of its own, given by seed, epoch and task.

The layout therefore depends neither on the number of threads nor on their speed.  The force between
a pair depends on its squared distance alone, and is read from a table instead of computing powers.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from ...device.threads import all_cores, cores
from . import kernels
from .kernels import WORD, Edges, Forces, Positions

# Rows of more than half of this are padded with zeros to a multiple of it: 16 float32 are a vector.
_VECTOR = 16


def lay_out(
    Z: np.ndarray, graph: Any, *, curve: tuple[float, float], n_epochs: int, seed: int
) -> np.ndarray:
    """Optimize the layout of the samples from their starting positions.

    Time O(n_epochs * sum of the weights * n_components) on all cores.  Memory two copies of Z, and
    12 bytes per edge.  A seed gives the same bits for any number of cores.

    Parameters
    ----------
    Z : ndarray (n, n_components), float32
        Starting positions.
    graph : sparse array (n, n)
        Symmetric weights above 0, in both directions.  The share of epochs in which an edge is due
        is its weight divided by the largest weight.
    curve : (a, b)
        Parameters of the similarity ``1 / (1 + a * distance ** (2 b))`` in the layout; b above 0.5.
    n_epochs : int
        Number of epochs; the learning rate decreases linearly to 0.
    seed : int
        From 0 to 2^64 - 1.

    Returns
    -------
    ndarray (n, n_components), float32

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> graph = csr_array(np.array([[0, 1], [1, 0]], dtype=np.float32))
    >>> Z = np.array([[0, 0], [9, 9]], dtype=np.float32)
    >>> placed = lay_out(Z, graph, curve=(1.9, 0.8), n_epochs=50, seed=0)
    >>> bool(np.linalg.norm(placed[1] - placed[0]) < 9)
    True
    """
    blocks = _blocks(len(Z))
    order, edges, rounds = _scheduled(graph.tocsr(), blocks)
    now = _padded_rows(Z[order])
    old = now if blocks == 1 else _padded_rows(now)
    positions = Positions(now.reshape(-1), old.reshape(-1), WORD(now.shape[1]))
    run_round = _round_runner(positions, edges)
    for epoch in range(1, n_epochs):
        if old is not now:
            old[:] = now
        forces = kernels.tabulate(curve, 1 - (epoch - 1) / n_epochs)
        for tasks in rounds:
            run_round(tasks, forces, (epoch, WORD(seed)))
    placed = np.empty_like(Z)
    placed[order] = now[:, : Z.shape[1]]
    return placed


def _blocks(n: int) -> int:
    """Choose the number of blocks: half as many threads can be busy at a time."""
    if n < 4000:  # tasks too small to be worth a thread
        return 1
    return 8 if n < 20000 else 16


def _scheduled(graph: Any, blocks: int) -> tuple[np.ndarray, Edges, list[tuple[int, int]]]:
    """Deal samples into blocks in turn, as files are often sorted, and pair blocks by round.

    Returns
    -------
    order : ndarray (n,), int64
        The sample with each number in the schedule.
    edges : Edges
        Edges by task, in these numbers.
    rounds : list of (int, int)
        First task of each round, and the one after its last.
    """
    n = graph.shape[0]
    order = np.argsort(np.arange(n) % blocks, kind="stable")
    graph = graph[order][:, order].tocoo()
    block = np.sort(np.arange(n) % blocks)
    low = np.minimum(block[graph.row], block[graph.col])
    high = np.maximum(block[graph.row], block[graph.col])
    # Circle method of round-robin tournaments: the last block meets the one that would meet itself.
    # Edges within blocks get a round of their own, the last one.
    last = blocks - 1
    turn = np.where(high == last, 2 * low, low + high) % max(last, 1)
    task = np.where(low == high, last, turn) * blocks + low
    sort = np.argsort(task, kind="stable")
    kept, first = np.unique(task[sort], return_index=True)
    cuts = np.searchsorted(kept, np.arange(blocks + 1) * blocks)
    edges = Edges(
        bounds=np.append(first, len(sort)),
        heads=graph.row[sort].astype(np.int32),
        tails=graph.col[sort].astype(np.int32),
        rates=(graph.data / graph.data.max(initial=0)).astype(np.float32)[sort],
    )
    return order, edges, [(int(a), int(b)) for a, b in itertools.pairwise(cuts) if a < b]


def _padded_rows(Z: np.ndarray) -> np.ndarray:
    """Copy to rows of whole vectors; the first starts at a cache line."""
    n, width = Z.shape
    if width > _VECTOR // 2:
        width = -(-width // _VECTOR) * _VECTOR
    memory = np.zeros(n * width + _VECTOR, np.float32)
    skip = -memory.ctypes.data % 64 // 4
    rows = memory[skip : skip + n * width].reshape(n, width)
    rows[:, : Z.shape[1]] = Z
    return rows


def _round_runner(positions: Positions, edges: Edges) -> Callable[..., None]:
    """Return ``run_round(tasks, forces, when)``, to run the tasks of a round on all cores."""
    each, workers = all_cores(), cores()

    def run_round(tasks: tuple[int, int], forces: Forces, when: tuple[int, np.uint64]) -> None:
        first, count = tasks[0], tasks[1] - tasks[0]

        def move(a: int, b: int) -> None:
            kernels.move(positions, (first + a, first + b), edges, forces, when)

        if count == 1 or workers == 1:
            move(0, count)
        else:  # one piece per core, because a round takes less than a millisecond
            each(move, count, step=-(-count // workers))

    return run_round

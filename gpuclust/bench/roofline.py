"""How far from the limit of the machine: its measured rates, and what a method must move."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from ..device.threads import cores
from ..metrics.suite import DISPERSIONS, EXTERNAL, SILHOUETTES

# (n, d, k) -> bytes that must be moved and float32 operations that must be done, once the sizes of
# caches are counted as unlimited for everything that is smaller than n x n or n x d.
Must = Callable[[int, int, int], tuple[float, float]]
# Distances are the same both ways: a product of all pairs is n^2 d, half of a full one.
MUST: dict[str, Must] = {
    # One pass over the samples and the distances to all centres, once.
    "kmeans": lambda n, d, k: (4.0 * n * d, 2.0 * n * d * k),
    # Distances between all pairs, once, for the graph of neighbours.
    "spectral": lambda n, d, k: (4.0 * n * d, 1.0 * n * n * d),
    "umap": lambda n, d, k: (4.0 * n * d, 1.0 * n * n * d),
    "hdbscan": lambda n, d, k: (4.0 * n * d, 1.0 * n * n * d),
    "agglomerative": lambda n, d, k: (4.0 * n * d, 1.0 * n * n * d),
    "agglomerative_threshold": lambda n, d, k: (4.0 * n * d, 1.0 * n * n * d),
    # S is written, read for its median, read and written for the noise; most messages need no more.
    "affinity": lambda n, d, k: (16.0 * n * n, 1.0 * n * n * d),
    # The covariance, or one product as large.
    "pca": lambda n, d, k: (4.0 * n * d, 2.0 * n * d * min(n, d)),
    # A pair of labels is read; a dispersion reads the samples twice; a silhouette needs distances.
    **dict.fromkeys(EXTERNAL, lambda n, d, k: (16.0 * n, 0.0)),
    **dict.fromkeys(DISPERSIONS, lambda n, d, k: (8.0 * n * d, 4.0 * n * d)),
    **{f"silhouette_{m}": lambda n, d, k: (4.0 * n * d, 1.0 * n * n * d) for m in SILHOUETTES},
    # The original space: neighbours, and one pass for two metrics; the 50-d one: six.
    "unit": lambda n, d, k: (16.0 * n * n, 1.0 * n * n * (2 * d + 6 * 50)),
}


class Machine(NamedTuple):
    """What a machine does at most.

    Attributes
    ----------
    copy : float
        Bytes per second, read and written, of large arrays.
    multiply : float
        Float32 operations per second of large matrix products.
    """

    copy: float
    multiply: float


def machine(xp: Any = np, synchronize: Callable[[], object] = lambda: None) -> Machine:
    """Measure the rates, the best of five; a second on a CPU, 300 MiB."""
    a = xp.ones(1 << 25, dtype=xp.float32)
    b = xp.empty_like(a)
    A = xp.ones((2048, 2048), dtype=xp.float32)
    copy = _fastest(lambda: _copy(xp, a, b), synchronize)
    multiply = _fastest(lambda: A @ A, synchronize)
    return Machine(2 * a.nbytes / copy, 2 * 2048**3 / multiply)


def _copy(xp: Any, a: Any, b: Any) -> None:
    if xp is not np:
        xp.copyto(b, a)
        return
    parts = zip(np.array_split(a, cores()), np.array_split(b, cores()), strict=True)
    with ThreadPoolExecutor(cores()) as pool:
        list(pool.map(lambda pair: np.copyto(pair[1], pair[0]), parts))


def _fastest(call: Callable[[], object], synchronize: Callable[[], object]) -> float:
    times = []
    for _ in range(5):
        synchronize()
        start = time.perf_counter()
        call()
        synchronize()
        times.append(time.perf_counter() - start)
    return min(times)


def share(what: str, seconds: float, of: Machine, *, n: int, d: int, k: int) -> float | None:
    """Give the share of the limit that is reached: 1 when no machine alike could be faster.

    A lower bound of the work is counted, so the share is a lower bound too; None for work that has
    no formula here.
    """
    name = what.partition("(")[0].partition(" ")[0]
    if name not in MUST or seconds <= 0:
        return None
    moved, done = MUST[name](n, d, k)
    return max(moved / of.copy, done / of.multiply) / seconds

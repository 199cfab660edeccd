"""Roofline: time of a method compared with the limits of the machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from ..device.threads import cores
from ..methods.costs import Work, all_pairs
from ..methods.table import CLUSTERERS, REDUCERS
from ..metrics.suite import DISPERSIONS, EXTERNAL, SILHOUETTES

# Lower bounds of the work of scores and of a whole unit, as in `Method.work`.
_SCORES: dict[str, Callable[[int, int, int], Work]] = {
    # External scores read a pair of labels per sample, dispersions read the samples twice,
    # silhouettes need all pairwise distances.
    **dict.fromkeys(EXTERNAL, lambda n, d, k: Work(16.0 * n, 0.0)),
    **dict.fromkeys(DISPERSIONS, lambda n, d, k: Work(8.0 * n * d, 4.0 * n * d)),
    **dict.fromkeys((f"silhouette_{metric}" for metric in SILHOUETTES), all_pairs),
    # Original embedding: neighbors, and one pass for two metrics; 50-d UMAP: six passes.
    "unit": lambda n, d, k: Work(16.0 * n * n, 1.0 * n * n * (2 * d + 6 * 50)),
}


class Machine(NamedTuple):
    """Measured peak rates of a machine.

    Attributes
    ----------
    copy : float
        Bytes per second, read plus written, when copying large arrays.
    multiply : float
        Float32 operations per second of large matrix products.
    """

    copy: float
    multiply: float


def machine(xp: Any = np, synchronize: Callable[[], object] = lambda: None) -> Machine:
    """Measure the peak rates, best of five; takes about one second on a CPU and 300 MiB.

    Parameters
    ----------
    xp : module
        Array namespace: numpy or cupy.
    synchronize : callable
        Waits for the device.

    Examples
    --------
    >>> machine().copy > 0
    True
    """
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
    """Return the reached share of the machine's limit; 1 means it cannot be faster.

    Parameters
    ----------
    what : str
        Method or score, with or without parameters.
    seconds : float
        Measured time.
    of : Machine
        Peak rates.
    n, d, k : int
        Samples, dimensions and clusters.

    Returns
    -------
    float or None
        A lower bound, because the work is one.  None when the work is unknown.

    Examples
    --------
    >>> rates = Machine(copy=1e9, multiply=1e9)
    >>> share("kmeans(n_init=1)", 8.0, rates, n=10**4, d=100, k=1000)
    0.25
    """
    name = what.partition("(")[0].partition(" ")[0]
    method = REDUCERS.get(name) or CLUSTERERS.get(name)
    formula = method.work if method else _SCORES.get(name)
    if formula is None or seconds <= 0:
        return None
    work = formula(n, d, k)
    return max(work.moved / of.copy, work.operations / of.multiply) / seconds

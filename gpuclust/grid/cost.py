"""What a grid will take: a rough estimate before anything runs.

The growth of each method is known, its constant was measured once, on two cores with 10,000 real
embeddings (see `benchmarks/results/`).  An estimate within a factor of three is all that is meant.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..cell import Cell, Unit
from ..embeddings.load import Options
from ..errors import DamagedFileError, InputError
from ..store.store import Store

if TYPE_CHECKING:
    from ..embeddings.embed import EmbeddingMeta

BASIS = "Estimates are rough: measured on 2 cores, on the CPU engine."

# Seconds for n samples of d dimensions.
REDUCE: dict[str, Callable[[int, int], float]] = {
    "none": lambda n, d: 0.0,
    "l2": lambda n, d: 4e-9 * n * d,
    "zscore": lambda n, d: 1e-8 * n * d,
    "pca": lambda n, d: 1e-10 * n * d * min(n, d),
    "umap": lambda n, d: 1.5 + 3.5e-4 * n + 1.4e-11 * n * n * d,
    "pacmap": lambda n, d: 5.0 + 3e-3 * n,
}
# Seconds for n samples of m dimensions and k clusters.
CLUSTER: dict[str, Callable[[int, int, int], float]] = {
    "kmeans": lambda n, m, k: 4e-9 * n * m * k,
    "spectral": lambda n, m, k: 0.2 + 5e-11 * n * n * m + 1e-6 * n * k,
    "agglomerative": lambda n, m, k: n * n * (1e-8 + 4e-11 * m),
    "agglomerative_threshold": lambda n, m, k: n * n * (1e-8 + 4e-11 * m),
    "affinity": lambda n, m, k: n * n * (3e-8 + 4.5e-11 * m),
    "hdbscan": lambda n, m, k: n * n * (5e-8 if m > 100 else 1e-8),
}
# Images per second on two cores, where no side-car knows better. Only Lite0 is measured; Lite1 and
# Lite2 follow from their operations (0.63 and 0.90 GFLOP against 0.41), raw is a cautious guess.
SPEED = {
    "efficientnet_lite0": 100.0,
    "efficientnet_lite1": 65.0,
    "efficientnet_lite2": 45.0,
    "raw": 2000.0,
}


def estimate(unit: Unit, store: Store, options: Options) -> float | None:
    """Estimate the seconds that the cells of a unit will take, with its embedding if that is due.

    Returns
    -------
    float or None
        None when the size of the dataset or the speed of the encoder is unknown.
    """
    if not unit.cells:
        return 0.0
    meta = _meta(unit, store)
    if meta is not None:
        return _cells(unit.cells, meta.n, meta.d, meta.n_classes or 10)
    size, speed = _size(unit, options), _speed(unit, store)
    if size is None or speed is None:
        return None
    return size / speed + _cells(unit.cells, size, 1280, 10)


def _cells(cells: Sequence[Cell], n: int, d: int, n_classes: int) -> float:
    seconds = 0.0
    spaces: dict[Any, list[Cell]] = {}
    for cell in cells:
        spaces.setdefault((cell.reducer, cell.seed), []).append(cell)
    for (chain, _), inside in spaces.items():
        m = d
        for spec in chain:
            seconds += REDUCE[spec.name](n, m)
            m = int(dict(spec.params).get("n_components", m)) or m
        seconds += 4 * n * n * (1.5e-9 + 3e-12 * (d + m))  # four distance passes
        seconds += sum(CLUSTER[cell.clusterer.name](n, m, cell.k or n_classes) for cell in inside)
    return seconds


def _meta(unit: Unit, store: Store) -> EmbeddingMeta | None:
    from ..embeddings import embed

    try:
        return embed.load_meta(store.embedding(unit))
    except DamagedFileError:
        return None


def _size(unit: Unit, options: Options) -> int | None:
    from .. import datasets

    try:
        return len(datasets.load(unit.dataset, split=unit.split, data_dir=options.data_dir))
    except InputError:
        return None


def _speed(unit: Unit, store: Store) -> float | None:
    """Find how fast this encoder embedded another dataset of this root, else a measured default."""
    for path in (store.root / "embeddings").glob(f"*/{store.embedding(unit).meta.name}"):
        try:
            return float(json.loads(path.read_bytes())["images_per_second"])
        except (OSError, ValueError, KeyError):
            continue
    return SPEED.get(unit.encoder)


def human(seconds: float) -> str:
    """Write a duration for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"

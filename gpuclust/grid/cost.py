"""Estimate the time of a grid before it runs.

The formulas are in the registry of methods, the speeds of encoders in the registry of encoders.
Both were measured once, on two cores with 10,000 image embeddings (`benchmarks/results/`), and aim
at a factor of three.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ..cell import Cell, Unit
from ..datasets.table import DATASETS
from ..embeddings.load import Options
from ..encoders.table import ENCODERS
from ..errors import DamagedFileError, InputError
from ..methods.spec import Spec
from ..methods.table import CLUSTERERS, REDUCERS
from ..store.store import Store
from ..vectors.dataset import is_own

if TYPE_CHECKING:
    from ..embeddings.files import EmbeddingMeta
    from ..embeddings.own import Facts

BASIS = "Estimates are rough: measured on 2 cores, on the CPU backend."

# Assumed for an embedding that is not computed yet.
_DIMENSION = 1280
_CLASSES = 10


# Number of images of (dataset, split), None when unknown.
Sizes = dict[tuple[str, str], int | None]


def estimate(
    unit: Unit, store: Store, options: Options, sizes: Sizes | None = None
) -> float | None:
    """Estimate the seconds of the cells of a unit, and of a missing embedding.

    Reads one metadata file.  For a missing embedding, the size of a published dataset is the one
    in the registry, and other datasets are listed; nothing is computed.

    Parameters
    ----------
    unit : Unit
        With only the cells to compute.
    store : Store
        Metadata of embeddings: number of samples, dimension, measured speed of the encoder.
    options : Options
        Folder of the datasets.
    sizes : dict, optional
        Sizes of datasets from before, filled here, so that many units list a dataset once.

    Returns
    -------
    float or None
        None when the size of the dataset, the speed of the encoder or the cost of a method is
        unknown; see `unknown_costs`.

    Examples
    --------
    >>> from pathlib import Path
    >>> from gpuclust.cell import Cell, units_of
    >>> names = {"dataset": "digits", "split": "all", "encoder": "raw"}
    >>> (unit,) = units_of([Cell.of(**names, clusterer="kmeans")])
    >>> round(estimate(unit, Store(Path("results")), Options()))
    1
    """
    if not unit.cells:
        return 0.0
    if unknown_costs(unit):
        return None
    meta = _meta(unit, store)
    if meta is not None:
        return _cells(unit.cells, meta.n, meta.d, meta.n_classes or _CLASSES)
    sizes, at = {} if sizes is None else sizes, (unit.dataset, unit.split)
    if at not in sizes:
        sizes[at] = _size(unit, options)
    size, speed = sizes[at], _speed(unit, store)
    if size is None or speed is None:
        return None
    encoder = ENCODERS.get(unit.encoder)
    dimension = (encoder and encoder.dimension) or _DIMENSION
    return size / speed + _cells(unit.cells, size, dimension, _classes(unit))


def unknown_costs(unit: Unit) -> tuple[str, ...]:
    """List the methods of a unit without `seconds` in their entry, in alphabetical order.

    Examples
    --------
    >>> from gpuclust.cell import Cell, units_of
    >>> names = {"dataset": "digits", "split": "all", "encoder": "raw"}
    >>> (unit,) = units_of([Cell.of(**names, clusterer="kmeans")])
    >>> unknown_costs(unit)
    ()
    """
    reducers = {spec.name for cell in unit.cells for spec in cell.reducer}
    clusterers = {cell.clusterer.name for cell in unit.cells}
    unknown = [name for name in reducers if REDUCERS[name].seconds is None]
    unknown += [name for name in clusterers if CLUSTERERS[name].seconds is None]
    return tuple(sorted(unknown))


def reason(units: Iterable[Unit]) -> str:
    """Say why some units have no estimate.

    Examples
    --------
    >>> reason([])
    'unknown: the size of a dataset or the speed of an encoder'
    """
    names = sorted({name for unit in units for name in unknown_costs(unit)})
    if names:
        return f"unknown: the cost of {', '.join(names)}"
    return "unknown: the size of a dataset or the speed of an encoder"


def _cells(cells: Sequence[Cell], n: int, d: int, n_classes: int) -> float:
    """Sum the seconds of cells; equal reducers with equal seeds count once."""
    groups: dict[tuple[tuple[Spec, ...], int], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.reducer, cell.seed), []).append(cell)
    total = 0.0
    for (chain, _), group in groups.items():
        m = d
        for spec in chain:
            total += _seconds(REDUCERS[spec.name], n, m, n_classes)
            m = int(dict(spec.params).get("n_components", m)) or m
        total += 4 * n * n * (1.5e-9 + 3e-12 * (d + m))  # four passes over all distances
        for cell in group:
            total += _seconds(CLUSTERERS[cell.clusterer.name], n, m, cell.k or n_classes)
    return total


def _seconds(method: Any, n: int, d: int, k: int) -> float:
    seconds: float = method.seconds(n, d, k)
    return seconds


def _meta(unit: Unit, store: Store) -> EmbeddingMeta | Facts | None:
    from ..embeddings import files
    from ..embeddings import own as own_data

    if is_own(unit.dataset):
        return own_data.remembered(unit.dataset, store)
    try:
        return files.load_meta(store.embedding(unit))
    except DamagedFileError:
        return None


def _size(unit: Unit, options: Options) -> int | None:
    from .. import datasets

    if is_published(unit):
        return DATASETS[unit.dataset].splits[unit.split]
    try:
        return len(datasets.load(unit.dataset, split=unit.split, data_dir=options.data_dir))
    except InputError:
        return None


def is_published(unit: Unit) -> bool:
    """Return whether the registry has the size of a dataset that lies below ``--data-dir``.

    Examples
    --------
    >>> from gpuclust.cell import Unit
    >>> is_published(Unit("digits", "all", "raw", "own", ()))
    False
    """
    entry = DATASETS.get(unit.dataset)
    return entry is not None and bool(entry.folders and entry.splits.get(unit.split))


def _classes(unit: Unit) -> int:
    entry = DATASETS.get(unit.dataset)
    return (entry and entry.classes) or _CLASSES


def _speed(unit: Unit, store: Store) -> float | None:
    """Return images per second of an encoder, measured on another dataset of this store or typical.

    None when neither is known.
    """
    for path in (store.root / "embeddings").glob(f"*/{store.embedding(unit).meta.name}"):
        try:
            return float(json.loads(path.read_bytes())["images_per_second"])
        except (OSError, ValueError, KeyError):
            continue
    encoder = ENCODERS.get(unit.encoder)
    return encoder.images_per_second if encoder else None


def human(seconds: float) -> str:
    """Write a duration in seconds, minutes or hours.

    Examples
    --------
    >>> human(9000)
    '2.5 h'
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"

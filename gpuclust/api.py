"""The main jobs as functions: embed a dataset, run one cell, run a grid, read the results.

They are offered as ``gpuclust.embed``, ``gpuclust.run``, ``gpuclust.run_grid`` and
``gpuclust.results``, and share their folder of results with the command line.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .cell import Cell, Place, Unit, check_preprocess, place, units_of
from .device import backend
from .device.backend import Backend
from .embeddings.check import check_vectors
from .embeddings.data import Data
from .embeddings.load import Options, load_unit, look_up
from .errors import GpuclustError, InputError, unknown
from .events import Watcher
from .grid import run as grid
from .grid.grid_file import load_grid
from .grid.states import rows_of
from .row import Row
from .store.store import Store

if TYPE_CHECKING:
    import pandas as pd

ROOT = "gpuclust-results"


def embed(
    dataset: str,
    encoder: str,
    *,
    split: str | None = None,
    preprocess: str = "own",
    root: str | Path = ROOT,
    device: str = "auto",
    **options: Any,
) -> Data:
    """Embed a dataset, or load its stored embedding.

    O(n) passes of the encoder the first time; later calls read two small files and map the
    vectors into memory.

    Parameters
    ----------
    dataset, encoder, split, preprocess : str
        Names as on the command line; see `gpuclust list`.
    root : path
        Folder of results.
    device : {"auto", "cpu", "gpu"}
        Backend.
    **options
        Fields of `gpuclust.embeddings.load.Options`: data_dir, batch_size, workers, skip_bad.

    Returns
    -------
    Data
        `X` (n, d) float32 and `y` (n,) int64 or None.

    Raises
    ------
    InputError
        For an unknown name, or images that cannot be read.

    Examples
    --------
    >>> import gpuclust
    >>> gpuclust.embed("digits", "raw", root=tmp_path).X.shape
    (1797, 192)
    """
    unit = Unit(**place(dataset, split, encoder), preprocess=check_preprocess(preprocess), cells=())
    store, on, watcher = Store(Path(root)), backend.select(device), Watcher()
    how = _options(**options)
    return load_unit(look_up(unit, store, how, watcher), store, on, how, watcher)


def run(
    dataset: str | None = None,
    encoder: str | None = None,
    *,
    clusterer: str,
    X: Any | None = None,
    y: Any | None = None,
    reducer: str = "none",
    k: int | None = None,
    seed: int = 0,
    metrics: str | Sequence[str] = ("default",),
    split: str | None = None,
    preprocess: str = "own",
    root: str | Path = ROOT,
    device: str = "auto",
    save_labels: bool = True,
    **options: Any,
) -> Row:
    """Reduce, cluster and score one dataset, or vectors `X`, and return the row.

    A row that exists is returned without computing it again.

    Parameters
    ----------
    dataset, encoder : str
        Names of the images and of the encoder; leave both out with `X`.
    clusterer, reducer : str
        Specs such as ``"kmeans"`` and ``"zscore|pca(0.9)"``.
    X, y : array-like (n, d), array-like (n,), optional
        Vectors of your own, finite, and their classes, integers or text.
    k : int, optional
        Number of clusters, by default the number of true classes.
    seed : int
        Seed of the reducer and the clusterer.
    metrics : str or sequence of str
        Scores or groups of scores.
    split, preprocess, root, device, **options
        See `embed`.
    save_labels : bool
        Also write the labels, to ``<root>/labels/<key>.npy``.

    Returns
    -------
    dict
        Coordinates, ``scores``, seconds and versions, as in the JSON file of the row.

    Raises
    ------
    InputError, CellError
        When the cell cannot be computed.

    Examples
    --------
    >>> import gpuclust
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> row = gpuclust.run(X=X[:300], y=y[:300], clusterer="kmeans", root=tmp_path)
    >>> row["k"], row["scores"]["ami"] > 0.5
    (10, True)
    """
    names, vectors = _source(dataset, encoder, split, X, y)
    if vectors is not None and (split is not None or preprocess != "own"):
        raise InputError("split and preprocess belong to images; leave them out with X.")
    cell = Cell.of(
        **names,
        preprocess=preprocess,
        reducer=reducer,
        clusterer=clusterer,
        k=k,
        seed=seed,
        metrics=metrics,
    )
    store, on = Store(Path(root)), backend.select(device)
    how = _options(vectors=vectors, **options)
    found, _ = run_cell(cell, store, on, options=how, save_labels=save_labels)
    if found is None:
        raise GpuclustError(f"the run of {cell.dataset} was stopped before its row was written.")
    return found


def _options(**given: Any) -> Options:
    allowed = [name for name in Options._fields if name != "vectors"]
    for name in given:
        if name not in Options._fields:
            raise unknown("argument", name, allowed)
    return Options(**given)


def _source(
    dataset: str | None, encoder: str | None, split: str | None, X: Any | None, y: Any | None
) -> tuple[Place, Data | None]:
    if X is None:
        if dataset is None or encoder is None or y is not None:
            raise InputError(
                "give dataset and encoder, or vectors X (n, d) and, if known, classes y."
            )
        return place(dataset, split, encoder), None
    if dataset is not None or encoder is not None:
        raise InputError("give either dataset and encoder, or vectors X, not both.")
    vectors, labels, _ = check_vectors(X, y)
    digest = hashlib.sha256(repr((vectors.shape, vectors.dtype.str)).encode())
    for part in (vectors, labels):
        digest.update(b"" if part is None else part.tobytes())
    names = Place(dataset="array", split="all", encoder="vectors")
    return names, Data(vectors, labels, digest.hexdigest())


def run_cell(
    cell: Cell, store: Store, on: Backend, *, force: bool = False, **how: Any
) -> tuple[Row | None, bool]:
    """Compute one cell, or read its row, and raise the error of a failed one.

    Parameters
    ----------
    cell, store, on
        The cell, the store of its row, and the backend.
    force : bool
        Compute it again although it has a row.
    **how
        Passed to `gpuclust.grid.run.run_grid`.

    Returns
    -------
    row, computed : dict or None, bool
        The row, None when the run was stopped before it; and False when the row existed before.
    """
    redo = "all" if force else "failed"
    units = units_of([cell])
    summary = grid.run_grid(units, store, on, redo=redo, save_bad_input=False, **how)
    if summary.errors:
        raise summary.errors[0]
    rows = rows_of(summary.keyed(units), store, on, how.get("options", Options()))
    return (rows[0] if rows else None), not summary.skipped


def run_grid(
    grid_file: str | Path, *, root: str | Path = ROOT, device: str = "auto", **how: Any
) -> pd.DataFrame:
    r"""Compute all cells of a grid file without a row, and return the table of its rows.

    Parameters
    ----------
    grid_file : path
        TOML lists; see `gpuclust.grid.grid_file.load_grid`.
    root, device
        See `embed`.
    **how
        Passed to `gpuclust.grid.run.run_grid`; ``redo="failed"`` computes failed cells again.

    Returns
    -------
    pandas.DataFrame
        One line per cell, see `gpuclust.report.tables.frame`; failed cells have an ``error``.

    Examples
    --------
    >>> import gpuclust
    >>> grid = tmp_path / "grid.toml"
    >>> _ = grid.write_text('dataset = "digits"\nencoder = "raw"\nclusterer = "kmeans"\n')
    >>> len(gpuclust.run_grid(grid, root=tmp_path))
    1
    """
    from .report.tables import frame

    units, store, on = load_grid(Path(grid_file)), Store(Path(root)), backend.select(device)
    summary = grid.run_grid(units, store, on, **how)
    return frame(rows_of(summary.keyed(units), store, on, how.get("options", Options())))


def results(root: str | Path = ROOT) -> pd.DataFrame:
    """Read all rows of a folder of results as a table, best AMI first.

    Returns
    -------
    pandas.DataFrame
        One line per row, see `gpuclust.report.tables.frame`.

    Raises
    ------
    InputError
        When there is no such folder.
    DamagedFileError
        When a row cannot be read.

    Examples
    --------
    >>> import gpuclust
    >>> len(gpuclust.results(tmp_path))
    0
    """
    from .errors import DamagedFileError
    from .report.tables import frame, ranked

    if not Path(root).is_dir():
        raise InputError(f"there is no folder of results {str(root)!r}. Give root=.")
    rows, problems = Store(Path(root)).rows()
    if problems:
        raise DamagedFileError(problems[0])
    table = frame(rows)
    return ranked(table) if len(table) else table

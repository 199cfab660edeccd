"""Tables of rows from Python: run a grid, read the results."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..device import backend
from ..errors import InputError, unknown
from ..files.paths import expand
from ..files.toml_file import parse_toml
from ..grid import run as grid
from ..grid.grid_file import grid_units, load_grid
from ..grid.states import rows_of
from ..store.store import Store
from .embedding import ROOT, options_of
from .watching import Progress, watched

if TYPE_CHECKING:
    import pandas as pd

    from ..cell import Unit


def run_grid(
    grid_file: str | os.PathLike[str] | Mapping[str, Any],
    *,
    redo: str = "none",
    save_labels: bool = False,
    root: str | Path = ROOT,
    device: str = "auto",
    data_dir: str | Path | None = None,
    batch_size: int | None = None,
    loaders: int | None = None,
    skip_bad: bool = False,
    trace: bool = False,
    progress: Progress = False,
    map_: grid.Map | None = None,
) -> pd.DataFrame:
    """Compute every combination of a grid without a row, and return the table of all rows.

    Ctrl-C keeps the rows written so far; the same call goes on from there.

    Parameters
    ----------
    grid_file : path, mapping or str
        TOML file of lists; a dict of the same lists; or TOML text with at least one line break.
        Keys are dataset, encoder, clusterer and, optionally, split, preprocess, reducer, k, seed,
        metrics; ``preset="study"`` takes the place of reducer and clusterer.  See
        `gpuclust.grid.grid_file.load_grid`.
    redo : {"none", "failed", "all"}
        Cells to compute again although they have a row.
    save_labels : bool
        Write the labels of every computed cell to ``<root>/labels/<key>.csv``.
    root, device, data_dir, batch_size, loaders, skip_bad, progress
        See `gpuclust.embed`.
    trace : bool
        Measure the copies between host and device; needs a GPU.
    map_ : callable, optional
        Computes units elsewhere, see `gpuclust.grid.run.run_grid`.

    Returns
    -------
    pandas.DataFrame
        One line per cell in the order of the grid, see `gpuclust.report.tables.frame`; failed cells
        have an ``error``.

    Raises
    ------
    InputError
        When the grid is not valid; every name is checked before anything runs.

    Warns
    -----
    GpuclustNote
        About failed cells, and choices made about the inputs.

    Examples
    --------
    >>> import gpuclust
    >>> lists = {"dataset": "digits", "encoder": "raw", "clusterer": "kmeans", "k": [5, 10]}
    >>> gpuclust.run_grid(lists, root=tmp_path)["k"].tolist()
    [5, 10]
    """
    from ..report.tables import frame

    with watched(progress) as watcher:
        units = _units(grid_file, watcher.note)
        store, on = Store(expand(root)), backend.select(device)
        options = options_of(data_dir, batch_size, loaders, skip_bad=skip_bad)
        summary = grid.run_grid(
            units,
            store,
            on,
            options=options,
            redo=redo,
            save_labels=save_labels,
            trace=trace,
            watcher=watcher,
            map_=map_,
        )
        table = frame(rows_of(summary.keyed(units), store, on, options))
        failed = int((table["status"] == "failed").sum()) if len(table) else 0
        if failed:
            watcher.note(
                f"{failed} of {len(table)} cells failed, see the column error; --retry-failed "
                "computes them again"
            )
        return table


def _units(
    given: str | os.PathLike[str] | Mapping[str, Any], say: Callable[[str], object]
) -> list[Unit]:
    if isinstance(given, Mapping):
        return grid_units(dict(given), "the grid", say)
    if isinstance(given, str) and "\n" in given:
        return grid_units(parse_toml(given, "the grid"), "the grid", say)
    if isinstance(given, str | os.PathLike):
        return load_grid(expand(given), say)
    raise InputError(
        f"a grid is a TOML file, its text or a dict of lists; got {type(given).__name__}."
    )


def results(root: str | Path = ROOT, *, outdated: bool = False, **only: Any) -> pd.DataFrame:
    """Read all rows of a folder of results as a table, best AMI first.

    Parameters
    ----------
    root : path
        Folder of results.
    outdated : bool
        Also return the rows of older embeddings, whose images, weights or vectors have changed
        since; the column ``outdated`` marks them.
    **only
        Values of columns to select, one or a list: ``dataset="digits"``,
        ``clusterer=["kmeans", "hdbscan"]``, ``status="ok"``.  A dataset may be named by the path of
        its folder or file, as in `gpuclust.run`.

    Returns
    -------
    pandas.DataFrame
        One line per row, see `gpuclust.report.tables.frame`; no line when nothing matches.

    Raises
    ------
    InputError
        When there is no such folder, or no such column.

    Warns
    -----
    GpuclustNote
        Names every file that is no row or is damaged; the other rows are returned.  Counts the
        outdated rows that are left out.

    Examples
    --------
    >>> import gpuclust
    >>> _ = gpuclust.run("digits", "raw", clusterer="kmeans", root=tmp_path)
    >>> len(gpuclust.results(tmp_path)), len(gpuclust.results(tmp_path, clusterer="hdbscan"))
    (1, 0)
    """
    from ..report.current import marked
    from ..report.tables import frame, ranked

    with watched(progress=False) as watcher:
        store = Store(expand(root))
        if not store.root.is_dir():
            raise InputError(f"there is no folder of results {str(root)!r}. Give another --root.")
        table = _selected(marked(frame(store.each_row(watcher.note)), store), only)
        old = int(table["outdated"].sum())
        if old and not outdated:
            watcher.note(
                f"left out: {old} rows of older embeddings, whose images, weights or vectors have "
                "changed since. outdated=True returns them"
            )
            table = table[~table["outdated"]]
        return ranked(table) if len(table) else table


def _selected(table: pd.DataFrame, only: Mapping[str, Any]) -> pd.DataFrame:
    """Select the lines with the wanted values."""
    from ..report.selection import dataset_names

    for name, value in only.items():
        if name not in table.columns:
            raise unknown("column", name, table.columns)
        wanted = list(value) if isinstance(value, list | tuple | set) else [value]
        if name == "dataset":
            wanted = [one for given in wanted for one in dataset_names(str(given))]
        table = table[table[name].isin(wanted)]
    return table

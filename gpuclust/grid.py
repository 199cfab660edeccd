"""Run units: what is already there is skipped, what fails becomes a row, what is done is saved.

This is the one place that catches errors broadly, because it records them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from . import host, pipeline
from .backend import Backend
from .cell import Cell, Unit, asked_values
from .errors import DamagedFileError, InputError, unknown
from .pipeline import Data, Outcome, Result
from .store import Store


class Known(NamedTuple):
    """What is known of an embedding without loading it: nothing, when it is not there."""

    fingerprint: str | None = None
    n_classes: int | None = None


class Options(NamedTuple):
    """Where embeddings come from: a user's own `vectors`, or images; see `embeddings.embed`."""

    vectors: Data | None = None
    data_dir: Path | None = None
    batch_size: int | None = None
    workers: int | None = None
    skip_bad: bool = False


DEFAULT_OPTIONS = Options()


class Watcher:
    """What a run tells while it goes; override what you want to hear."""

    def embedding(self, unit: Unit, done: int, total: int) -> None:
        """`done` of `total` images of a unit are embedded."""

    def unit(self, unit: Unit, left: int) -> None:
        """A unit begins with `left` cells to do."""

    def row(self, row: dict[str, Any]) -> None:
        """A row was saved."""

    def note(self, text: str) -> None:
        """Something a user should know happened."""


@dataclass
class Summary:
    """What a run of a grid did."""

    computed: int = 0
    failed: int = 0
    skipped: int = 0
    failed_before: int = 0
    stopped: bool = False
    errors: list[Exception] = field(default_factory=list)


def run_grid(
    units: Iterable[Unit],
    store: Store,
    on: Backend,
    *,
    options: Options = DEFAULT_OPTIONS,
    redo: str = "none",
    save_labels: bool = False,
    save_bad_input: bool = True,
    stop: Callable[[], bool] = lambda: False,
    watcher: Watcher | None = None,
) -> Summary:
    """Compute every cell that has no row yet and save its row.

    Parameters
    ----------
    units : iterable of Unit
        From `gpuclust.cell.load_grid`.
    store, on : Store, Backend
        Where the rows go, and where to compute.
    options : Options
        For embeddings that are missing.
    redo : {"none", "failed", "all"}
        Which cells to compute again although they have a row.
    save_labels : bool
        Also write the labels of every computed cell.
    save_bad_input : bool
        Whether a cell that cannot be computed as it was asked for (k above n, no images) leaves a
        failed row.  A grid wants to know what it is missing; a single run is told at once.
    stop : callable () -> bool
        Asked before every cell; on True the run ends after what is running.
    watcher : Watcher, optional
        Is told what happens.

    Returns
    -------
    Summary
        Counts of cells; `failed_before` are among those that were skipped.

    Raises
    ------
    StorageError
        When a row cannot be written: there is no point in computing what cannot be kept.
    """
    watcher = watcher or Watcher()
    summary = Summary()
    store.sweep()
    with store.running() as tell:
        for unit in units:
            if stop():
                summary.stopped = True
                break
            known = known_of(unit, store, options, watcher)
            states = states_of(unit, known, store, on, watcher=watcher)
            todo = dataclasses.replace(unit, cells=_todo(states, redo))
            summary.skipped += len(unit.cells) - len(todo.cells)
            summary.failed_before += 0 if redo != "none" else list(states.values()).count("failed")
            if not todo.cells:
                continue
            watcher.unit(unit, len(todo.cells))
            tell({"unit": str(unit), "cells": len(todo.cells)})
            for result in _results(todo, store, on, options, stop=stop, watcher=watcher):
                if save_bad_input or not isinstance(result.error, InputError):
                    store.save_row(unit, result.row, result.labels if save_labels else None)
                _count(summary, result)
                watcher.row(result.row)
    summary.stopped = summary.stopped or stop()
    return summary


def _count(summary: Summary, result: Result) -> None:
    summary.computed += 1
    if result.error is not None:
        summary.failed += 1
        summary.errors.append(result.error)


def _attempt(stage: Callable[..., Any], *args: Any) -> Outcome:
    """Run a stage; an error is an outcome."""
    start = time.perf_counter()
    try:
        return pipeline.measured(stage, *args)
    except Exception as error:  # noqa: BLE001 - it becomes a row, with its traceback
        return Outcome(None, time.perf_counter() - start, (), error)


def states_of(
    unit: Unit, known: Known, store: Store, on: Backend, *, watcher: Watcher
) -> dict[Cell, str]:
    """Tell for every cell of a unit whether its row says done or failed, or is not there: left."""
    states = {}
    for cell in unit.cells:
        try:
            row = store.read_row(store.row_path(unit, key_of(cell, known, on)))
        except DamagedFileError as error:
            watcher.note(str(error))
            row = None
        states[cell] = "left" if row is None else {"ok": "done"}.get(row["status"], "failed")
    return states


def _todo(states: dict[Cell, str], redo: str) -> tuple[Cell, ...]:
    wanted = {"none": ("left",), "failed": ("left", "failed"), "all": ("left", "failed", "done")}
    if redo not in wanted:
        raise unknown("redo", redo, wanted)
    return tuple(cell for cell, state in states.items() if state in wanted[redo])


def known_of(unit: Unit, store: Store, options: Options, watcher: Watcher) -> Known:
    """Find what the keys of a unit's rows need to know of its embedding."""
    if options.vectors is not None:
        return Known(options.vectors.fingerprint, options.vectors.n_classes)
    try:
        meta = current_meta(unit, store, options, watcher)
    except DamagedFileError:  # told when the unit is loaded
        return Known()
    return Known() if meta is None else Known(meta.fingerprint, meta.n_classes)


def key_of(cell: Cell, known: Known, on: Backend) -> str:
    """Give the key of a cell's row, with k filled in where the classes are known."""
    cell = cell.filled(known.n_classes)
    return cell.key(fingerprint=known.fingerprint, backend=on.name)


def _results(
    unit: Unit,
    store: Store,
    on: Backend,
    options: Options,
    *,
    stop: Callable[[], bool],
    watcher: Watcher,
) -> Iterator[Result]:
    """Embed what is missing, then compute; a unit without an embedding fails cell by cell."""
    loaded = _attempt(load_unit, unit, store, on, options, watcher)
    if loaded.error is not None:
        known = known_of(unit, store, options, watcher)
        yield from (_unloaded(cell, known, on, loaded) for cell in unit.cells)
        return
    for cell in unit.cells:  # what failed before the embedding could be made is outdated
        store.row_path(unit, key_of(cell, Known(), on)).unlink(missing_ok=True)
    yield from pipeline.run_unit(unit, loaded.value, on, attempt=_attempt, stop=stop)


def _unloaded(cell: Cell, known: Known, on: Backend, loaded: Outcome) -> Result:
    row = {
        "status": "failed",
        "key": key_of(cell, known, on),
        **asked_values(cell),
        "backend": on.name,
        **pipeline.failure(loaded),
        "finished": host.now(),
        "host": host.facts(),
    }
    return Result(row, None, loaded.error)


def load_unit(unit: Unit, store: Store, on: Backend, options: Options, watcher: Watcher) -> Data:
    """Load the embedding of a unit, making it first when it is not there.

    Raises
    ------
    DamagedFileError
        When the embedding was truncated or changed.
    InputError
        When it has NaN or infinite values, or its images or encoder cannot be had.
    """
    from . import embeddings

    if options.vectors is not None:
        data = options.vectors
    else:
        if current_meta(unit, store, options, watcher) is None:
            embed_unit(unit, store, on, options, watcher)
        X, y, meta = embeddings.load(store.embedding(unit))
        data = Data(X, y, meta.fingerprint)
    pipeline.check_finite(data.X, unit.dataset)
    return data


def current_meta(unit: Unit, store: Store, options: Options, watcher: Watcher) -> Any:
    """Read the side-car of a unit's embedding; None when there is none, or it is out of date."""
    from . import embeddings

    meta = embeddings.load_meta(store.embedding(unit))
    changed = meta and (_images_changed(unit, meta, options) or _checkpoint_changed(meta))
    if not changed:
        return meta
    watcher.note(f"{changed}: {unit} is embedded again. Rows of the older one are kept.")
    return None


def _images_changed(unit: Unit, meta: Any, options: Options) -> str | None:
    from . import datasets

    if not unit.dataset.startswith("folder:"):
        return None
    try:
        now = datasets.load(unit.dataset, split=unit.split, data_dir=options.data_dir)
    except InputError:  # the images are gone; what was embedded still counts
        return None
    if now.fingerprint == meta.data_fingerprint:
        return None
    return f"{unit.dataset} has changed ({meta.n} samples then, {len(now)} images now)"


def _checkpoint_changed(meta: Any) -> str | None:
    """Notice a checkpoint that was overwritten since, as training does; gone is not changed."""
    if "modified_ns" not in meta.source:
        return None
    path = Path(meta.source["file"])
    if not path.exists():
        return None
    status = path.stat()
    then = (meta.source["bytes"], meta.source["modified_ns"])
    return None if (status.st_size, status.st_mtime_ns) == then else f"{path} has changed"


def embed_unit(unit: Unit, store: Store, on: Backend, options: Options, watcher: Watcher) -> Any:
    """Embed the images of a unit and return what its side-car says."""
    from . import datasets, embeddings, encoders

    dataset = datasets.load(unit.dataset, split=unit.split, data_dir=options.data_dir)
    if dataset.ignored:
        first, more = dataset.ignored[0], len(dataset.ignored) - 1
        others = f" and {more} more" if more else ""
        watcher.note(f"passed over in {unit.dataset}, not an image: {first}{others}")
    encoder = encoders.load(unit.encoder, preprocess=unit.preprocess, image_size=dataset.image_size)
    given = {"batch_size": options.batch_size, "workers": options.workers}
    watcher.embedding(unit, 0, len(dataset))
    return embeddings.embed(
        dataset,
        encoder,
        store.embedding(unit),
        device=on.torch_device(),
        skip_bad=options.skip_bad,
        progress=lambda done, total: watcher.embedding(unit, done, total),
        **{key: value for key, value in given.items() if value is not None},
    )


def status(
    units: Iterable[Unit], store: Store, on: Backend, *, options: Options = DEFAULT_OPTIONS
) -> dict[str, Any]:
    """Count the cells of a grid: done, failed, running, left; and name what is running.

    A live process that works on a unit computes one of its cells; a cell without a row is left
    until its row is written.
    """
    counts: Counter[str] = Counter(done=0, failed=0, running=0, left=0)
    now = store.running_now()
    for unit in units:
        known = known_of(unit, store, options, Watcher())
        states = Counter(states_of(unit, known, store, on, watcher=Watcher()).values())
        running = min(states["left"], sum(told.get("unit") == str(unit) for told in now))
        counts.update(states)
        counts.update(running=running, left=-running)
    return {"cells": sum(counts.values()), **counts, "now": now}


def rows_of(
    units: Iterable[Unit], store: Store, on: Backend, options: Options = DEFAULT_OPTIONS
) -> list[dict[str, Any]]:
    """Read the rows that the cells of some units have; cells without one are left out."""
    found = []
    for unit in units:
        known = known_of(unit, store, options, Watcher())
        for cell in unit.cells:
            with contextlib.suppress(DamagedFileError):
                row = store.read_row(store.row_path(unit, key_of(cell, known, on)))
                found += [] if row is None else [row]
    return found


def own_vectors(path: Path, labels: Path | None = None) -> tuple[dict[str, str], Data]:
    """Read a user's own vectors and name them as a dataset; see `embeddings.read_vectors`.

    Returns
    -------
    names, data : dict, Data
        The file's name and ``vectors`` take the places of dataset and encoder; the fingerprint
        hashes the values and the classes.
    """
    from . import embeddings

    X, y, _ = embeddings.read_vectors(path, labels)
    digest = hashlib.sha256(np.ascontiguousarray(X).tobytes())
    digest.update(b"" if y is None else np.ascontiguousarray(y).tobytes())
    names = {"dataset": Path(path).stem, "split": "all", "encoder": "vectors"}
    return names, Data(X, y, digest.hexdigest())

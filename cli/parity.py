"""`parity`: compare the results of CPU and GPU."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import DEFAULT_ROOT, DataDir, Interrupt, Root, note, save, show_log, show_table
from .options import given_path, output_path
from .progress import ConsoleWatcher

if TYPE_CHECKING:
    from gpuclust.cell import Unit
    from gpuclust.device.backend import Backend
    from gpuclust.embeddings.data import Data
    from gpuclust.embeddings.load import Options
    from gpuclust.report.parity import Line
    from gpuclust.store.store import Store

RUNS = ("both", "cpu", "gpu", "none")


def register(app: typer.Typer) -> None:
    """Add the command of this module to the application."""
    app.command()(parity)


def parity(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]", help="A grid file. Default: the quickstart.", parser=given_path
        ),
    ] = None,
    embeddings: Annotated[
        Path | None,
        typer.Option(
            "--embeddings",
            help="Your own vectors instead of a grid file.",
            parser=given_path,
            metavar="FILE",
        ),
    ] = None,
    reducer: Annotated[
        list[str] | None, typer.Option("--reducer", help="With --embeddings; may be repeated.")
    ] = None,
    clusterer: Annotated[
        list[str] | None, typer.Option("--clusterer", help="With --embeddings; may be repeated.")
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Number of seeds, from 0.")] = 5,
    run: Annotated[
        str,
        typer.Option("--run", help="Compute both, cpu, gpu or none; the other rows are only read."),
    ] = "both",
    score: Annotated[str, typer.Option("--score", help="The score to show.")] = "ami",
    as_json: Annotated[
        Path | None,
        typer.Option(
            "--json",
            help="Write every score of every line to this file; - prints them.",
            parser=output_path,
            metavar="FILE",
        ),
    ] = None,
    data_dir: DataDir = None,
    root: Root = DEFAULT_ROOT,
) -> None:
    """Run the same cells on CPU and GPU and compare labels and scores, over several seeds."""
    from gpuclust.device import backend
    from gpuclust.embeddings import load
    from gpuclust.errors import unknown
    from gpuclust.files.output import is_stdout
    from gpuclust.report import parity
    from gpuclust.store.store import Store

    show_log()
    if run not in RUNS:
        raise unknown("run", run, RUNS)
    names = {"both": ("gpu", "cpu"), "none": ()}.get(run, (run,))
    # Selected before anything runs: a machine without a GPU stops here, with the reason.
    backends = [backend.select(name) for name in names]
    units, vectors = _units(file, embeddings, reducer, clusterer, seeds)
    store, options = Store(root), load.Options(vectors=vectors, data_dir=data_dir)
    for on in backends:
        note(f"{on.name}: {on.reason}")
        _run(units, store, on, options)
    lines = parity.compare(units, store, options)
    if as_json is None or not is_stdout(as_json):
        show_table(*parity.table(lines, score))
    note(
        "ARI: mean (smallest) over the seeds; cpu-cpu: between two seeds of the CPU backend. "
        "difference: gpu - cpu."
    )
    if as_json is not None:
        _write(as_json, lines)
    if any(line.missing for line in lines):
        raise typer.Exit(1)


def _units(
    file: Path | None,
    embeddings: Path | None,
    reducers: list[str] | None,
    clusterers: list[str] | None,
    seeds: int,
) -> tuple[list[Unit], Data | None]:
    """Return the cells, each with every seed, and the user's own vectors, if given."""
    import dataclasses

    from gpuclust import cell
    from gpuclust.embeddings import load
    from gpuclust.errors import InputError
    from gpuclust.grid.grid_file import load_grid
    from gpuclust.methods.table import CLUSTERERS

    if file is not None and (embeddings or reducers or clusterers):
        raise InputError("give either a grid FILE, or --embeddings with reducers and clusterers.")
    vectors = None
    if file is not None:
        cells = [one for unit in load_grid(file) for one in unit.cells]
    else:
        names = cell.place("digits", None, "efficientnet_lite0")
        if embeddings is not None:
            names, vectors = load.own_vectors(embeddings)
        cells = [
            cell.Cell.of(**names, reducer=reducer, clusterer=clusterer)
            for reducer in reducers or ("none", "umap")
            for clusterer in clusterers or CLUSTERERS
        ]
    every = (dataclasses.replace(one, seed=seed) for one in cells for seed in range(seeds))
    return cell.units_of(every), vectors


def _run(units: list[Unit], store: Store, on: Backend, options: Options) -> None:
    from gpuclust.grid import run

    with Interrupt() as stop, ConsoleWatcher(stop) as watcher:
        summary = run.run_grid(
            units, store, on, options=options, save_labels=True, stop=stop, watcher=watcher
        )
    if summary.stopped:
        note("Stopped before the end; the same command goes on from here.")
        raise typer.Exit(130)


def _write(path: Path, lines: list[Line]) -> None:
    from gpuclust.device import machine

    content = {
        "date": machine.now(),
        "host": machine.facts(),
        "lines": [line._asdict() for line in lines],
    }
    save("--json", path, json.dumps(content, indent=1) + "\n")

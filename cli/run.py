"""`run` and `quickstart`: one cell, a first example."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import (
    DEFAULT_ROOT,
    BatchSize,
    DataDir,
    Device,
    Interrupt,
    Loaders,
    Root,
    SkipBad,
    TraceTransfers,
    note,
    show_log,
    show_transfers,
)
from .embed import embed
from .one_cell import note_existing, show, source
from .options import Preprocess, Split, given_path, output_path
from .progress import ConsoleWatcher


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    app.command()(embed)
    app.command(name="run")(run)
    app.command()(quickstart)


def run(
    clusterer: Annotated[str, typer.Option("--clusterer", help="kmeans, hdbscan(metric=l1), ...")],
    dataset: Annotated[str | None, typer.Option("--dataset")] = None,
    encoder: Annotated[str | None, typer.Option("--encoder")] = None,
    embeddings: Annotated[
        Path | None,
        typer.Option(
            "--embeddings",
            help="Your own vectors: .npy, .npz, .parquet, .csv, .pt, .safetensors or a folder.",
            parser=given_path,
            metavar="FILE",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Name of your vectors; default vectors:PATH.")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels", help="Their classes, one per vector.", parser=given_path, metavar="FILE"
        ),
    ] = None,
    reducer: Annotated[
        str, typer.Option("--reducer", help="none, umap, 'zscore|pca(0.9)'")
    ] = "none",
    k: Annotated[
        int | None, typer.Option("--k", help="Default: the number of true classes.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed")] = 0,
    metrics: Annotated[
        list[str] | None, typer.Option("--metrics", help="Scores or groups; may be repeated.")
    ] = None,
    split: Split = None,
    preprocess: Preprocess = "own",
    device: Device = "auto",
    save_labels: Annotated[
        bool, typer.Option("--save-labels", help="Write the cluster of each image as CSV, too.")
    ] = False,
    save_labels_to: Annotated[
        Path | None,
        typer.Option(
            "--save-labels-to",
            help="Write the cluster of each image to this file: .csv or .parquet.",
            parser=output_path,
            metavar="FILE",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Compute again.")] = False,
    trace_transfers: TraceTransfers = False,
    data_dir: DataDir = None,
    batch_size: BatchSize = None,
    loaders: Loaders = None,
    skip_bad: SkipBad = False,
    root: Root = DEFAULT_ROOT,
) -> None:
    """Reduce, cluster and score one dataset, after embedding it where needed."""
    from gpuclust import cell
    from gpuclust.api.cells import result_of, run_cell
    from gpuclust.device import backend
    from gpuclust.embeddings import load
    from gpuclust.errors import InputError
    from gpuclust.store.labels import check_suffix
    from gpuclust.store.store import Store

    show_log()
    if save_labels_to is not None:
        check_suffix(save_labels_to)
    on, store = backend.select(device), Store(root)
    names, vectors = source(dataset, split, encoder, embeddings, labels, name)
    asked = cell.Cell.of(
        **names,
        preprocess=preprocess,
        reducer=reducer,
        clusterer=clusterer,
        k=k,
        seed=seed,
        metrics=metrics or ["default"],
    )
    options = load.Options(
        vectors=vectors,
        data_dir=data_dir,
        batch_size=batch_size,
        workers=loaders,
        skip_bad=skip_bad,
    )
    if vectors is not None and preprocess != "own":
        raise InputError("--preprocess belongs to --dataset; leave it out with --embeddings.")
    if k is not None and asked.k is None:
        note(f"{clusterer} finds the number of clusters itself, so --k {k} has no effect")
    # A failed cell raises its error, so that the watcher need not show it.
    with Interrupt() as stop, ConsoleWatcher(stop, failures=False) as watcher:
        found = run_cell(
            asked,
            store,
            on,
            force=force or trace_transfers,
            need_labels=save_labels or save_labels_to is not None,
            options=options,
            save_labels=save_labels,
            trace=trace_transfers,
            stop=stop,
            watcher=watcher,
        )
    if found.row is None:  # interrupted before the cell began
        raise typer.Exit(130)
    if not found.computed:
        note_existing(found.row)
    show(found.row, store, asked, saved=save_labels)
    if save_labels_to is not None:
        note(f"labels: {result_of(found, asked, store, on, options).to_csv(save_labels_to)}")
    if trace_transfers:
        show_transfers([found.row])


def quickstart(
    device: Device = "auto",
    root: Root = DEFAULT_ROOT,
) -> None:
    """Embed 1,797 real digits with EfficientNet-Lite0 and try six clusterers, raw and on UMAP."""
    from gpuclust import cell
    from gpuclust.device import backend
    from gpuclust.methods.table import STUDY_CLUSTERERS
    from gpuclust.store.store import Store

    from .grid import run_and_report

    show_log()
    on = backend.select(device)
    note(f"backend: {on.name} ({on.reason})")
    names = cell.place("digits", None, "efficientnet_lite0")
    cells = [
        cell.Cell.of(**names, reducer=reducer, clusterer=clusterer)
        for reducer in ("none", "umap")
        for clusterer in STUDY_CLUSTERERS
    ]
    run_and_report(cell.units_of(cells), Store(root), on)

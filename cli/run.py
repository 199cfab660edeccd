"""`embed`, `run` and `quickstart`: one embedding, one cell, the tour."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Annotated, Any

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
    out,
    show_log,
    show_table,
    show_transfers,
)
from .progress import ConsoleWatcher

Preprocess = Annotated[
    str, typer.Option("--preprocess", help="own: the encoder's; study: resize and crop to 224.")
]
Split = Annotated[str | None, typer.Option("--split", help="Default: the dataset's own default.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    app.command()(embed)
    app.command(name="run")(run)
    app.command()(quickstart)


def embed(
    dataset: Annotated[str, typer.Argument(help="See `gpuclust list datasets`.")],
    encoder: Annotated[str, typer.Argument(help="See `gpuclust list encoders`.")],
    split: Split = None,
    preprocess: Preprocess = "own",
    device: Device = "auto",
    data_dir: DataDir = None,
    batch_size: BatchSize = None,
    loaders: Loaders = None,
    skip_bad: SkipBad = False,
    force: Annotated[bool, typer.Option("--force", help="Embed again.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Only hash the stored files again and compare.")
    ] = False,
    root: Root = DEFAULT_ROOT,
) -> None:
    """Embed a dataset with an encoder and store the result."""
    from gpuclust import cell
    from gpuclust.device import backend
    from gpuclust.embeddings import embed, load
    from gpuclust.errors import InputError
    from gpuclust.store.store import Store

    show_log()
    names = cell.place(dataset, split, encoder)
    unit = cell.Unit(**names, preprocess=cell.check_preprocess(preprocess), cells=())
    store, on = Store(root), backend.select(device)
    files = store.embedding(unit)
    if verify:
        if embed.load_meta(files) is None:
            raise InputError(f"{unit} is not embedded in {root}, so there is nothing to verify.")
        embed.verify(files)
        out.print(f"{files.array}: intact")
        return
    options = load.Options(
        data_dir=data_dir, batch_size=batch_size, workers=loaders, skip_bad=skip_bad
    )
    with Interrupt() as stop, ConsoleWatcher(stop) as watcher:
        meta = None if force else load.current_meta(unit, store, options, watcher)
        if meta is None:
            meta = _embed(unit, store, on, options, watcher)
        else:
            note("already embedded; --force embeds again")
    out.print(f"{files.array}: {meta.n} samples x {meta.d} dimensions", soft_wrap=True)


def _embed(unit: Any, store: Any, on: Any, options: Any, watcher: ConsoleWatcher) -> Any:
    """Embed a unit that no other process has, and return its side-car."""
    from gpuclust.embeddings import load
    from gpuclust.errors import InputError
    from gpuclust.events import Stopped

    with store.claim(unit) as tell:
        if tell is None:
            raise InputError(
                f"another process works on {unit} right now; `gpuclust grid-status` names it. "
                "Run this again when it is done."
            )
        tell({"unit": str(unit), "host": platform.node(), "pid": os.getpid(), "stage": "embedding"})
        try:
            return load.embed_unit(unit, store, on, options, watcher).meta
        except Stopped as stopped:
            note("Stopped; half an embedding cannot be kept.")
            raise typer.Exit(130) from stopped


def run(
    clusterer: Annotated[str, typer.Option("--clusterer", help="kmeans, hdbscan(metric=l1), ...")],
    dataset: Annotated[str | None, typer.Option("--dataset")] = None,
    encoder: Annotated[str | None, typer.Option("--encoder")] = None,
    embeddings: Annotated[
        Path | None, typer.Option("--embeddings", help="Your own vectors: .npy, .npz or .parquet.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option("--labels", help="Their classes, one per vector.")
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
        bool, typer.Option("--save-labels", help="Also write the predicted labels.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Compute again.")] = False,
    trace_transfers: TraceTransfers = False,
    data_dir: DataDir = None,
    batch_size: BatchSize = None,
    loaders: Loaders = None,
    skip_bad: SkipBad = False,
    root: Root = DEFAULT_ROOT,
) -> None:
    """Reduce, cluster and score one dataset; embeds it first when that is missing."""
    from gpuclust import cell
    from gpuclust.device import backend
    from gpuclust.embeddings import load
    from gpuclust.store.store import Store

    show_log()
    on = backend.select(device)
    how = {"reducer": reducer, "clusterer": clusterer, "k": k, "seed": seed}
    how["metrics"] = metrics or ["default"]
    names, vectors = _source(dataset, split, encoder, embeddings, labels)
    asked = cell.Cell.of(**names, preprocess=preprocess, **how)
    options = load.Options(
        vectors=vectors,
        data_dir=data_dir,
        batch_size=batch_size,
        workers=loaders,
        skip_bad=skip_bad,
    )
    how = {"force": force or trace_transfers, "save_labels": save_labels, "trace": trace_transfers}
    row = _one(asked, Store(root), on, options, **how)
    _show(row, Store(root), asked)
    if trace_transfers:
        show_transfers([row])


def _source(
    dataset: str | None,
    split: str | None,
    encoder: str | None,
    embeddings: Path | None,
    labels: Path | None,
) -> tuple[dict[str, str], Any]:
    """Find out whether images or vectors are to be clustered."""
    from gpuclust import cell
    from gpuclust.errors import InputError

    if embeddings is None:
        if dataset is None or encoder is None:
            raise InputError(
                "say what to cluster: --dataset and --encoder for images, or --embeddings FILE "
                "(and --labels FILE) for vectors of your own."
            )
        if labels is not None:
            raise InputError("--labels goes with --embeddings; a dataset brings its own labels.")
        return cell.place(dataset, split, encoder), None
    if dataset is not None or encoder is not None:
        raise InputError("give either --dataset and --encoder, or --embeddings, not both.")
    from gpuclust.embeddings import load

    return load.own_vectors(embeddings, labels)


def _one(
    asked: Any,
    store: Any,
    on: Any,
    options: Any,
    *,
    force: bool,
    save_labels: bool,
    trace: bool,
) -> dict[str, Any]:
    """Compute one cell, or find it done, and return its row; raise the error of a failed one."""
    from gpuclust import cell
    from gpuclust.grid import run, states

    (unit,) = cell.units_of([asked])
    # A failure is raised below, as the error of the command.
    with Interrupt() as stop, ConsoleWatcher(stop, failures=False) as watcher:
        summary = run.run_grid(
            [unit],
            store,
            on,
            options=options,
            redo="all" if force else "failed",
            save_labels=save_labels,
            save_bad_input=False,
            trace=trace,
            stop=stop,
            watcher=watcher,
        )
    if summary.errors:
        raise summary.errors[0]
    if summary.skipped:
        note("already computed; --force computes it again")
    rows = states.rows_of([unit], store, on, options)
    if not rows:  # interrupted before the cell began
        raise typer.Exit(130)
    return rows[0]


def _show(row: dict[str, Any], store: Any, asked: Any) -> None:
    from gpuclust.cell import units_of

    scores = {name: value for name, value in row["scores"].items() if value is not None}
    twins = [n for n in scores if n.endswith("_clustered") and n != "share_clustered"]
    same = [n for n in twins if scores[n] == scores.get(n.removesuffix("_clustered"))]
    lines = [
        [n, f"{v:.4f}" if isinstance(v, float) else str(v)]
        for n, v in scores.items()
        if n not in same
    ]
    k = f", k={row['k']}" if row["k"] else ""
    what = f"{row['reducer']} | {row['clusterer']}{k}, seed {row['seed']}, {row['backend']}"
    note(f"{row['dataset']} ({row['split']}) x {row['encoder']}: {what}")
    show_table(["score", "value"], lines)
    (unit,) = units_of([asked])
    note(f"row: {store.row_path(unit, row['key'])}")
    if store.labels_path(row["key"]).exists():
        note(f"labels: {store.labels_path(row['key'])}")


def quickstart(
    device: Device = "auto",
    root: Root = DEFAULT_ROOT,
) -> None:
    """Embed 1,797 real digits with EfficientNet-Lite0 and try six clusterers, raw and on UMAP."""
    from gpuclust import cell
    from gpuclust.device import backend
    from gpuclust.methods.table import CLUSTERERS
    from gpuclust.store.store import Store

    from .grid import run_and_report

    show_log()
    on = backend.select(device)
    note(f"backend: {on.name} ({on.reason})")
    names = cell.place("digits", None, "efficientnet_lite0")
    cells = [
        cell.Cell.of(**names, reducer=reducer, clusterer=clusterer)
        for reducer in ("none", "umap")
        for clusterer in CLUSTERERS
    ]
    run_and_report(cell.units_of(cells), Store(root), on)

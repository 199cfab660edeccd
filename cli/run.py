"""`embed`, `run` and `quickstart`: one embedding, one cell, a first example."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
from .options import given_path
from .progress import ConsoleWatcher

if TYPE_CHECKING:
    from gpuclust.cell import Cell, Place
    from gpuclust.device.backend import Backend
    from gpuclust.embeddings.data import Data
    from gpuclust.embeddings.files import EmbeddingMeta
    from gpuclust.embeddings.load import Lookup, Options
    from gpuclust.store.store import Store

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
        found = load.Lookup(unit) if force else load.look_up(unit, store, options, watcher)
        if found.problem is not None:
            raise found.problem
        if found.meta is None:
            meta = _embed(found, store, on, options, watcher)
        else:
            meta = found.meta
            note("already embedded; --force embeds again")
    out.print(f"{files.array}: {meta.n} samples x {meta.d} dimensions", soft_wrap=True)


def _embed(
    found: Lookup, store: Store, on: Backend, options: Options, watcher: ConsoleWatcher
) -> EmbeddingMeta:
    """Embed a unit, unless another process has claimed it, and return its metadata."""
    from gpuclust.embeddings import load
    from gpuclust.errors import InputError
    from gpuclust.events import Stopped

    unit = found.unit
    with store.claim(unit) as say:
        if say is None:
            raise InputError(
                f"another process is computing {unit}; `gpuclust grid-status` names it. "
                "Run this again when it is done."
            )
        say({"unit": str(unit), "host": platform.node(), "pid": os.getpid(), "stage": "embedding"})
        try:
            return load.embed_unit(found, store, on, options, watcher).meta
        except Stopped as stopped:
            note("Stopped; an incomplete embedding is not kept.")
            raise typer.Exit(130) from stopped


def run(
    clusterer: Annotated[str, typer.Option("--clusterer", help="kmeans, hdbscan(metric=l1), ...")],
    dataset: Annotated[str | None, typer.Option("--dataset")] = None,
    encoder: Annotated[str | None, typer.Option("--encoder")] = None,
    embeddings: Annotated[
        Path | None,
        typer.Option(
            "--embeddings",
            help="Your own vectors: .npy, .npz or .parquet.",
            parser=given_path,
            metavar="FILE",
        ),
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
    """Reduce, cluster and score one dataset, after embedding it where needed."""
    from gpuclust import cell
    from gpuclust.api import run_cell
    from gpuclust.device import backend
    from gpuclust.embeddings import load
    from gpuclust.errors import InputError
    from gpuclust.store.store import Store

    show_log()
    on, store = backend.select(device), Store(root)
    names, vectors = _source(dataset, split, encoder, embeddings, labels)
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
        row, computed = run_cell(
            asked,
            store,
            on,
            force=force or trace_transfers,
            options=options,
            save_labels=save_labels,
            trace=trace_transfers,
            stop=stop,
            watcher=watcher,
        )
    if row is None:  # interrupted before the cell began
        raise typer.Exit(130)
    if not computed:
        note("already computed; --force computes it again")
    _show(row, store, asked)
    if trace_transfers:
        show_transfers([row])


def _source(
    dataset: str | None,
    split: str | None,
    encoder: str | None,
    embeddings: Path | None,
    labels: Path | None,
) -> tuple[Place, Data | None]:
    """Return the names of the images, or of the user's own vectors with their data."""
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
    if split is not None:
        raise InputError("--split belongs to --dataset; leave it out with --embeddings.")
    from gpuclust.embeddings import load

    return load.own_vectors(embeddings, labels)


def _show(row: dict[str, Any], store: Store, asked: Cell) -> None:
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

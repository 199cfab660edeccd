"""`embed`: the embedding of one dataset."""

from __future__ import annotations

import dataclasses
import functools
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
    note,
    out,
    show_log,
)
from .one_cell import place_of
from .options import Preprocess, Split
from .progress import ConsoleWatcher


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
    from gpuclust.events import Stopped
    from gpuclust.store.store import Store

    show_log()
    store, on = Store(root), backend.select(device)
    names = place_of(dataset, split, encoder)
    unit = cell.Unit(**names, preprocess=cell.check_preprocess(preprocess), cells=())
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
        found = load.look_up(unit, store, options, watcher)
        if found.problem is not None and found.meta is None and not force:
            raise found.problem
        if found.problem is not None:
            note(f"{_reason(found.problem)}: it is embedded again")
        if force:
            found = dataclasses.replace(found, meta=None, problem=None, reuse=False)
        meta = found.meta if found.problem is None else None
        if meta is not None:
            note("already embedded; --force embeds again")
        else:
            look = functools.partial(load.look_up, unit, store, options, watcher)
            try:
                meta = load.embed_or_wait(
                    found, look, store, on, options=options, watcher=watcher, stop=stop
                ).meta
            except Stopped as stopped:
                note("Stopped. What is embedded is kept; the same command goes on from here.")
                raise typer.Exit(130) from stopped
    out.print(f"{files.array}: {meta.n} samples x {meta.d} dimensions", soft_wrap=True)


def _reason(problem: Exception) -> str:
    """Return the sentence about a damaged file without the one about the way out."""
    return str(problem).partition(". `gpuclust")[0]

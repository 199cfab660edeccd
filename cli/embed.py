"""`embed`: the embedding of one dataset."""

from __future__ import annotations

import dataclasses
import os
import platform
import time
from typing import TYPE_CHECKING, Annotated

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

if TYPE_CHECKING:
    from gpuclust.device.backend import Backend
    from gpuclust.embeddings.files import EmbeddingMeta
    from gpuclust.embeddings.load import Lookup, Options
    from gpuclust.store.store import Store

# Pause before a unit that another process is computing is tried again.
WAIT_SECONDS = 0.5


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
            meta = _embed(found, store, on, options, watcher, stop)
    out.print(f"{files.array}: {meta.n} samples x {meta.d} dimensions", soft_wrap=True)


def _embed(
    found: Lookup,
    store: Store,
    on: Backend,
    options: Options,
    watcher: ConsoleWatcher,
    stop: Interrupt,
) -> EmbeddingMeta:
    """Embed a unit, alone or with another process, and return the metadata."""
    from gpuclust.embeddings import load
    from gpuclust.events import Stopped

    unit = found.unit
    try:
        while True:
            with store.claim(unit) as say:
                if say is not None:
                    what = {"unit": str(unit), "host": platform.node(), "pid": os.getpid()}
                    say(what | {"stage": "embedding"})
                    # Another process may have embedded it since the lookup.
                    if not load.is_current(found, store):
                        found = load.look_up(unit, store, options, watcher)
                        if found.meta is not None and found.problem is None:
                            return found.meta
                    return load.embed_unit(found, store, on, options, watcher).meta
            if not load.help_unit(found, store, on, options, watcher):
                watcher.note(f"another process is computing {unit}: waiting for it")
                time.sleep(WAIT_SECONDS)
            if stop():
                raise Stopped("the run was asked to stop")
    except Stopped as stopped:
        note("Stopped. What is embedded is kept; the same command goes on from here.")
        raise typer.Exit(130) from stopped


def _reason(problem: Exception) -> str:
    """Return the sentence about a damaged file without the one about the way out."""
    return str(problem).partition(". `gpuclust")[0]

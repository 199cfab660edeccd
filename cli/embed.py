"""`embed`: one embedding, several over one decoding pass, or all of a preset."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import textwrap
from collections.abc import Sequence
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
    note,
    out,
    show_log,
    show_table,
)
from .one_cell import place_of
from .options import Split
from .progress import ConsoleWatcher
from .selection import PresetName

if TYPE_CHECKING:
    from gpuclust.cell import Unit
    from gpuclust.device.backend import Backend
    from gpuclust.embeddings.files import EmbeddingMeta
    from gpuclust.embeddings.load import Options
    from gpuclust.errors import GpuclustError
    from gpuclust.store.store import Store

_STOPPED = "Stopped. What is embedded is kept; the same command goes on from here."


def embed(
    dataset: Annotated[
        str | None, typer.Argument(help="See `gpuclust list datasets`.", show_default=False)
    ] = None,
    encoder: Annotated[
        str | None, typer.Argument(help="See `gpuclust list encoders`.", show_default=False)
    ] = None,
    preset: PresetName = None,
    datasets: Annotated[
        list[str] | None,
        typer.Option("--dataset", help="This dataset; repeat it. Default of a preset: all."),
    ] = None,
    encoders: Annotated[
        list[str] | None,
        typer.Option("--encoder", help="This encoder; repeat it. Default of a preset: all."),
    ] = None,
    split: Split = None,
    preprocess: Annotated[
        str | None,
        typer.Option(
            "--preprocess",
            help="own: the encoder's; study: resize and crop to 224. Default: the preset's, or own",
            show_default=False,
        ),
    ] = None,
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
    """Embed a dataset with an encoder, datasets with several encoders, or all of a preset.

    With several encoders, the images of a dataset are decoded once for all that share a
    preprocessing: gpuclust embed --dataset photos --encoder raw --encoder random_resnet50
    """
    from gpuclust import cell
    from gpuclust.device import backend
    from gpuclust.embeddings import load
    from gpuclust.store.store import Store

    show_log()
    _check(dataset, encoder, preset, datasets, encoders, one_only=force or verify)
    store, on = Store(root), backend.select(device)
    options = load.Options(
        data_dir=data_dir, batch_size=batch_size, workers=loaders, skip_bad=skip_bad
    )
    if preset is not None:
        units = _units(preset, datasets, encoders, split, preprocess)
        _embed_all(units, store, on, options)
        return
    way = cell.check_preprocess(preprocess or "own")
    if dataset is None or encoder is None:
        pairs = itertools.product(datasets or (), encoders or ())
        places = [cell.place(one, split, by) for one, by in pairs]
        units = [cell.Unit(**at, preprocess=way, cells=()) for at in places]
        _embed_all(list(dict.fromkeys(units)), store, on, options)
        return
    unit = cell.Unit(**place_of(dataset, split, encoder), preprocess=way, cells=())
    if verify:
        _verify(unit, store)
    else:
        _embed_one(unit, store, on, options, force=force)


def _check(
    dataset: str | None,
    encoder: str | None,
    preset: str | None,
    datasets: list[str] | None,
    encoders: list[str] | None,
    *,
    one_only: bool,
) -> None:
    """Require a dataset and an encoder, datasets and encoders as options, or a preset."""
    from gpuclust.errors import InputError

    if dataset is not None and preset is None and (datasets or encoders):
        raise InputError(
            f"give names or options, not both: {dataset} and --dataset or --encoder. Write "
            "`gpuclust embed DATASET ENCODER`, or `gpuclust embed --dataset D --encoder A "
            "--encoder B`."
        )
    whole = datasets and encoders if dataset is None else encoder is not None
    if preset is None and not whole:
        raise InputError(
            "say what to embed: `gpuclust embed DATASET ENCODER`, `gpuclust embed --dataset D "
            "--encoder A --encoder B`, or `gpuclust embed --preset study`."
        )
    if preset is not None and dataset is not None:
        raise InputError(
            f"give a dataset and an encoder, or a preset, not both: {dataset} and --preset "
            f"{preset}. With a preset write --dataset {dataset}."
        )
    if dataset is None and one_only:
        raise InputError(
            "--force and --verify take one embedding: write `gpuclust embed DATASET ENCODER`."
        )


def _units(
    preset: str,
    datasets: list[str] | None,
    encoders: list[str] | None,
    split: str | None,
    preprocess: str | None,
) -> list[Unit]:
    """Return the embeddings of a preset, as units without cells."""
    from gpuclust.grid.grid_file import grid_units

    given = {"preset": preset, "dataset": datasets, "encoder": encoders}
    given |= {"split": split, "preprocess": preprocess}
    table = {key: value for key, value in given.items() if value not in (None, [])}
    # Which cells follow does not matter here, so neither does a row that is missing.
    units = grid_units(table, "the command line", say=lambda text: None)
    return [dataclasses.replace(unit, cells=()) for unit in units]


def _verify(unit: Unit, store: Store) -> None:
    from gpuclust.embeddings import embed
    from gpuclust.errors import InputError

    files = store.embedding(unit)
    if embed.load_meta(files) is None:
        raise InputError(f"{unit} is not embedded in {store.root}, so there is nothing to verify.")
    embed.verify(files)
    out.print(f"{files.array}: intact")


def _embed_one(unit: Unit, store: Store, on: Backend, options: Options, *, force: bool) -> None:
    from gpuclust.embeddings import load
    from gpuclust.events import Stopped

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
                note(_STOPPED)
                raise typer.Exit(130) from stopped
    array = store.embedding(unit).array
    out.print(f"{array}: {meta.n} samples x {meta.d} dimensions", soft_wrap=True)


def _embed_all(units: Sequence[Unit], store: Store, on: Backend, options: Options) -> None:
    """Embed all units, show one line for each, and exit with 1 if one could not be embedded."""
    from gpuclust.embeddings.together import embed_together
    from gpuclust.events import Stopped
    from gpuclust.report import failures

    note(f"backend: {on.name} ({on.reason})")
    with Interrupt() as stop, ConsoleWatcher(stop, units=len(units)) as watcher:
        try:
            done = embed_together(units, store, on, options, watcher, stop=stop)
        except Stopped as stopped:
            note(_STOPPED)
            raise typer.Exit(130) from stopped
    show_table(["unit", "samples", "dimensions", "problem"], [_line(*one) for one in done])
    failed = [_failure(unit, one) for unit, one in done if isinstance(one, Exception)]
    for reason in failures.reasons(failed, cells=False):
        note(f"failed: {reason}")
    note(f"{len(done) - len(failed)} of {len(units)} embedded in {store.root}")
    if stop():
        note(_STOPPED)
        raise typer.Exit(130)
    if failed:
        raise typer.Exit(1)


def _line(unit: Unit, found: EmbeddingMeta | GpuclustError) -> list[str]:
    if isinstance(found, Exception):
        return [str(unit), "", "", textwrap.shorten(str(found), 70, placeholder=" ...")]
    return [str(unit), str(found.n), str(found.d), ""]


def _failure(unit: Unit, error: Exception) -> dict[str, Any]:
    """Return the error of a unit as a row for `failures.reasons`."""
    names = ("dataset", "split", "encoder", "preprocess")
    row: dict[str, Any] = {name: getattr(unit, name) for name in names}
    return row | {"status": "failed", "error": {"message": str(error)}}


def _reason(problem: Exception) -> str:
    """Return the sentence about a damaged file without the one about the way out."""
    return str(problem).partition(". `gpuclust")[0]

"""`grid` and `grid-status`: run many cells, and show their progress."""

from __future__ import annotations

import contextlib
import json
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
    Threads,
    TraceTransfers,
    note,
    out,
    put,
    show_log,
    show_table,
    show_transfers,
)
from .json_log import JsonLog
from .options import given_path, output_path
from .progress import ConsoleWatcher
from .report import show_rows
from .selection import Datasets, Encoders, PresetName, Seed, units_of

if TYPE_CHECKING:
    from gpuclust.cell import Unit
    from gpuclust.cluster.dask_cluster import Cluster
    from gpuclust.cluster.plan import Plan
    from gpuclust.device.backend import Backend
    from gpuclust.embeddings.load import Options
    from gpuclust.store.store import Store

GridFile = Annotated[
    Path | None,
    typer.Argument(
        metavar="[FILE]",
        help="TOML lists of what to combine; or --preset.",
        parser=given_path,
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    app.command()(grid)
    app.command(name="grid-status")(grid_status)


def grid(
    file: GridFile = None,
    preset: PresetName = None,
    dataset: Datasets = None,
    encoder: Encoders = None,
    seed: Seed = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only count the cells and estimate the time.")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Compute failed cells again.")
    ] = False,
    save_labels: Annotated[
        bool, typer.Option("--save-labels", help="Also write the predicted labels.")
    ] = False,
    trace_transfers: TraceTransfers = False,
    scheduler: Annotated[
        str | None,
        typer.Option(
            "--scheduler",
            help="Compute on Dask workers: local, cuda, an address, file:scheduler.json. "
            "Default: in this process.",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, help="How many to start; default one per core or GPU."),
    ] = None,
    threads: Threads = None,
    memory_limit: Annotated[
        str, typer.Option("--memory-limit", help="Of each worker started: auto, 8GiB, 0 for none.")
    ] = "auto",
    json_log: Annotated[
        Path | None,
        typer.Option(
            "--json-log",
            help="Append every event to this file as JSON.",
            parser=output_path,
            metavar="FILE",
        ),
    ] = None,
    device: Device = "auto",
    data_dir: DataDir = None,
    batch_size: BatchSize = None,
    loaders: Loaders = None,
    skip_bad: SkipBad = False,
    root: Root = DEFAULT_ROOT,
) -> None:
    """Compute all combinations of a grid file, or all cells of a preset, without a result."""
    from gpuclust.device import backend
    from gpuclust.device.threads import use_threads
    from gpuclust.embeddings.load import Options, check_sources
    from gpuclust.store.store import Store

    show_log()
    units, store = units_of(file, preset, dataset, encoder, seed), Store(root)
    check_sources(units, store)
    options = Options(data_dir=data_dir, batch_size=batch_size, workers=loaders, skip_bad=skip_bad)
    how: dict[str, Any] = {
        "options": options,
        "retry_failed": retry_failed,
        "save_labels": save_labels,
        "trace": trace_transfers,
        "json_log": json_log,
    }
    plan = _cluster_plan(scheduler, workers, threads, memory_limit)
    if dry_run:
        _plan(units, store, backend.select(device), options)
    elif plan is not None:
        _on_cluster(units, store, plan, device, **how)
    else:
        if threads is not None:
            use_threads(threads)
        on = backend.select(device)
        note(f"backend: {on.name} ({on.reason})")
        run_and_report(units, store, on, **how)


def _cluster_plan(
    scheduler: str | None, workers: int | None, threads: int | None, memory_limit: str
) -> Plan | None:
    """Check the options of a cluster; None without one."""
    from gpuclust.errors import InputError

    if scheduler is None:
        if workers is not None or memory_limit != "auto":
            raise InputError(
                "--workers and --memory-limit belong to a --scheduler. Add --scheduler local (or "
                "cuda), or leave them out."
            )
        return None
    from gpuclust.cluster.plan import Plan

    return Plan(scheduler, workers, threads, memory_limit)


def _on_cluster(units: list[Unit], store: Store, plan: Plan, device: str, **how: Any) -> None:
    """Start or join a cluster and run the units there."""
    from gpuclust.cluster import dask_cluster

    with dask_cluster.cluster(plan, store, device) as cluster:
        note(f"backend: {cluster.on.name} ({cluster.on.reason})")
        if cluster.dashboard:
            note(f"dashboard: {cluster.dashboard}")
        run_and_report(units, store, cluster.on, cluster=cluster, **how)


def run_and_report(
    units: list[Unit],
    store: Store,
    on: Backend,
    *,
    options: Options | None = None,
    retry_failed: bool = False,
    save_labels: bool = False,
    trace: bool = False,
    cluster: Cluster | None = None,
    json_log: Path | None = None,
) -> None:
    """Run units, show the table of their rows, and exit with 1 when a cell failed."""
    from gpuclust.embeddings import load
    from gpuclust.events import Relay, Watcher
    from gpuclust.grid import run, states
    from gpuclust.report import failures, tables, versions

    options = options or load.DEFAULT_OPTIONS
    cells = sum(len(unit.cells) for unit in units)
    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(Interrupt())
        watcher: Watcher = stack.enter_context(ConsoleWatcher(stop, units=len(units), cells=cells))
        if json_log is not None:
            log = stack.enter_context(contextlib.closing(JsonLog(json_log)))
            watcher = Relay(watcher.tell, log, stop=stop)
        summary = run.run_grid(
            units,
            store,
            on,
            options=options,
            redo="failed" if retry_failed else "none",
            save_labels=save_labels,
            trace=trace,
            stop=stop,
            watcher=watcher,
            map_=cluster,
        )
    rows = states.rows_of(summary.keyed(units), store, on, options)
    # Cells without an embedding have no values to show; their reasons follow.
    show_rows(tables.frame(row for row in rows if row["status"] == "ok" or "n" in row), most=200)
    if trace:
        show_transfers(rows)
    for reason in failures.reasons(rows):
        note(f"failed: {reason}")
    note(
        f"{summary.computed} cells computed, {summary.failed} of them failed; "
        f"{summary.skipped} had a row before. Results: {store.root}"
    )
    if (others := versions.of_others(rows)) is not None:
        note(f"{others}, not by the versions here; `gpuclust report` shows the versions.")
    if summary.stopped:
        note("Stopped before the end; the same command goes on from here.")
        raise typer.Exit(130)
    if summary.failed_before:
        note(f"{summary.failed_before} cells failed earlier; --retry-failed computes them again.")
    if summary.failed or summary.failed_before:
        raise typer.Exit(1)


def _plan(units: list[Unit], store: Store, on: Backend, options: Options) -> None:
    from gpuclust.grid import cost, run

    lines, total, unsure = [], 0.0, False
    sizes: cost.Sizes = {}
    for unit in units:
        counts = run.status([unit], store, on, options=options, sizes=sizes)
        seconds = counts["seconds_left"]
        total += seconds or 0.0
        unsure |= seconds is None
        missing = counts["left"] + counts["running"]
        text = "?" if seconds is None else cost.human(seconds)
        lines.append([str(unit), str(counts["cells"]), str(missing), str(counts["failed"]), text])
    show_table(["unit", "cells", "to compute", "failed", "estimate"], lines)
    cells = sum(int(line[1]) for line in lines)
    missing = sum(int(line[2]) for line in lines)
    if any(cost.is_published(unit) for unit in units):
        note(
            "sizes of published datasets are from the registry, whether or not the images are on "
            "this disk; `gpuclust datasets verify` looks for them"
        )
    more = f", plus units without an estimate ({cost.reason(units)})" if unsure else ""
    out.print(f"{cells} cells, {missing} to compute, about {cost.human(total)}{more}. {cost.BASIS}")


def grid_status(
    file: GridFile = None,
    preset: PresetName = None,
    dataset: Datasets = None,
    encoder: Encoders = None,
    seed: Seed = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    device: Annotated[
        str,
        typer.Option(
            "--device",
            help="Rows of which backend: cpu, gpu or auto; the GPU need not be present.",
        ),
    ] = "auto",
    data_dir: DataDir = None,
    root: Root = DEFAULT_ROOT,
) -> None:
    """Show the progress of a grid: cells done, failed, running and missing, and the time needed."""
    from gpuclust.device import backend
    from gpuclust.embeddings.load import Options
    from gpuclust.grid import cost
    from gpuclust.grid import run as grid_run
    from gpuclust.store.store import Store

    on = backend.select("auto") if device == "auto" else backend.named(device)
    units = units_of(file, preset, dataset, encoder, seed)
    counts = grid_run.status(units, Store(root), on, options=Options(data_dir=data_dir))
    if as_json:
        put(json.dumps(counts) + "\n")
        return
    names = ("cells", "done", "failed", "running", "left")
    header = ["cells", "done", "failed", "running", "missing"]
    show_table(header, [[str(counts[name]) for name in names]])
    for one in counts["now"]:
        where = f"{one.get('host', '?')}, process {one.get('pid', '?')}"
        note(f"running: {one.get('unit', 'starting')}, {one.get('stage', '')} on {where}")
    if counts["left"] + counts["running"]:
        seconds = counts["seconds_left"]
        unsure = f"no estimate, {cost.reason(units)}"
        needed = unsure if seconds is None else f"about {cost.human(seconds)}"
        note(f"time needed: {needed}. {cost.BASIS}")

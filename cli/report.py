"""`report`: the rows of a root as a table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .console import DEFAULT_ROOT, Root, note, save, show_table
from .options import output_path

if TYPE_CHECKING:
    import pandas as pd

    from gpuclust.errors import InputError
    from gpuclust.store.store import Store


def register(app: typer.Typer) -> None:
    """Add the command of this module to the application."""
    app.command()(report)


def report(
    by: Annotated[
        str | None,
        typer.Option(
            "--sort",
            help="Column or heading to sort by, best first. Default: AMI, or SIL without labels.",
        ),
    ] = None,
    top: Annotated[int, typer.Option("--top", min=0, help="Rows to show; 0 for all.")] = 200,
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", help="Only this dataset: a name of `run`, or a path."),
    ] = None,
    encoder: Annotated[str | None, typer.Option("--encoder", help="Only this encoder.")] = None,
    version: Annotated[
        str | None,
        typer.Option("--gpuclust", help="Only rows of this version of gpuclust, such as 0.1.0."),
    ] = None,
    outdated: Annotated[
        bool,
        typer.Option("--outdated", help="Also rows of embeddings that were replaced since."),
    ] = False,
    csv: Annotated[
        Path | None,
        typer.Option(
            "--csv",
            help="Write all columns to this file; - prints them.",
            parser=output_path,
            metavar="FILE",
        ),
    ] = None,
    markdown: Annotated[
        Path | None,
        typer.Option(
            "--markdown",
            help="Write the shown table to this file; - prints it.",
            parser=output_path,
            metavar="FILE",
        ),
    ] = None,
    root: Root = DEFAULT_ROOT,
) -> None:
    """Show all results of a root as a table, best first."""
    from gpuclust.files.output import check_different
    from gpuclust.store.store import Store

    check_different({"--csv": csv, "--markdown": markdown})
    store = Store(root)
    table = _read(store, dataset=dataset, encoder=encoder, version=version)
    if not outdated:
        table = _current(table)
    show_rows(table, by=by, most=top or None, csv=csv, markdown=markdown)


def _read(
    store: Store, *, dataset: str | None, encoder: str | None, version: str | None
) -> pd.DataFrame:
    """Read the wanted rows; note every file that cannot be read."""
    from gpuclust.report import current, tables
    from gpuclust.report.selection import selection

    wanted = selection(dataset, encoder, version)
    known: dict[str, set[str]] = {"dataset": set(), "encoder": set()}

    def is_wanted(row: Mapping[str, Any]) -> bool:
        for name, values in known.items():
            values.add(row[name])
        return wanted(row)

    table = tables.frame(filter(is_wanted, store.each_row(note)))
    if table.empty:
        raise _no_rows(store.root, known, {"dataset": dataset, "encoder": encoder})
    return current.marked(table, store)


def _no_rows(
    root: Path, known: Mapping[str, set[str]], given: Mapping[str, str | None]
) -> InputError:
    """Return the error for an empty table: no rows at all, or an unknown name."""
    from gpuclust.errors import InputError, unknown
    from gpuclust.report.selection import selection

    if not known["dataset"]:
        first = "Run `gpuclust run` or `grid` first, or name another --root."
        return InputError(f"no results in {root}. {first}")
    for name, value in given.items():
        matches = selection(**{name: value})
        if value is not None and not any(matches({name: one}) for one in known[name]):
            return unknown(name, value, known[name], f"These have results in {root}.")
    return InputError(f"no results in {root} that match.")


def _current(table: pd.DataFrame) -> pd.DataFrame:
    """Leave out the rows of older embeddings, and say how many."""
    from gpuclust.errors import InputError

    count = int(table["outdated"].sum())
    if not count:
        return table
    rows = "1 row" if count == 1 else f"{count} rows"
    why = "of older embeddings: images, weights or vectors have changed since"
    if count == len(table):
        raise InputError(f"all results ({rows}) are {why}. --outdated shows them.")
    note(f"not shown: {rows} {why}. --outdated shows them.")
    return table[~table["outdated"]]


def show_rows(
    table: pd.DataFrame,
    *,
    by: str | None = None,
    most: int | None = None,
    csv: Path | None = None,
    markdown: Path | None = None,
) -> None:
    """Print a table of rows, best first, and write all of it to the given files."""
    from gpuclust.files.output import is_stdout
    from gpuclust.files.visible import visible
    from gpuclust.report import tables

    if table.empty:
        return
    table = tables.ranked(table, by)
    shown = tables.brief(table, by, most)
    written = {}
    if csv is not None:
        written["--csv"] = (csv, tables.csv(table))
    if markdown is not None:
        every = tables.brief(table, by)
        text = f"{visible(every.common)}\n\n{tables.markdown(every.header, every.lines)}\n"
        written["--markdown"] = (markdown, text)
    if not any(is_stdout(path) for path, _ in written.values()):
        note(shown.common)
        show_table(shown.header, shown.lines)
    for option, (path, text) in written.items():
        save(option, path, text)

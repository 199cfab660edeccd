"""`report`: the rows of a root as a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import DEFAULT_ROOT, Root, note, save, show_table
from .options import output_path

if TYPE_CHECKING:
    import pandas as pd


def register(app: typer.Typer) -> None:
    """Add the command of this module to the application."""
    app.command()(report)


def report(
    by: Annotated[str, typer.Option("--sort", help="Column to sort by, best first.")] = "ami",
    top: Annotated[int, typer.Option("--top", min=0, help="Rows to show; 0 for all.")] = 200,
    dataset: Annotated[str | None, typer.Option("--dataset", help="Only this dataset.")] = None,
    encoder: Annotated[str | None, typer.Option("--encoder", help="Only this encoder.")] = None,
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
    from gpuclust.errors import InputError
    from gpuclust.files.output import check_different
    from gpuclust.report import tables
    from gpuclust.store.store import Store

    check_different({"--csv": csv, "--markdown": markdown})

    wanted = {"dataset": dataset, "encoder": encoder}
    given = [(name, value) for name, value in wanted.items() if value is not None]
    every = Store(root).each_row(note)
    table = tables.frame(row for row in every if all(row[n] == value for n, value in given))
    if table.empty:
        first = ". Run `gpuclust run` or `grid` first, or name another --root."
        raise InputError(f"no results in {root}{' that match.' if given else first}")
    show_rows(table, by=by, most=top or None, csv=csv, markdown=markdown)


def show_rows(
    table: pd.DataFrame,
    *,
    by: str,
    most: int | None = None,
    csv: Path | None = None,
    markdown: Path | None = None,
) -> None:
    """Print a table of rows, best first, and write all of it to the given files."""
    from gpuclust.files.output import is_stdout
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
        text = f"{every.common}\n\n{tables.markdown(every.header, every.lines)}\n"
        written["--markdown"] = (markdown, text)
    if not any(is_stdout(path) for path, _ in written.values()):
        note(shown.common)
        show_table(shown.header, shown.lines)
    for option, (path, text) in written.items():
        save(option, path, text)

"""The command-line application: commands, error messages and exit codes.

0: done.  1: a run or a cell failed.  2: bad input.  130: interrupted.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from gpuclust import __version__
from gpuclust.errors import GpuclustError

from . import bench, grid, info, parity, report, run
from .console import err

app = typer.Typer(
    name="gpuclust",
    help="Find the encoder, reducer and clusterer that see the structure in your images.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"gpuclust {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error (works anywhere).")
    ] = False,
) -> None:
    """Find the encoder, reducer and clusterer for the structure in your images."""


for module in (run, grid, report, parity, bench, info):
    module.register(app)


def main() -> None:
    """Run the command line; print an error as one sentence, or its traceback with --debug."""
    debug = "--debug" in sys.argv
    sys.argv = [arg for arg in sys.argv if arg != "--debug"]
    try:
        app()
    except GpuclustError as error:
        if debug:
            raise
        err.print(f"[bold red]Error:[/] {plain(str(error))}", soft_wrap=True, highlight=False)
        sys.exit(error.exit_code)
    except Exception as error:
        if debug:
            raise
        text = f"{type(error).__name__}: {error}"
        err.print(
            f"[bold red]Error:[/] {plain(text)} "
            "(unexpected error, probably a bug; add --debug for the traceback)",
            soft_wrap=True,
            highlight=False,
        )
        sys.exit(1)


def plain(text: str) -> str:
    """Escape the brackets in a message for rich."""
    from rich.markup import escape

    return escape(text)

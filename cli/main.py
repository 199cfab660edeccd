"""The command-line application: commands, error messages and exit codes.

0: done.  1: a run or a cell failed.  2: bad input.  130: interrupted.
"""

from __future__ import annotations

import sys
import traceback
from typing import Annotated

import typer
from rich.text import Text

from gpuclust import __version__
from gpuclust.errors import GpuclustError
from gpuclust.files.visible import visible

from . import bench, datasets, grid, info, inspect, parity, presets, report, run
from .console import discard, err, note, open_streams, put, warnings_as_notes

app = typer.Typer(
    name="gpuclust",
    help="Find the encoder, reducer and clusterer that see the structure in your images.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        put(f"gpuclust {__version__}\n")
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


for module in (run, grid, datasets, presets, report, inspect, parity, bench, info):
    module.register(app)


def main() -> None:
    """Run the command line; print an error as one sentence, or its traceback with --debug."""
    debug = "--debug" in sys.argv
    sys.argv = [arg for arg in sys.argv if arg != "--debug"]
    open_streams()
    with warnings_as_notes():
        code = _exit_code(debug)
    try:
        sys.stdout.flush()
    except OSError as error:  # a full disk; a reader that is gone is no error
        discard(sys.stdout)
        if not isinstance(error, BrokenPipeError):
            _say_error(f"cannot write to standard output: {error.strerror}.")
            code = code or 1
    if code:
        sys.exit(code)


def _exit_code(debug: bool) -> int:
    try:
        return _called(debug)
    except GpuclustError as error:
        _say_error(visible(str(error), lines=True))  # a list of bad images has a line for each
        return error.exit_code
    except typer.TyperException as error:  # a wrong option, or no command at all
        text, code = error.format_message(), error.exit_code
        if not text:  # the help was shown
            return code
        command = getattr(getattr(error, "ctx", None), "command_path", "gpuclust")
        text += f"{'' if text[-1] in '.?!' else '.'} See `{command} --help`."
    except (typer.Abort, KeyboardInterrupt):
        text, code = "interrupted.", 130
    except BrokenPipeError:
        return 1
    except Exception as error:  # noqa: BLE001 - the last resort, printed as a bug
        text = f"{type(error).__name__}: {error} "
        text += "(unexpected error, probably a bug; add --debug for the traceback)"
        code = 1
    _say_error(visible(text))
    return code


def _called(debug: bool) -> int:
    try:
        return int(app(standalone_mode=False) or 0)
    except Exception:
        if debug:
            note(traceback.format_exc().rstrip())
        raise


def _say_error(text: str) -> None:
    line = Text.assemble(("Error:", "bold red"), " ", text)
    err.print(line, soft_wrap=True)

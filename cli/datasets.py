"""`datasets`: where datasets come from, and checks of their files."""

from __future__ import annotations

import json
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import DataDir, note, out, put, show_table
from .options import Split

if TYPE_CHECKING:
    from gpuclust.datasets.checks import Check
    from gpuclust.datasets.verification import Report

_FILES = 5  # shown per check
_EVERY = 10.0  # seconds between two lines of progress

app = typer.Typer(
    help="Show where datasets come from, and check their files.", no_args_is_help=True
)
Images = Annotated[
    bool, typer.Option("--images", help="Also check the header of every image (0.3 ms each).")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, with the names of all files.")]


def register(parent: typer.Typer) -> None:
    """Add the group of this module to the application."""
    parent.add_typer(app, name="datasets")


@app.command()
def where(
    name: Annotated[str, typer.Argument(help="Name of a dataset, such as nabirds.")],
    data_dir: DataDir = None,
    download: Annotated[
        bool, typer.Option("--download", help="Download it into --data-dir, where a library can.")
    ] = False,
) -> None:
    """Show the files of a dataset, and their source; download them on request."""
    from gpuclust.datasets import guide

    if download:
        _download(name, data_dir)
        return
    for line in guide.lines(name, data_dir):
        out.print(line, soft_wrap=True, highlight=False, markup=False)


def _download(name: str, data_dir: Path | None) -> None:
    from gpuclust.datasets import downloads, registry
    from gpuclust.errors import InputError

    registry.entry_of(name)  # raises for an unknown name
    if data_dir is None:
        raise InputError(f"give the folder to download {name} into: --data-dir (or GPUCLUST_DATA).")
    folder, fetched = downloads.download(name, data_dir)
    put(f"{folder}\n")
    note(f"{name} {'was downloaded' if fetched else 'is there already, nothing was downloaded'}.")
    note(f"next: {_command(name, data_dir)}")


def _command(name: str, data_dir: Path) -> str:
    words = ["gpuclust", "datasets", "verify", name, "--data-dir", str(data_dir)]
    return shlex.join(words)


@app.command()
def verify(
    name: Annotated[str | None, typer.Argument(help="Name of a dataset, or folder:<path>.")] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Every published dataset found below --data-dir.")
    ] = False,
    split: Split = None,
    data_dir: DataDir = None,
    images: Images = False,
    as_json: AsJson = False,
) -> None:
    """Check layout, numbers and files of a dataset; exit code 1 when one is not as expected."""
    from gpuclust.datasets import verification
    from gpuclust.errors import InputError

    if every == (name is not None) or (every and split is not None):
        raise InputError("give the name of one dataset, or --all without a name and a split.")
    if every:
        if data_dir is None:
            raise InputError("give the folder of the datasets: --data-dir (or GPUCLUST_DATA).")
        reports, absent = verification.verify_all(data_dir, images=images, progress=Progress())
        if not reports:
            raise InputError(f"no dataset was found below {data_dir}. {_SEE}")
        _show_all(reports, absent, as_json=as_json)
    else:
        assert name is not None
        reports = [
            verification.verify(
                name, split=split, data_dir=data_dir, images=images, progress=Progress()
            )
        ]
        _show_one(reports[0], as_json=as_json)
    if not all(report.ok for report in reports):
        raise typer.Exit(1)


_SEE = "`gpuclust datasets where NAME` shows the folders that are looked at."


class Progress:
    """Line of progress every few seconds; called with the images checked and all of them."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        """Print a line, unless one was printed a moment ago."""
        now = time.monotonic()
        if done == 0:
            self._since = now
        elif now - self._since > _EVERY and done < total:
            self._since = now
            note(f"  {done:,} of {total:,} images checked")


def _show_one(report: Report, *, as_json: bool) -> None:
    if as_json:
        put(json.dumps(report.as_json(), indent=1) + "\n")
        return
    note(f"{report.dataset} ({report.split})")
    for line in report.said:
        note(line)
    show_table(
        ["check", "", "expected", "found"],
        [[check.name, _state(check), check.expected, check.found] for check in report.checks],
    )
    for check in report.checks:
        _show_files(check)


def _state(check: Check) -> str:
    return {True: "ok", False: "FAILED", None: ""}[check.ok]


def _show_files(check: Check) -> None:
    if check.ok is True or not check.files:
        return
    out.print(f"{check.name}:")
    for file in check.files[:_FILES]:
        out.print(f"  {file}", soft_wrap=True)
    more = len(check.files) - _FILES
    if more > 0:
        out.print(f"  ... and {more:,} more: --json lists all")


def _show_all(reports: list[Report], absent: list[str], *, as_json: bool) -> None:
    if as_json:
        put(json.dumps([report.as_json() for report in reports], indent=1) + "\n")
        return
    show_table(
        ["dataset", "split", "found in", "images", "classes", "state"],
        [
            [r.dataset, r.split, r.folder or "", _found(r, "images"), _found(r, "classes"), _why(r)]
            for r in reports
        ],
    )
    if absent:
        note(f"not found: {', '.join(absent)}")


def _found(report: Report, name: str) -> str:
    check = report.check(name)
    return "" if check is None else check.found


def _why(report: Report) -> str:
    bad = [check for check in report.checks if check.ok is False]
    if not bad:
        return "ok"
    first = bad[0]
    if first.name == "layout":
        return f"cannot be read: `gpuclust datasets verify {report.dataset}` shows why"
    more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
    return f"{first.name}: {first.found}, expected {first.expected}{more}"

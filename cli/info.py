"""`list` and `doctor`: what there is, and whether this machine is fit."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from .console import DEFAULT_ROOT, DataDir, Root, show_table

KINDS = ("encoders", "datasets", "reducers", "clusterers", "metrics")


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    app.command(name="list")(list_)
    app.command()(doctor)


def list_(
    kind: Annotated[
        str | None, typer.Argument(help=", ".join(KINDS) + "; all without one.")
    ] = None,
    pattern: Annotated[
        str | None, typer.Argument(help="Encoders: search all names of all sources.")
    ] = None,
) -> None:
    """List encoders, datasets, reducers, clusterers and metrics."""
    from gpuclust.errors import unknown

    if kind is not None and kind not in KINDS:
        raise unknown("list", kind, KINDS)
    for name in KINDS if kind is None else (kind,):
        if name == "encoders":
            _encoders(pattern)
        elif name == "datasets":
            _datasets()
        elif name == "metrics":
            _metrics()
        else:
            _methods(name)


def _encoders(pattern: str | None) -> None:
    from gpuclust import encoders

    lines = [[info.name, info.description] for info in encoders.available(pattern)]
    show_table(["encoder", "what it is"], lines)


def _datasets() -> None:
    from gpuclust import datasets

    lines = [
        [row["name"], row["description"], _splits(row["splits"], row["n"] or {})]
        for row in datasets.available()
    ]
    show_table(["dataset", "what it is", "splits, the default first"], lines)


def _splits(names: Sequence[str] | None, sizes: Mapping[str, int]) -> str:
    if names is None:
        return "any"
    return ", ".join(f"{name} ({sizes[name]:,})" if name in sizes else name for name in names)


def _methods(name: str) -> None:
    from gpuclust.methods import table

    table = table.REDUCERS if name == "reducers" else table.CLUSTERERS
    lines = []
    for key, method in table.items():
        where = [side for side in ("cpu", "gpu") if getattr(method, side)]
        params = ", ".join(f"{p}={spec.default}" for p, spec in method.params.items())
        lines.append([key, method.summary, params, " ".join(where)])
    show_table([name.removesuffix("s"), "what it is", "parameters", "runs on"], lines)


def _metrics() -> None:
    from gpuclust.metrics import suite

    lines = [[name, ", ".join(members)] for name, members in suite.GROUPS.items()]
    lines += [[name, ""] for name in suite.ALL]
    show_table(["metric or group", "stands for"], lines)


def doctor(
    fits: Annotated[
        bool, typer.Option(help="Also fit every library on a few samples (half a minute).")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    data_dir: DataDir = None,
    root: Root = DEFAULT_ROOT,
) -> None:
    """Tell what this machine has, what is missing, and the line that installs it."""
    from gpuclust.doctor import checks

    found = list(checks(root=root, data_dir=data_dir, fits=fits))
    if as_json:
        typer.echo(json.dumps([check._asdict() for check in found], indent=1))
    else:
        words = {True: "ok", False: "FAILED", None: ""}
        show_table(["", "", "found"], [[c.name, words[c.ok], c.found] for c in found])
    if any(check.ok is False for check in found):
        raise typer.Exit(1)

"""Commands `list` and `doctor`: contents of the registries, and a check of this machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any

import typer

from .console import DEFAULT_ROOT, DataDir, Root, put, show_table

Record = dict[str, Any]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    app.command(name="list")(list_)
    app.command()(doctor)


def list_(
    kind: Annotated[
        str | None,
        typer.Argument(help="encoders, datasets, reducers, clusterers or metrics; default all."),
    ] = None,
    pattern: Annotated[
        str | None,
        typer.Argument(help="Encoders only: search the model names of all sources."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List encoders, datasets, reducers, clusterers and metrics with their metadata."""
    from gpuclust.errors import unknown

    if kind is not None and kind not in LISTS:
        raise unknown("list", kind, LISTS)
    records = {
        name: rows(pattern) for name, (rows, _) in LISTS.items() if kind is None or name == kind
    }
    if as_json:
        put(json.dumps(records, indent=1) + "\n")
        return
    for name, found in records.items():
        columns = LISTS[name][1]
        lines = [[_text(key, record[key]) for key in columns] for record in found]
        show_table(list(columns.values()), lines)


def _encoders(pattern: str | None) -> list[Record]:
    from gpuclust import encoders

    return encoders.available(pattern)


def _datasets(pattern: str | None) -> list[Record]:
    from gpuclust import datasets

    del pattern
    return datasets.available()


def _reducers(pattern: str | None) -> list[Record]:
    from gpuclust.methods.table import REDUCERS

    del pattern
    return [method.describe(name) for name, method in REDUCERS.items()]


def _clusterers(pattern: str | None) -> list[Record]:
    from gpuclust.methods.table import CLUSTERERS

    del pattern
    return [method.describe(name) for name, method in CLUSTERERS.items()]


def _metrics(pattern: str | None) -> list[Record]:
    from gpuclust.metrics import suite

    del pattern
    groups = {name: list(members) for name, members in suite.GROUPS.items()}
    return [{"name": name, "members": groups.get(name, [])} for name in (*groups, *suite.ALL)]


# Kind -> function that lists its records, and the columns of the table: key -> title.
_METHOD = {"summary": "description", "parameters": "parameters", "backends": "backends"}
LISTS: dict[str, tuple[Callable[[str | None], list[Record]], dict[str, str]]] = {
    "encoders": (
        _encoders,
        {
            "name": "encoder",
            "architecture": "architecture",
            "data": "pretraining data",
            "family": "family",
            "dimension": "dimension",
            "licence": "licence",
            "summary": "description",
        },
    ),
    "datasets": (
        _datasets,
        {
            "name": "dataset",
            "splits": "splits, the default first",
            "classes": "classes",
            "group": "group",
            "licence": "licence",
            "summary": "description",
        },
    ),
    "reducers": (_reducers, {"name": "reducer", **_METHOD}),
    "clusterers": (_clusterers, {"name": "clusterer", **_METHOD}),
    "metrics": (_metrics, {"name": "metric or group", "members": "members of the group"}),
}


def _text(key: str, value: Any) -> str:
    """Write one value of a record into a field of a table."""
    if value is None:
        return ""
    if key == "splits":
        return ", ".join(name if n is None else f"{name} ({n:,})" for name, n in value.items())
    if key == "parameters":
        return ", ".join(f"{name}={default}" for name, default in value.items())
    return ", ".join(value) if isinstance(value, list) else str(value)


def doctor(
    fits: Annotated[
        bool, typer.Option(help="Also fit every library on 200 samples (half a minute).")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    data_dir: DataDir = None,
    root: Root = DEFAULT_ROOT,
) -> None:
    """Check hardware, packages, weights and datasets; print how to install missing ones."""
    from gpuclust.doctor import checks

    found = list(checks(root=root, data_dir=data_dir, fits=fits))
    if as_json:
        put(json.dumps([check._asdict() for check in found], indent=1) + "\n")
    else:
        words = {True: "ok", False: "FAILED", None: ""}
        show_table(["", "", "found"], [[c.name, words[c.ok], c.found] for c in found])
    if any(check.ok is False for check in found):
        raise typer.Exit(1)

"""Commands `list` and `doctor`: contents of the registries, and a check of this machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any

import typer

from .console import DEFAULT_ROOT, DataDir, Root, note, put, show_table

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
    family: Annotated[
        str | None,
        typer.Option(
            help="Encoders only: kind of pretraining: supervised, self-supervised, image-text, "
            "distilled, none."
        ),
    ] = None,
    max_dim: Annotated[
        int | None, typer.Option(help="Encoders only: highest dimension of the feature.")
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option(
            help="Encoders only: 'open' (any use is allowed) or a part of the licence's name."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON with all fields.")] = False,
) -> None:
    """List encoders, datasets, reducers, clusterers and metrics with their metadata."""
    from gpuclust.errors import unknown

    if kind is not None and kind not in LISTS:
        raise unknown("list", kind, LISTS)
    filters = {"family": family, "max_dim": max_dim, "licence": licence}
    _refuse_filters(kind, {"PATTERN": pattern, **filters})
    records = {
        name: _encoders(pattern, **filters) if name == "encoders" else rows()
        for name, (rows, _) in LISTS.items()
        if kind is None or name == kind
    }
    if as_json:
        put(json.dumps(records, indent=1) + "\n")
        return
    for name, found in records.items():
        columns = LISTS[name][1]
        lines = [[_text(key, record[key]) for key in columns] for record in found]
        if lines:
            show_table(list(columns.values()), lines)


def _refuse_filters(kind: str | None, given: dict[str, Any]) -> None:
    """Raise InputError for filters on anything but encoders."""
    from gpuclust.errors import InputError

    names = [
        key if key.isupper() else f"--{key.replace('_', '-')}"
        for key, value in given.items()
        if value is not None
    ]
    if names and kind != "encoders":
        filters = "filters" if len(names) == 1 else "filter"
        raise InputError(
            f"{' and '.join(names)} {filters} encoders, not {kind or 'all lists'}; "
            "write `gpuclust list encoders ...`."
        )


def _encoders(pattern: str | None = None, **filters: Any) -> list[Record]:
    from gpuclust.encoders.listing import select

    found = select(pattern, **filters)
    for sentence in found.notes:
        note(sentence)
    return found.rows


def _datasets() -> list[Record]:
    from gpuclust import datasets

    return datasets.available()


def _reducers() -> list[Record]:
    from gpuclust.methods.table import REDUCERS

    return [method.describe(name) for name, method in REDUCERS.items()]


def _clusterers() -> list[Record]:
    from gpuclust.methods.table import CLUSTERERS

    return [method.describe(name) for name, method in CLUSTERERS.items()]


def _metrics() -> list[Record]:
    from gpuclust.metrics import suite

    groups = {name: list(members) for name, members in suite.GROUPS.items()}
    return [{"name": name, "members": groups.get(name, [])} for name in (*groups, *suite.ALL)]


# Kind -> function that lists its records, and the columns of the table: key -> title.
_METHOD = {"summary": "description", "parameters": "parameters", "backends": "backends"}
LISTS: dict[str, tuple[Callable[[], list[Record]], dict[str, str]]] = {
    "encoders": (
        _encoders,
        {
            "name": "encoder",
            "family": "family",
            "dimension": "d",
            "licence": "licence",
            "gated": "terms",
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
    if key == "gated":
        return "accept" if value else ""
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

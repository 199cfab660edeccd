"""`preset`: the presets and their rows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .console import note, put, show_table

if TYPE_CHECKING:
    from gpuclust.presets import Preset, Recipe

presets = typer.Typer(help="Show presets: each encoder's own reducers and clusterers.")


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    app.add_typer(presets, name="preset", no_args_is_help=True)


@presets.command(name="list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the presets of gpuclust."""
    from gpuclust.presets import available, load

    found = [load(name) for name in available()]
    if as_json:
        put(json.dumps([_facts(one) for one in found], indent=1) + "\n")
        return
    header = ["preset", "version", "datasets", "encoders", "description", "source"]
    counts = [[str(len(one.datasets)), str(len(one.encoders))] for one in found]
    show_table(
        header,
        [
            [one.name, one.version, *count, one.summary, one.source]
            for one, count in zip(found, counts, strict=True)
        ],
    )


@presets.command()
def show(
    name: Annotated[str, typer.Argument(metavar="PRESET", help="study, or the path of a file.")],
    encoder: Annotated[str | None, typer.Argument(help="Its row; default: all rows.")] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="With the parameters of this dataset.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the reducer and the clusterer of every cell of an encoder, or of all encoders."""
    from gpuclust.cell import canonical_dataset
    from gpuclust.presets import load

    preset = load(name)
    dataset = None if dataset is None else canonical_dataset(dataset)
    if encoder is None:
        rows = {one: preset.recipes(one, dataset) for one in preset.encoders}
        rows |= {"default": preset.of_default(dataset)} if preset.default else {}
    else:
        encoder, about = _row(preset, encoder)
        note(about)
        rows = {encoder: preset.recipes(encoder, dataset)}
    if as_json:
        facts = _facts(preset) | {"dataset": dataset}
        put(json.dumps(facts | {"rows": _as_json(rows)}, indent=1) + "\n")
        return
    lines = [[one, recipe.name, *recipe.whole_texts] for one, row in rows.items() for recipe in row]
    header = ["encoder", "cell", "reducer", "clusterer"]
    hidden = 0 if encoder is None else 1
    show_table(header[hidden:], [line[hidden:] for line in lines])


def _row(preset: Preset, encoder: str) -> tuple[str, str]:
    """Return the canonical name of an encoder, and a sentence about its row."""
    from gpuclust.presets.units import encoder_named

    encoder = encoder_named(encoder)
    row = preset.row_of(encoder)
    if row == encoder:
        return encoder, f"preset {preset.name}, row {row}"
    if row is not None:
        return encoder, f"preset {preset.name}, row {row}: {encoder} is the same network"
    return encoder, f"preset {preset.name} has no row for {encoder}: its default is used"


def _facts(preset: Preset) -> dict[str, Any]:
    return {
        "preset": preset.name,
        "version": preset.version,
        "summary": preset.summary,
        "source": preset.source,
        "preprocess": preset.preprocess,
        "seed": preset.seed,
        "datasets": {name: rule.split for name, rule in preset.datasets.items()},
        "encoders": list(preset.encoders),
    }


def _as_json(rows: dict[str, tuple[Recipe, ...]]) -> dict[str, Any]:
    """Return the cells with all their parameters."""
    return {
        encoder: {
            recipe.name: {
                "reducer": recipe.texts[0],
                "clusterer": recipe.texts[1],
                "resolved": {
                    "reducer": [spec.resolved() for spec in recipe.reducer],
                    "clusterer": recipe.clusterer.resolved(),
                },
            }
            for recipe in row
        }
        for encoder, row in rows.items()
    }

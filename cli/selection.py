"""Units of a grid file or of a preset, and the options to select them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from gpuclust.cell import Unit

PresetName = Annotated[
    str | None,
    typer.Option(
        "--preset",
        help="Each encoder's own reducers and clusterers: study, or the path of a preset file.",
    ),
]
Datasets = Annotated[
    list[str] | None,
    typer.Option("--dataset", help="With --preset: this dataset; repeat it. Default: all."),
]
Encoders = Annotated[
    list[str] | None,
    typer.Option("--encoder", help="With --preset: this encoder; repeat it. Default: all."),
]
Seed = Annotated[
    int | None, typer.Option("--seed", help="With --preset: another seed than the preset's.")
]


def units_of(
    file: Path | None,
    preset: str | None,
    datasets: list[str] | None,
    encoders: list[str] | None,
    seed: int | None,
) -> list[Unit]:
    """Return the units of a grid file, or of a preset."""
    from gpuclust.errors import InputError
    from gpuclust.grid.grid_file import grid_units, load_grid

    given = {"preset": preset, "dataset": datasets, "encoder": encoders, "seed": seed}
    table = {key: value for key, value in given.items() if value not in (None, [])}
    if file is not None and table:
        options = ", ".join(f"--{key}" for key in table)
        raise InputError(
            f"give a grid file or a preset, not both: {file} and {options}. A grid file itself may "
            'have preset = "study", with dataset, encoder and seed.'
        )
    if file is not None:
        return load_grid(file)
    if preset is None:
        raise InputError("say what to compute: a grid FILE, or --preset study.")
    return grid_units(table, "the command line")

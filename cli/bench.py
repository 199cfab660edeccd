"""`bench`: time engines and peers against each other, the study's unit, two files of results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from .console import note, show_table

Embeddings = Annotated[
    Path | None, typer.Option("--embeddings", help="Vectors and classes: .npz with X and y.")
]
Runs = Annotated[int, typer.Option("--runs", min=1, help="Of every side, after a warm-up.")]
Json = Annotated[Path | None, typer.Option("--json", help="Write everything to this file.")]
app = typer.Typer(help="Time CPU, GPU and peers against each other.", no_args_is_help=True)


def register(parent: typer.Typer) -> None:
    """Add the group of this module to the application."""
    parent.add_typer(app, name="bench")


@app.command()
def methods(
    method: Annotated[
        list[str],
        typer.Option("--method", help="kmeans, 'umap(n_components=2)', ami, ...; repeat it."),
    ],
    side: Annotated[
        list[str] | None,
        typer.Option("--side", help="cpu, gpu or a peer; the first is compared with the others."),
    ] = None,
    size: Annotated[
        list[int] | None, typer.Option("--size", min=3, help="Numbers of samples; repeat it.")
    ] = None,
    embeddings: Embeddings = None,
    k: Annotated[
        int | None,
        typer.Option("--k", min=2, help="Default: the number of classes; for scores 10 and 100."),
    ] = None,
    runs: Runs = 3,
    as_json: Json = None,
    markdown: Annotated[
        Path | None, typer.Option("--markdown", help="Write the table to this file.")
    ] = None,
    svg: Annotated[Path | None, typer.Option("--svg", help="Plot seconds over n here.")] = None,
) -> None:
    """Time reducers, clusterers and scores on several sides, in turns, each in its own process."""
    from gpuclust.bench import render, results

    data = "digits" if embeddings is None else str(embeddings)
    found = results.run(
        method, side or ["cpu", "sklearn"], size, data=data, k=k, runs=runs, tell=note
    )
    _show(found, as_json)
    if markdown is not None:
        from gpuclust.report.tables import markdown as as_markdown

        _write(markdown, as_markdown(*render.table(found)) + "\n")
    if svg is not None:
        render.plot(found, svg)
        note(f"written: {svg}")
    if any("error" in one for one in found["results"]):
        raise typer.Exit(1)


@app.command()
def unit(
    embeddings: Annotated[
        Path, typer.Option("--embeddings", help="Vectors and classes: .npz with X and y.")
    ],
    runs: Runs = 1,
    as_json: Json = None,
    side: Annotated[str, typer.Option("--side", help="cpu or gpu: our engine.")] = "cpu",
    unseeded: Annotated[bool, typer.Option("--unseeded", help="Our UMAP without a seed.")] = False,
) -> None:
    """Time the study's unit against the study's own recipe: UMAP, six clusterers, all scores."""
    from gpuclust.bench.results import provenance
    from gpuclust.bench.unit import bench_unit

    found = bench_unit(str(embeddings), runs=runs, side=side, unseeded=unseeded, tell=note)
    found = {**provenance(), **found}
    lines = [
        [name, f"{one['ami_ours']:.4f}", f"{one['ami_recipe']:.4f}", f"{one['ari']:.4f}"]
        for name, one in found["methods"].items()
    ]
    show_table(["clusterer", "AMI ours", "AMI recipe", "ARI between them"], lines)
    seeds = "unseeded" if unseeded else "seeded"
    note(
        f"{found['seconds_ours']:.1f} s against {found['seconds_recipe']:.1f} s ({seeds}): "
        f"{found['speedup']:.2f}x; {found['peak_ours_mib']:.0f} MiB against "
        f"{found['peak_recipe_mib']:.0f}"
    )
    if found["reproducible"] is not None:
        note(f"the same seed gives the same labels: {'yes' if found['reproducible'] else 'NO'}")
    if as_json is not None:
        _write(as_json, json.dumps(found, indent=1) + "\n")


@app.command()
def compare(
    a: Annotated[Path, typer.Argument(metavar="A.json")],
    b: Annotated[Path, typer.Argument(metavar="B.json")],
) -> None:
    """Compare two files of `bench methods`, work by work."""
    from gpuclust.bench import render, results

    show_table(*render.side_by_side(results.read(a), results.read(b)))


def _show(found: dict[str, Any], as_json: Path | None) -> None:
    from gpuclust.bench import render

    show_table(*render.table(found))
    if as_json is not None:
        _write(as_json, json.dumps(found, indent=1) + "\n")


def _write(path: Path, text: str) -> None:
    from gpuclust.store.store import atomic

    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    note(f"written: {path}")

"""`bench`: time backends and baselines against each other, and compare two files of results."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from .console import BatchSize, DataDir, Device, Loaders, note, save, show_table
from .options import Split, given_path, output_path

Embeddings = Annotated[
    Path | None,
    typer.Option(
        "--embeddings",
        help="Embeddings and classes: .npz with X and y.",
        parser=given_path,
        metavar="FILE",
    ),
]
Needed = Annotated[
    Path,
    typer.Option(
        "--embeddings",
        help="Embeddings and classes: .npz with X and y.",
        parser=given_path,
        metavar="FILE",
    ),
]
Backend = Annotated[
    str, typer.Option("--implementation", help="cpu or gpu: the backend of gpuclust.")
]
Runs = Annotated[int, typer.Option("--runs", min=1, help="Timed runs of each, after a warm-up.")]
Json = Annotated[
    Path | None,
    typer.Option(
        "--json", help="Write everything to this file.", parser=output_path, metavar="FILE"
    ),
]
app = typer.Typer(
    help="Time CPU, GPU and other libraries against each other.", no_args_is_help=True
)


def register(parent: typer.Typer) -> None:
    """Add the group of this module to the application."""
    parent.add_typer(app, name="bench")


@app.command()
def methods(
    method: Annotated[
        list[str],
        typer.Option("--method", help="kmeans, 'umap(n_components=2)', ami, ...; repeat it."),
    ],
    implementation: Annotated[
        list[str] | None,
        typer.Option(
            "--implementation", help="cpu, gpu or a baseline; the others are compared to the first."
        ),
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
        Path | None,
        typer.Option(
            "--markdown", help="Write the table to this file.", parser=output_path, metavar="FILE"
        ),
    ] = None,
    svg: Annotated[
        Path | None,
        typer.Option("--svg", help="Plot seconds over n here.", parser=output_path, metavar="FILE"),
    ] = None,
) -> None:
    """Time reducers, clusterers and scores in several implementations, in turns."""
    from gpuclust.bench import render, results
    from gpuclust.files.output import check_different

    check_different({"--json": as_json, "--markdown": markdown, "--svg": svg})
    data = "digits" if embeddings is None else str(embeddings)
    first, *others = implementation or ["cpu", "sklearn"]
    cases = results.product(method, others, size, k=k, runs=runs)
    found = results.run(cases, first, data=data, say=note)
    _show(found, as_json)
    if markdown is not None:
        from gpuclust.report.tables import markdown as as_markdown

        save("--markdown", markdown, as_markdown(*render.table(found)) + "\n")
    if svg is not None:
        save("--svg", svg, render.plot(found).decode())
    _exit(found)


@app.command()
def kernels(
    embeddings: Needed,
    case: Annotated[
        list[str] | None, typer.Option("--case", help="ward_10k, ...; repeat it. Default: all.")
    ] = None,
    implementation: Backend = "cpu",
    tiny: Annotated[
        bool, typer.Option("--tiny", help="300 samples, one run: does every case work?")
    ] = False,
    as_json: Json = None,
) -> None:
    """Time gpuclust's own algorithms against other libraries: the table of the README."""
    from gpuclust.bench import cases, results
    from gpuclust.errors import unknown
    from gpuclust.files.output import STDOUT, is_regular

    table = cases.GPU if implementation == "gpu" else cases.CPU
    for name in case or []:
        if name not in table:
            raise unknown("case", name, [*table])
    chosen = {name: one for name, one in table.items() if name in (case or table)}
    if tiny:
        chosen = {name: one.tiny() for name, one in chosen.items()}
    path = as_json

    def keep(found: Mapping[str, Any]) -> None:
        if path is not None and path != STDOUT and is_regular(path):
            results.write(path, found)

    found = results.run(chosen, implementation, data=str(embeddings), say=note, save=keep)
    _show(found, as_json)
    _exit(found)


@app.command()
def unit(
    embeddings: Needed,
    runs: Runs = 1,
    as_json: Json = None,
    implementation: Backend = "cpu",
    unseeded: Annotated[
        bool, typer.Option("--unseeded", help="UMAP of gpuclust without a seed.")
    ] = False,
) -> None:
    """Time the study's unit against the study's own recipe: UMAP, six clusterers, all scores."""
    from gpuclust.bench.results import provenance
    from gpuclust.bench.unit import bench_unit

    source = provenance(note)
    timed = bench_unit(
        str(embeddings), runs=runs, implementation=implementation, unseeded=unseeded, say=note
    )
    found = {**source, **timed}
    lines = [
        [name, f"{one['ami_ours']:.4f}", f"{one['ami_recipe']:.4f}", f"{one['ari']:.4f}"]
        for name, one in found["methods"].items()
    ]
    show_table(["clusterer", "AMI gpuclust", "AMI recipe", "ARI between them"], lines)
    seeds = "unseeded" if unseeded else "seeded"
    note(
        f"{found['seconds_ours']:.1f} s against {found['seconds_recipe']:.1f} s ({seeds}): "
        f"{found['speedup']:.2f}x; {found['peak_ours_mib']:.0f} MiB against "
        f"{found['peak_recipe_mib']:.0f}"
    )
    if found["reproducible"] is not None:
        note(f"the same seed gives the same labels: {'yes' if found['reproducible'] else 'NO'}")
    _write(as_json, found)


@app.command()
def embed(
    encoder: Annotated[list[str], typer.Option("--encoder", help="Repeat it for several.")],
    dataset: Annotated[
        str | None,
        typer.Argument(
            help="Default: photographs of 6 megapixels, made from two of scikit-learn's.",
            show_default=False,
        ),
    ] = None,
    images: Annotated[int, typer.Option("--images", min=1, help="Images to time.")] = 200,
    together: Annotated[
        bool,
        typer.Option(
            "--together", help="Compare one decoding pass for all encoders with one for each."
        ),
    ] = False,
    runs: Runs = 3,
    as_json: Json = None,
    split: Split = None,
    preprocess: Annotated[
        str, typer.Option("--preprocess", help="own: the encoder's; study: 224 pixels.")
    ] = "own",
    device: Device = "auto",
    data_dir: DataDir = None,
    batch_size: BatchSize = None,
    loaders: Loaders = None,
) -> None:
    """Time decoding, resizing, normalizing and encoding alone, and embeddings as a whole."""
    from gpuclust.bench.embedding import STEPS, Setting, bench_embed
    from gpuclust.bench.results import provenance
    from gpuclust.errors import InputError

    if together and len(encoder) < 2:
        raise InputError("--together compares several encoders: give --encoder at least twice.")
    setting = Setting(
        tuple(encoder),
        dataset=dataset,
        split=split,
        data_dir=None if data_dir is None else str(data_dir),
        images=images,
        loaders=loaders,
        batch_size=batch_size or 64,
        preprocess=preprocess,
        device=device,
        runs=runs,
    )
    found = {**provenance(note), **bench_embed(setting, together=together, say=note)}
    names = (*STEPS, "whole")
    lines = [
        [name, *(f"{one['per_second'][step]:.1f}" for step in names), one["limits"]]
        for name, one in found["encoders"].items()
    ]
    show_table(["images/s of", *names, "limit"], lines)
    shares = [
        [name, *(f"{100 * one['share'][step]:.0f}" for step in STEPS)]
        for name, one in found["encoders"].items()
    ]
    show_table(["% of the whole", *STEPS], shares)
    if together:
        one = found["together"]
        note(
            f"one pass for {len(encoder)} encoders is {one['speedup']:.2f} times as fast as a pass "
            f"for each; vectors equal bit for bit: {'yes' if one['bits_equal'] else 'NO'}"
        )
    _write(as_json, found)


@app.command()
def compare(
    a: Annotated[Path, typer.Argument(metavar="A.json", parser=given_path)],
    b: Annotated[Path, typer.Argument(metavar="B.json", parser=given_path)],
) -> None:
    """Compare two files of `bench methods` or `bench kernels`, work by work."""
    from gpuclust.bench import render, results

    show_table(*render.pairs(results.read(a), results.read(b)))


def _show(found: Mapping[str, Any], as_json: Path | None) -> None:
    from gpuclust.bench import render

    show_table(*render.table(found))
    _write(as_json, found)


def _write(path: Path | None, found: Mapping[str, Any]) -> None:
    from gpuclust.bench import results

    if path is not None:
        save("--json", path, results.text(found))


def _exit(found: Mapping[str, Any]) -> None:
    """End with 1 when an implementation failed."""
    measured = [of for one in found["results"] for of in one.get("implementations", {}).values()]
    if any("error" in of for of in measured):
        raise typer.Exit(1)

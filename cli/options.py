"""Options shared by several commands, and the two types of paths."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gpuclust.errors import InputError
from gpuclust.files.output import check
from gpuclust.files.paths import expand


def given_path(value: str | Path) -> Path:
    """Expand the path of a file or folder to read; pass it as ``parser`` to every such option."""
    try:
        return expand(value)
    except InputError as error:
        raise typer.BadParameter(str(error)) from error


def output_path(value: str | Path) -> Path:
    """Expand and check the path of a file to write, before the work; ``-`` is standard output."""
    try:
        return Path(value) if str(value) == "-" else check(expand(value))
    except InputError as error:
        raise typer.BadParameter(str(error)) from error


Root = Annotated[
    Path,
    typer.Option(
        "--root",
        envvar="GPUCLUST_ROOT",
        help="Folder of embeddings and results.",
        parser=given_path,
        metavar="FOLDER",
    ),
]
Device = Annotated[
    str, typer.Option("--device", help="auto, cpu or gpu; gpu never falls back to cpu.")
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        envvar="GPUCLUST_DATA",
        help="Folder of the image datasets.",
        parser=given_path,
        metavar="FOLDER",
    ),
]
BatchSize = Annotated[
    int | None, typer.Option("--batch-size", min=1, help="Images per forward pass.")
]
Loaders = Annotated[
    int | None, typer.Option("--loaders", min=0, help="Processes that decode images.")
]
Threads = Annotated[
    int | None,
    typer.Option("--threads", min=1, help="Threads per process or worker; default all."),
]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Skip images that cannot be decoded.")]
TraceTransfers = Annotated[
    bool,
    typer.Option(
        "--trace-transfers",
        help="Record bytes copied between host and device per stage in the rows (GPU; slower).",
    ),
]
DEFAULT_ROOT = Path("gpuclust-results")
Preprocess = Annotated[
    str,
    typer.Option(
        "--preprocess",
        help="own: the encoder's; study: resize and crop to 224; own-device, study-device: the "
        "same, with JPEG decoded and all images resized on the GPU.",
    ),
]
Split = Annotated[str | None, typer.Option("--split", help="Default: the dataset's own default.")]

"""`inspect`: contents of a file of vectors or a folder of images, without a run."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from .console import note, out, show_table
from .options import given_path


def register(app: typer.Typer) -> None:
    """Add the command of this module to the application."""
    app.command()(inspect)


def inspect(
    path: Annotated[
        Path,
        typer.Argument(
            help="A file of vectors, a folder of .npy files, or a folder of images.",
            parser=given_path,
            metavar="PATH",
        ),
    ],
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels", help="Their classes, one per vector.", parser=given_path, metavar="FILE"
        ),
    ] = None,
) -> None:
    """Show the vectors and labels, or the images, of a file or folder, and its unused rest."""
    from gpuclust.errors import InputError
    from gpuclust.vectors.folder import files_of

    path = _place(path)
    if path.is_dir() and not files_of(path):
        if labels is not None:
            raise InputError(f"{path} is a folder of images; --labels goes with vectors.")
        _images(path)
        return
    _vectors(path, labels)


def _place(path: Path) -> Path:
    """Return the path in ``folder:<path>`` and ``vectors:<path>``, as other commands take them."""
    from gpuclust.datasets.readers import folder

    name = str(path)
    if name.startswith(folder.PREFIX) and not path.exists():
        return folder.path_of(name)
    if name.startswith("vectors:") and not path.exists():
        return given_path(name.removeprefix("vectors:"))
    return path


def _images(path: Path) -> None:
    from gpuclust.datasets.inspection import inspect_folder

    for line in inspect_folder(path):
        out.print(line, soft_wrap=True, highlight=False, markup=False)


def _vectors(path: Path, labels: Path | None) -> None:
    from gpuclust.embeddings.vector_files import read_vectors
    from gpuclust.vectors.summary import counts_of, facts_of

    vectors = read_vectors(path, labels)
    out.print(vectors.report, soft_wrap=True, highlight=False, markup=False)
    show_table(["", ""], [[name, text] for name, text in facts_of(vectors).items()])
    counts = counts_of(vectors)
    if counts:
        show_table(["class", "samples"], [[name, f"{count:,}"] for name, count in counts.items()])
    given = f" --labels {shlex.quote(str(labels))}" if labels is not None else ""
    k = "" if len(counts) > 1 else " --k K"
    note(f"next: gpuclust run --embeddings {shlex.quote(str(path))}{given} --clusterer kmeans{k}")

"""One cell on the command line: its source, and its result in the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .console import note, show_table

if TYPE_CHECKING:
    from gpuclust.cell import Cell, Place
    from gpuclust.embeddings.data import Data
    from gpuclust.store.store import Store


def place_of(dataset: str, split: str | None, encoder: str) -> Place:
    """Check the names of an embedding; say so when a dataset is the path of a folder."""
    from gpuclust import cell

    names = cell.place(dataset, split, encoder)
    if names["dataset"].startswith("folder:") and not dataset.startswith("folder:"):
        note(f"{dataset} is a folder of images: {names['dataset']}")
    return names


def source(
    dataset: str | None,
    split: str | None,
    encoder: str | None,
    embeddings: Path | None,
    labels: Path | None,
    name: str | None = None,
) -> tuple[Place, Data | None]:
    """Return the names of the images, or of the user's own vectors with their data."""
    from gpuclust.errors import InputError
    from gpuclust.vectors.dataset import is_own

    if embeddings is None:
        if dataset is not None and encoder is None and is_own(dataset):
            encoder = "vectors"
        if dataset is None or encoder is None:
            raise InputError(
                "say what to cluster: --dataset and --encoder for images, or --embeddings FILE "
                "(and --labels FILE) for vectors of your own."
            )
        if labels is not None:
            raise InputError("--labels goes with --embeddings; a dataset brings its own labels.")
        if name is not None:
            raise InputError("--name goes with --embeddings; a dataset has a name.")
        return place_of(dataset, split, encoder), None
    if dataset is not None or encoder is not None:
        raise InputError("give either --dataset and --encoder, or --embeddings, not both.")
    if split is not None:
        raise InputError("--split belongs to --dataset; leave it out with --embeddings.")
    from gpuclust.embeddings import load

    return load.own_vectors(embeddings, labels, name=name, say=note)


def show(row: dict[str, Any], store: Store, asked: Cell, *, saved: bool) -> None:
    """Print the scores of a row and name its files; the labels only when they were asked for."""
    from gpuclust.cell import units_of

    scores = {name: value for name, value in row["scores"].items() if value is not None}
    twins = [n for n in scores if n.endswith("_clustered") and n != "share_clustered"]
    same = [n for n in twins if scores[n] == scores.get(n.removesuffix("_clustered"))]
    lines = [
        [n, f"{v:.4f}" if isinstance(v, float) else str(v)]
        for n, v in scores.items()
        if n not in same
    ]
    k = f", k={row['k']}" if row["k"] else ""
    what = f"{row['reducer']} | {row['clusterer']}{k}, seed {row['seed']}, {row['backend']}"
    note(f"{row['dataset']} ({row['split']}) x {row['encoder']}: {what}")
    show_table(["score", "value"], lines)
    (unit,) = units_of([asked])
    note(f"row: {store.row_path(unit, row['key'])}")
    if saved:
        note(f"labels: {store.labels_path(row['key'])} (path, cluster, truth, strength)")


def note_existing(row: dict[str, Any]) -> None:
    """Say that a row was there before, and by which versions, if they are not the ones here."""
    from gpuclust.report.versions import of_others

    note("already computed; --force computes it again")
    if (others := of_others([row])) is not None:
        note(f"{others}, not by the versions here")

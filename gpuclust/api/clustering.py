"""Cluster from Python: one cell."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..arrays import accept
from ..arrays.transfer import to_host
from ..cell import Cell
from ..device import backend
from ..device.backend import Backend
from ..embeddings.data import Data
from ..errors import GpuclustError
from ..events import Watcher
from ..files.paths import expand
from ..store.store import Store
from .cells import result_of, run_cell
from .embedding import ROOT, options_of
from .result import Result
from .source import Asked, source
from .watching import Progress, watched


def run(
    X: Any,
    encoder: str | None = None,
    *,
    reducer: str = "none",
    clusterer: str | None = None,
    k: int | None = None,
    seed: int = 0,
    y: Any | None = None,
    paths: Sequence[Any] | None = None,
    name: str | None = None,
    metrics: str | Sequence[str] = ("default",),
    split: str | None = None,
    preprocess: str = "own",
    device: str = "auto",
    root: str | Path = ROOT,
    data_dir: str | Path | None = None,
    batch_size: int | None = None,
    loaders: int | None = None,
    skip_bad: bool = False,
    save_labels: bool = True,
    force: bool = False,
    progress: Progress = False,
) -> Result:
    """Reduce, cluster and score images or vectors; the row is stored, and reused the next time.

    Parameters
    ----------
    X : str, path, Embeddings or array-like
        What to cluster.  Images: a dataset's name or a folder, with `encoder`.  Vectors: the
        result of `gpuclust.embed`, a file (.npy, .npz, .parquet, ...), or an array-like (n, d):
        list of rows, NumPy, DataFrame, torch, CuPy.  Arrays on a GPU stay there.
    encoder : str, optional
        Encoder of the images, see `gpuclust.embed`.
    reducer : str
        ``"none"``, ``"umap"``, ``"zscore|pca(0.9)"``; see ``gpuclust list reducers``.
    clusterer : str, optional
        ``"kmeans"``, ``"hdbscan(min_cluster_size=3)"``; see ``gpuclust list clusterers``.  Default:
        kmeans if `k` is given, else hdbscan, which finds the number of clusters.
    k : int, optional
        Number of clusters; default: the number of true classes.
    seed : int
        Seed of the reducer and the clusterer.
    y : array-like (n,) or path, optional
        True classes of vectors, integers or text, or a file of them.  Scores only.
    paths : sequence of str, optional
        Names of the vectors, for the tables; default: those of the file or of the DataFrame's
        index.
    name : str, optional
        Name of the vectors in the table of results.
    metrics : str or sequence of str
        Scores or groups of scores.
    split, preprocess, device, root, data_dir, batch_size, loaders, skip_bad, progress
        See `gpuclust.embed`.
    save_labels : bool
        Write the labels to ``<root>/labels/<key>.csv``, too, so that an existing row needs no
        second computation.
    force : bool
        Compute again although there is a row.

    Returns
    -------
    Result
        `labels` (n,), `paths`, `reduced` (n, m), `scores`, `seconds`, `strength`, `row`,
        `to_frame()`, `to_csv(path)`.

    Raises
    ------
    InputError, CellError
        When the cell cannot be computed; the message says why.

    Warns
    -----
    GpuclustNote
        About choices made about the input, and warnings of the methods.

    Examples
    --------
    >>> import gpuclust
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> result = gpuclust.run(X[:300], clusterer="kmeans", y=y[:300], root=tmp_path)
    >>> result.k, result.labels.shape, result.scores["ami"] > 0.5
    (10, (300,), True)
    """
    with watched(progress) as watcher:
        asked = Asked(X, encoder, split, preprocess, y, paths, name)
        found = source(asked, watcher)
        cell = Cell.of(
            **found.names,
            preprocess=found.preprocess,
            reducer=reducer,
            clusterer=clusterer or ("hdbscan" if k is None else "kmeans"),
            k=k,
            seed=seed,
            metrics=metrics,
        )
        if k is not None and not cell.wants_k:
            watcher.note(f"{cell.clusterer.name} finds the number of clusters itself: k is ignored")
        store, on = Store(expand(root)), backend.select(device)
        options = options_of(data_dir, batch_size, loaders, skip_bad=skip_bad)
        options = options._replace(vectors=_on_backend(found.vectors, on, watcher))
        made = run_cell(
            cell,
            store,
            on,
            force=force,
            need_labels=True,
            options=options,
            save_labels=save_labels,
            watcher=watcher,
        )
        if made.row is None:
            raise GpuclustError(
                f"the run of {cell.dataset} was stopped before its row was written."
            )
        watcher.texts += [text for text in made.row["warnings"] if text not in watcher.texts]
        made_notes = tuple(watcher.texts)
        return result_of(made, cell, store, on, options, like=found.like, notes=made_notes)


def _on_backend(vectors: Data | None, on: Backend, watcher: Watcher) -> Data | None:
    """Copy vectors from a GPU to the host where the CPU computes; else leave them in place."""
    if vectors is None or on.name == "gpu" or not accept.on_gpu(vectors.X):
        return vectors
    watcher.note(f"X is copied from the GPU to the host, because the CPU computes ({on.reason})")
    return dataclasses.replace(vectors, X=to_host(vectors.X))

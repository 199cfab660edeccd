"""Input of `gpuclust.run`: images by name, vectors in a file, or vectors in memory."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..arrays import accept
from ..cell import Place, check_preprocess, place
from ..datasets.table import DATASETS
from ..embeddings.check import check_vectors
from ..embeddings.data import Data, Samples
from ..embeddings.own import data_of
from ..embeddings.vector_files import read_vectors
from ..errors import GpuclustNote, InputError
from ..files.paths import expand
from ..registry import find
from ..vectors import dataset as own_vectors
from ..vectors.taken import Vectors
from ..vectors.values import fingerprint_of
from . import digest, given
from .embeddings import Embeddings
from .watching import Notes


class Asked(NamedTuple):
    """Arguments of `gpuclust.run` about its input."""

    X: Any
    encoder: str | None = None
    split: str | None = None
    preprocess: str = "own"
    y: Any | None = None
    paths: Sequence[Any] | None = None
    name: str | None = None


class Source(NamedTuple):
    """Names of an embedding, its vectors in memory or None, and the array type of the results."""

    names: Place
    preprocess: str
    vectors: Data | None = None
    like: Any | None = None


def source(asked: Asked, watcher: Notes) -> Source:
    """Find the samples of a run.

    Raises
    ------
    InputError
        When it is nothing that can be clustered, or arguments do not belong to it.
    """
    X = asked.X
    if isinstance(X, Embeddings):
        return _embeddings(asked, X, watcher)
    if isinstance(X, str | os.PathLike):
        return _by_name(asked, X, watcher)
    if not hasattr(X, "__len__") and not hasattr(X, "__array__"):
        raise InputError(
            f"X cannot be a {type(X).__name__}. Give a dataset's name or a folder of images with "
            "encoder, a file of vectors, or an array (n, d)."
        )
    _refuse(asked, "vectors", encoder=asked.encoder, split=asked.split)
    if _are_images(X):
        raise InputError(
            "X holds images, not vectors. Embed them first: "
            'gpuclust.run(gpuclust.embed(images, "efficientnet_lite0")).'
        )
    names = Place(dataset=asked.name or "array", split="all", encoder="vectors")
    return Source(names, "own", _in_memory(asked, watcher), _like(X))


def _by_name(asked: Asked, X: str | os.PathLike[str], watcher: Notes) -> Source:
    path = expand(X)
    if isinstance(X, str) and own_vectors.is_own(X):
        return _file(asked, own_vectors.source_of(X), watcher)
    is_dataset = isinstance(X, str) and find(X, DATASETS) is not None
    if not is_dataset and (path.is_file() or (path.is_dir() and asked.encoder is None)):
        if path.is_dir() and not any(path.glob("*.npy")):
            raise InputError(
                f"{path} is a folder: give encoder, for example "
                f'encoder="efficientnet_lite0", to cluster its images.'
            )
        return _file(asked, own_vectors.source(path), watcher)
    found = given.named(X, watcher)
    if asked.encoder is None:
        raise InputError(
            f'{found} holds images: give encoder, for example encoder="efficientnet_lite0".'
        )
    _refuse(asked, "own vectors", y=asked.y, paths=asked.paths, name=asked.name)
    names = place(found, asked.split, asked.encoder)
    return Source(names, check_preprocess(asked.preprocess))


def _file(asked: Asked, given_: own_vectors.Source, watcher: Notes) -> Source:
    _refuse(asked, "vectors in a file", encoder=asked.encoder, split=asked.split)
    labels = given_.labels
    if isinstance(asked.y, str | os.PathLike):
        labels = own_vectors.source(given_.path, expand(asked.y)).labels
    vectors = read_vectors(given_.path, labels)
    watcher.note_quietly(vectors.report)
    if vectors.left_out:
        watcher.note(vectors.report)
    data = data_of(vectors)
    if asked.y is not None and not isinstance(asked.y, str | os.PathLike):
        data = _with_labels(data, asked.y, watcher)
    name = asked.name or own_vectors.Source(given_.path, labels).name
    names = Place(dataset=name, split="all", encoder="vectors")
    return Source(names, "own", _with_paths(data, asked.paths))


def _embeddings(asked: Asked, X: Embeddings, watcher: Notes) -> Source:
    _refuse(asked, "embeddings", encoder=asked.encoder, split=asked.split)
    data = _with_paths(X.data(), asked.paths)
    meta = X.meta
    names = Place(dataset=meta["dataset"], split=meta["split"], encoder=meta["encoder"])
    if asked.y is not None:
        data = _with_labels(data, asked.y, watcher)
    if asked.name is not None:
        names["dataset"] = asked.name
    return Source(names, meta["preprocess"], data)


def _in_memory(asked: Asked, watcher: Notes) -> Data:
    """Return vectors and classes; arrays on a GPU stay there."""
    if accept.on_gpu(asked.X):
        X = digest.checked(accept.samples(asked.X))
        data = Data(X, None, digest.of(X))
        data = data if asked.y is None else _with_labels(data, asked.y, watcher)
    else:
        data = data_of(_checked(asked.X, asked.y, watcher))
    paths = asked.paths
    if paths is None and data.names().paths is None:
        paths = _index(asked.X)
    return _with_paths(data, paths)


def _with_labels(data: Data, y: Any, watcher: Notes) -> Data:
    """Replace the classes of vectors."""
    n = data.X.shape[0]
    found = _checked(np.zeros((n, 1), np.float32), y, watcher)
    text = data.fingerprint + fingerprint_of(found.X, found.y, found.labelled)
    names = Samples(data.names().paths, found.class_names)
    fingerprint = hashlib.sha256(text.encode()).hexdigest()
    return Data(data.X, found.y, fingerprint, found.labelled, lambda: names)


def _checked(X: Any, y: Any, watcher: Notes) -> Vectors:
    """Check vectors and labels; their warnings become notes of the call."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", GpuclustNote)
        found = check_vectors(X, y)
    for one in caught:
        watcher.note(str(one.message))
    return found


def _with_paths(data: Data, paths: Sequence[Any] | None) -> Data:
    if paths is None:
        return data
    texts = tuple(os.fspath(one) if isinstance(one, os.PathLike) else str(one) for one in paths)
    n = data.X.shape[0]
    if len(texts) != n:
        raise InputError(f"paths has {len(texts)} names for the {n} vectors of X.")
    names = Samples(texts, data.names().class_names)
    return Data(data.X, data.y, data.fingerprint, data.labelled, lambda: names)


def _index(X: Any) -> list[str] | None:
    """Return the index of a DataFrame as names, unless it only counts the rows."""
    index = getattr(X, "index", None)
    if index is None or callable(index) or hasattr(index, "step"):
        return None
    if hasattr(index, "to_pandas"):  # of cuDF, which has no list
        index = index.to_pandas()
    return [str(one) for one in index.tolist()]


def _are_images(X: Any) -> bool:
    if isinstance(X, Sequence) and not isinstance(X, str) and len(X):
        return hasattr(X[0], "getbands") or isinstance(X[0], str | os.PathLike)
    return getattr(X, "ndim", 2) in (3, 4) and str(getattr(X, "dtype", "")).endswith("uint8")


def _like(X: Any) -> Any | None:
    """Return an empty array of the type of `X`; a result must not keep X alive."""
    return X[:0] if hasattr(X, "shape") and hasattr(X, "dtype") else None


def _refuse(asked: Asked, what: str, **not_for_it: Any) -> None:
    """Raise an error for arguments of another kind of input."""
    given_ = [name for name, value in not_for_it.items() if value is not None]
    if asked.preprocess != "own" and "split" in not_for_it:
        given_.append("preprocess")
    if given_:
        kind = "own vectors" if what == "own vectors" else "images"
        names = " and ".join(given_)
        verb = "belongs" if len(given_) == 1 else "belong"
        raise InputError(f"{names} {verb} to {kind}; leave it out here.")

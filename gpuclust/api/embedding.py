"""Embed images from Python."""

from __future__ import annotations

import dataclasses
import functools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..cell import Place, Unit, canonical_encoder, check_preprocess, place
from ..device import backend
from ..device.backend import Backend
from ..embeddings import files, samples
from ..embeddings.load import Lookup, Options, embed_or_wait, look_up, version_of
from ..errors import InputError
from ..events import Watcher
from ..files.paths import expand
from ..store.store import Store
from . import given
from .embeddings import Embeddings
from .watching import Progress, watched

ROOT = "gpuclust-results"


def embed(
    images: Any,
    encoder: str,
    *,
    split: str | None = None,
    preprocess: str = "own",
    root: str | Path = ROOT,
    device: str = "auto",
    data_dir: str | Path | None = None,
    batch_size: int | None = None,
    loaders: int | None = None,
    skip_bad: bool = False,
    force: bool = False,
    progress: Progress = False,
) -> Embeddings:
    """Embed images with a pretrained encoder, or load their stored embedding.

    O(n) passes of the encoder the first time; later calls read two small files and map the
    vectors into memory.  Images in memory have no files to compare, so their embedding is returned
    and not stored: keep it with `Embeddings.save`.

    Parameters
    ----------
    images : str, path, list or array
        A dataset's name (``"digits"``); a folder, with or without ``folder:``; a list of image
        files; a list of PIL images; an array or tensor (n, h, w), (n, h, w, 3) or (n, 3, h, w) of
        uint8 pixels.  A name of a dataset comes before a folder of the same name.
    encoder : str
        For example ``"efficientnet_lite0"`` or ``"timm/vit_base_patch16_dinov3.lvd1689m"``; see
        ``gpuclust list encoders``.
    split : str, optional
        Split of the dataset; its default split if left out.
    preprocess : {"own", "study", "own-device", "study-device"}
        The encoder's own preprocessing, or the study's: resize and crop to 224 x 224; with
        ``-device``, JPEG is decoded and all images resized on the device of the encoder.
    root : path
        Folder of results, shared with the command line.
    device : {"auto", "cpu", "gpu"}
        Backend.
    data_dir : path, optional
        Folder of the datasets that are read from files.
    batch_size, loaders : int, optional
        Images per forward pass, and number of processes that decode images.
    skip_bad : bool
        Leave out images that cannot be decoded instead of raising.
    force : bool
        Embed again although there is a stored embedding.
    progress : bool or callable
        True shows a line on standard error; a function receives every event.

    Returns
    -------
    Embeddings
        `array` (n, d) float32, `paths`, `labels`, `class_names`, `meta`, `columns`.

    Raises
    ------
    InputError
        For an unknown name, a folder without images, or an array that is no images.
    BadImagesError
        For images that cannot be decoded, without `skip_bad`; `paths` lists them.

    Warns
    -----
    GpuclustNote
        About files that were ignored or skipped, and choices made about the input.

    Examples
    --------
    >>> import gpuclust
    >>> import numpy as np
    >>> gpuclust.embed("digits", "raw", root=tmp_path).shape
    (1797, 192)
    >>> pixels = np.zeros((5, 8, 8, 3), dtype=np.uint8)
    >>> gpuclust.embed(pixels, "raw").paths[:2]
    ('images[0]', 'images[1]')
    """
    with watched(progress) as watcher:
        options = options_of(data_dir, batch_size, loaders, skip_bad=skip_bad)
        on = backend.select(device)
        found = given.images(images, watcher)
        names = place_of(found, split, encoder)
        unit = Unit(**names, preprocess=check_preprocess(preprocess), cells=())
        if isinstance(found, given.ImagesInMemory):
            return _in_memory(unit, found, on, options, watcher)
        store = Store(expand(root))
        if isinstance(found, given.ListedFiles):
            look = functools.partial(_look_up_files, unit, found, store)
        else:
            look = functools.partial(look_up, unit, store, options, watcher)
        return stored(look, store, on, options, watcher, force=force)


def options_of(
    data_dir: str | Path | None, batch_size: int | None, loaders: int | None, *, skip_bad: bool
) -> Options:
    """Return the options of an embedding from the arguments of Python."""
    return Options(
        data_dir=None if data_dir is None else expand(data_dir),
        batch_size=batch_size,
        workers=loaders,
        skip_bad=skip_bad,
    )


def place_of(dataset: given.Named | given.Given, split: str | None, encoder: str) -> Place:
    """Name an embedding of a dataset of the table, or of other images."""
    if isinstance(dataset, given.Named):
        return place(dataset, split, encoder)
    if split is not None:
        raise InputError(f"split={split!r} belongs to a dataset; these are only images.")
    return Place(dataset=dataset.name, split="all", encoder=canonical_encoder(encoder))


def stored(
    look: Callable[[], Lookup],
    store: Store,
    on: Backend,
    options: Options,
    watcher: Watcher,
    *,
    force: bool = False,
) -> Embeddings:
    """Load the embedding found by `look`, after computing it where it is missing."""
    lookup = look()
    place = store.embedding(lookup.unit)
    if lookup.problem is not None and lookup.meta is None and not force:
        raise lookup.problem
    if lookup.problem is not None:
        watcher.note(f"{lookup.problem} It is embedded again.")
    if force:
        lookup = dataclasses.replace(lookup, meta=None, problem=None, reuse=False)
    if lookup.meta is not None and lookup.problem is None:
        found = files.load(place, lookup.meta)
    else:
        found = embed_or_wait(lookup, look, store, on, options=options, watcher=watcher)
    return _embeddings(found, place.labels)


def _look_up_files(unit: Unit, dataset: given.ListedFiles, store: Store) -> Lookup:
    """Look for the stored embedding of a list of files."""
    place = store.embedding(unit)
    version, meta = version_of(place.meta), files.load_meta(place)
    current = meta is not None and meta.data_fingerprint == dataset.fingerprint
    return Lookup(unit, meta=meta if current else None, dataset=dataset, version=version)


def _in_memory(
    unit: Unit, dataset: given.ImagesInMemory, on: Backend, options: Options, watcher: Watcher
) -> Embeddings:
    with tempfile.TemporaryDirectory(prefix="gpuclust-") as folder:
        look = functools.partial(Lookup, unit, dataset=dataset)
        found = stored(look, Store(Path(folder)), on, options, watcher)
        copied = dataclasses.replace(found, array=_read_only(np.array(found.array)))
        return copied._whole()


def _embeddings(found: files.Embedding, labels: Path) -> Embeddings:
    known, names = samples.stored_labels(labels), samples.stored_names(labels)
    meta = dataclasses.asdict(found.meta)
    made = Embeddings(
        array=found.X,
        paths=names.paths,
        labels=known.y,
        class_names=names.class_names,
        meta=meta,
        labelled=known.labelled,
        columns=samples.stored_columns(labels),
    )
    return made._whole()


def _read_only(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)
    return array

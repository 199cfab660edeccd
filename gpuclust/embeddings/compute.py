"""Embed the images of a unit, alone or as a helper of another process."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..device import memory
from ..device.backend import Backend
from ..errors import GpuclustError, InputError
from ..events import Stopped, Watcher
from ..store.store import Store
from ..vectors.dataset import is_own

if TYPE_CHECKING:
    from ..cell import Unit
    from ..datasets import Dataset
    from ..encoders.encoder import Encoder
    from .embed import Embedding
    from .files import EmbeddingMeta
    from .load import Lookup, Options


def embed_unit(
    found: Lookup,
    store: Store,
    on: Backend,
    options: Options,
    watcher: Watcher,
    *,
    keep: bool = False,
) -> Embedding:
    """Embed the images of a unit; with `keep`, the vectors stay on the GPU."""
    from . import embed

    unit = found.unit
    dataset, encoder, how = _given(found, on, options, watcher)
    say_guesses(unit, dataset, watcher)
    refuse_without_k(unit, dataset)
    files = store.embedding(unit)
    embedded = embed.embed(dataset, encoder, files, keep=keep, reuse=found.reuse, **how)
    if skipped := skipped_images(embedded.meta):
        watcher.note(skipped)
    del encoder  # frees its memory for the clusterers
    if on.torch_device() != "cpu":
        memory.release()
    return embedded


def say_guesses(unit: Unit, dataset: Dataset, watcher: Watcher) -> None:
    """Report files without an image, and guesses about the folders of a dataset."""
    if dataset.ignored:
        first, more = dataset.ignored[0], len(dataset.ignored) - 1
        others = f" and {more} more" if more else ""
        watcher.note(f"ignored in {unit.dataset}, not an image: {first}{others}")
    for line in dataset.said:  # splits, classes, files of another format
        watcher.note(line)


def skipped_images(meta: EmbeddingMeta) -> str:
    """Describe the skipped images; empty without one."""
    if not meta.skipped:
        return ""
    return (
        f"{len(meta.skipped)} images cannot be decoded and were skipped, the first is "
        f"{meta.skipped[0]['where']}"
    )


def refuse_without_k(unit: Unit, dataset: Dataset) -> None:
    """Raise before the encoding if every cell needs a k, and a folder has no classes to count."""
    from .. import datasets

    if unit.cells and datasets.entry_of(unit.dataset).is_path:
        labels = dataset.labels  # -1 for an image without a label
        n_classes = None if labels is None else len(np.unique(labels[labels >= 0]))
        for cell in unit.cells:
            try:
                cell.with_k(n_classes)
            except InputError as error:
                problem = error
            else:
                return
        raise problem


def check_sources(units: Iterable[Unit], store: Store) -> None:
    """Raise for missing images or a missing encoder, unless their embedding is stored.

    Costs one look for a file per unit.  The registry's own names for models of other libraries are
    not checked again: the tests compare them with these libraries, and importing one takes seconds.

    Raises
    ------
    InputError
        For a folder or a checkpoint that does not exist, or cannot be used.
    """
    from .. import datasets, encoders
    from ..encoders.table import ENCODERS

    missing = [unit for unit in units if not store.embedding(unit).meta.exists()]
    for dataset, split in dict.fromkeys((unit.dataset, unit.split) for unit in missing):
        datasets.check(dataset, split)
    for encoder in dict.fromkeys(unit.encoder for unit in missing if not is_own(unit.dataset)):
        entry = ENCODERS.get(encoder)
        if entry is None or not entry.stands_for:
            encoders.check(encoder)


def help_unit(found: Lookup, store: Store, on: Backend, options: Options, watcher: Watcher) -> int:
    """Help another process to embed a unit; return the number of images encoded here.

    Returns 0 at once when no process embeds the unit, or all of its images are claimed.  An error
    is only reported: the process that embeds the unit meets it too.

    Raises
    ------
    Stopped
        When the watcher asks to stop.
    """
    from . import parts

    if found.meta is not None or found.vectors is not None:
        return 0
    files = store.embedding(found.unit)
    if not parts.home(files).is_dir():
        return 0
    from . import embed, ranges

    if not any(map(ranges.has_free_range, parts.plans(files))):
        return 0
    watcher.note(f"another process embeds {found.unit}: this one helps")
    try:
        dataset, encoder, how = _given(found, on, options, watcher)
        count = embed.help_embed(dataset, encoder, files, **how)
    except Stopped:
        raise
    except GpuclustError as error:
        watcher.note(f"could not help to embed {found.unit}: {error}")
        return 0
    del encoder
    if on.torch_device() != "cpu":
        memory.release()
    return count


def _given(
    found: Lookup, on: Backend, options: Options, watcher: Watcher
) -> tuple[Dataset, Encoder, dict[str, Any]]:
    """Open the dataset and the encoder of a unit; return them with the options of `embed`."""
    from .. import datasets, encoders

    unit, dataset = found.unit, found.dataset
    if dataset is None:
        dataset = datasets.load(unit.dataset, split=unit.split, data_dir=options.data_dir)
    encoder = encoders.load(unit.encoder, preprocess=unit.preprocess, image_size=dataset.image_size)
    given = {"batch_size": options.batch_size, "workers": options.workers}
    how: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    how |= {
        "device": on.torch_device(),
        "skip_bad": options.skip_bad,
        "progress": functools.partial(watcher.embedding, unit),
        "note": watcher.note,
    }
    return dataset, encoder, how

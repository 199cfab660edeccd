"""Load the embedding of a unit: from the store, from images and an encoder, or from own vectors.

A stored embedding is out of date when its images or its checkpoint have changed; then it is
computed again.
"""

from __future__ import annotations

import functools
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..cell import ResolvedUnit, Unit
from ..device.backend import Backend
from ..errors import DamagedFileError, GpuclustError, InputError
from ..events import Stopped, Watcher
from ..store.store import Store
from ..vectors.dataset import is_own, source_of
from . import own as own_data
from .compute import check_sources, embed_unit, help_unit
from .data import Data, check_finite
from .own import own_vectors

if TYPE_CHECKING:
    from ..datasets import Dataset
    from .embed import Embedding
    from .files import EmbeddingMeta


__all__ = [
    "DEFAULT_OPTIONS",
    "Lookup",
    "Options",
    "check_sources",
    "embed_or_wait",
    "embed_unit",
    "help_unit",
    "is_current",
    "load_unit",
    "look_up",
    "own_vectors",
    "version_of",
]

# Pause before a unit that another process embeds is tried again.
_WAIT_SECONDS = 0.5


class Options(NamedTuple):
    """Source of the embeddings: a user's own `vectors`, or images; see `embed.embed`."""

    vectors: Data | None = None
    data_dir: Path | None = None
    batch_size: int | None = None
    workers: int | None = None
    skip_bad: bool = False


DEFAULT_OPTIONS = Options()


@dataclass(frozen=True)
class Lookup:
    """Facts about the embedding of a unit before it is loaded.

    Attributes
    ----------
    unit : Unit
        The unit.
    meta : EmbeddingMeta or None
        Metadata of the stored embedding, None when it is missing or out of date.
    vectors : Data or None
        The user's own vectors in place of a stored embedding.
    facts : own_data.Facts or None
        Facts about a file of vectors, where the dataset is one.
    dataset : Dataset or None
        The listed images, where the lookup had to list them.
    problem : GpuclustError or None
        Raised when the embedding is loaded.
    version : tuple or None
        Size and time of the metadata file, to notice when another process has replaced it.
    reuse : bool
        Take over vectors from before for images that have not changed.
    """

    unit: Unit
    meta: EmbeddingMeta | None = None
    vectors: Data | None = None
    dataset: Dataset | None = None
    problem: GpuclustError | None = None
    version: tuple[int, int] | None = None
    facts: own_data.Facts | None = None
    reuse: bool = True

    def resolve(self, backend: str) -> ResolvedUnit:
        """Return the unit with the k and the key of every cell."""
        known = self.vectors or self.facts or self.meta
        if known is None:
            return self.unit.resolve(None, None, backend)
        return self.unit.resolve(known.fingerprint, known.n_classes, backend)


def look_up(unit: Unit, store: Store, options: Options, watcher: Watcher) -> Lookup:
    """Read the metadata of a unit's embedding and compare it with its images or checkpoint.

    Reads one small file, and lists the files of a photo folder once.
    """
    from . import files

    if options.vectors is not None:
        return Lookup(unit, vectors=options.vectors)
    if is_own(unit.dataset):
        return _look_up_own(unit, store)
    path = store.embedding(unit).meta
    version = version_of(path)
    try:
        meta = files.load_meta(store.embedding(unit))
    except DamagedFileError as error:
        return Lookup(unit, problem=error, version=version)
    if meta is None:
        return Lookup(unit)
    dataset, changed = _images_changed(unit, meta, store, options, watcher)
    changed = changed or _checkpoint_changed(meta)
    if changed:
        watcher.note(
            f"{changed}: the embedding of {unit} is renewed. Rows of the older one are kept."
        )
        return Lookup(unit, dataset=dataset, version=version)
    problem = None
    try:
        files.check_files(store.embedding(unit), meta)
    except DamagedFileError as error:  # raised when the vectors are wanted
        problem = error
    return Lookup(unit, meta, dataset=dataset, problem=problem, version=version)


def _look_up_own(unit: Unit, store: Store) -> Lookup:
    """Look up a file of vectors, and read it unless it is known and unchanged."""
    try:
        facts, data = own_data.find(unit.dataset, store)
    except InputError as error:
        return Lookup(unit, problem=error)
    return Lookup(unit, vectors=data, facts=facts)


def is_current(found: Lookup, store: Store) -> bool:
    """Return False when another process has written the embedding since the lookup."""
    now = version_of(store.embedding(found.unit).meta)
    return found.vectors is not None or now == found.version


def version_of(path: Path) -> tuple[int, int] | None:
    """Return size and time of a metadata file, see `Lookup.version`; None without the file."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_size, status.st_mtime_ns


def embed_or_wait(
    found: Lookup,
    look: Callable[[], Lookup],
    store: Store,
    on: Backend,
    *,
    options: Options,
    watcher: Watcher,
    stop: Callable[[], bool] = lambda: False,
) -> Embedding:
    """Embed the images of a unit; while another process does so, help it and wait for its end.

    Parameters
    ----------
    found : Lookup
        Facts about the missing embedding.
    look : callable () -> Lookup
        Looks again when another process has written the embedding.
    store, on, options, watcher
        As for `embed_unit`.
    stop : callable () -> bool
        Asked while waiting.

    Raises
    ------
    Stopped
        When the watcher or `stop` asks to stop.
    """
    unit = found.unit
    while True:
        with store.claim(unit) as say:
            if say is not None:
                if not is_current(found, store):
                    found = look()
                    if found.meta is not None and found.problem is None:
                        return _stored(found, store)
                what = {"unit": str(unit), "host": platform.node(), "pid": os.getpid()}
                say(what | {"stage": "embedding"})
                return embed_unit(found, store, on, options, watcher)
        if not help_unit(found, store, on, options, watcher):
            watcher.note(f"another process is computing {unit}: waiting for it")
            time.sleep(_WAIT_SECONDS)
        if stop():
            raise Stopped("the run was asked to stop")


def _stored(found: Lookup, store: Store) -> Embedding:
    from . import files

    assert found.meta is not None
    return files.load(store.embedding(found.unit), found.meta)


def load_unit(found: Lookup, store: Store, on: Backend, options: Options, watcher: Watcher) -> Data:
    """Load the embedding of a unit onto the backend, computing it first when it is missing.

    On a GPU a new embedding stays on the device; a stored one is copied to it once.

    Raises
    ------
    DamagedFileError
        When the stored embedding was truncated or changed.
    InputError
        When it has NaN or infinite values, or its images or encoder cannot be read.
    """
    from . import files

    if found.problem is not None:
        raise found.problem
    if found.facts is not None:
        watcher.note(found.facts.report)
    if found.vectors is not None:
        data = found.vectors
    elif found.facts is not None:
        data, _ = own_data.read(source_of(found.unit.dataset))
    else:
        if found.meta is None:
            keep = on.name == "gpu"
            stored = embed_unit(found, store, on, options, watcher, keep=keep)
        else:
            stored = files.load(store.embedding(found.unit), found.meta)
        data = _stored_data(stored, store.embedding(found.unit).labels)
    data = on.place(data)
    check_finite(data.X, found.unit.dataset)
    return data


def _stored_data(stored: Embedding, labels: Path) -> Data:
    """Add the labels and the names of the samples, from their file."""
    from . import samples

    y, labelled = samples.Labels(stored.y)
    if y is None and stored.meta.n_classes is not None:  # some samples have no label
        y, labelled = samples.stored_labels(labels)
    names = functools.partial(samples.stored_names, labels)
    return Data(stored.X, y, stored.meta.fingerprint, labelled, names)


def _images_changed(
    unit: Unit, meta: EmbeddingMeta, store: Store, options: Options, watcher: Watcher
) -> tuple[Dataset | None, str | None]:
    """List a photo folder; return it, with a message when its images have changed."""
    from .. import datasets
    from .label_table import trust_table

    if not datasets.entry_of(unit.dataset).is_path:
        return None, None
    try:
        now = datasets.load(unit.dataset, split=unit.split, data_dir=options.data_dir)
    except InputError:  # its embedding is still valid
        watcher.note(f"the images of {unit} are gone: its embedding of {meta.created} is used")
        return None, None
    trust_table(now, store.embedding(unit).labels)
    if now.fingerprint == meta.data_fingerprint:
        return now, None
    return now, f"{unit.dataset} has changed ({meta.n} samples then, {len(now)} images now)"


def _checkpoint_changed(meta: EmbeddingMeta) -> str | None:
    """Return a message when a checkpoint was overwritten, as training does; deletion is ignored."""
    if "modified_ns" not in meta.source:
        return None
    path = Path(meta.source["file"])
    if not path.exists():
        return None
    status = path.stat()
    then = (meta.source["bytes"], meta.source["modified_ns"])
    return None if (status.st_size, status.st_mtime_ns) == then else f"{path} has changed"

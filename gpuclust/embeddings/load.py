"""Load the embedding of a unit: from the store, from images and an encoder, or from own vectors.

A stored embedding is out of date when its images or its checkpoint have changed; then it is
computed again.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..cell import Place, ResolvedUnit, Unit
from ..device.backend import Backend
from ..errors import DamagedFileError, InputError
from ..events import Watcher
from ..store.store import Store
from .data import Data, check_finite

if TYPE_CHECKING:
    from ..datasets import Dataset
    from .embed import Embedding
    from .files import EmbeddingMeta


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
    dataset : Dataset or None
        The listed images, where the lookup had to list them.
    problem : DamagedFileError or None
        Raised when the embedding is loaded.
    version : tuple or None
        Size and time of the metadata file, to notice when another process has replaced it.
    """

    unit: Unit
    meta: EmbeddingMeta | None = None
    vectors: Data | None = None
    dataset: Dataset | None = None
    problem: DamagedFileError | None = None
    version: tuple[int, int] | None = None

    def resolve(self, backend: str) -> ResolvedUnit:
        """Return the unit with the k and the key of every cell."""
        known = self.vectors or self.meta
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
    path = store.embedding(unit).meta
    version = _version(path)
    try:
        meta = files.load_meta(store.embedding(unit))
    except DamagedFileError as error:
        return Lookup(unit, problem=error, version=version)
    if meta is None:
        return Lookup(unit)
    dataset, changed = _images_changed(unit, meta, options)
    changed = changed or _checkpoint_changed(meta)
    if changed:
        watcher.note(f"{changed}: {unit} is embedded again. Rows of the older one are kept.")
        return Lookup(unit, dataset=dataset, version=version)
    return Lookup(unit, meta, dataset=dataset, version=version)


def is_current(found: Lookup, store: Store) -> bool:
    """Return False when another process has written the embedding since the lookup."""
    return found.vectors is not None or _version(store.embedding(found.unit).meta) == found.version


def _version(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_size, status.st_mtime_ns


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
    if found.vectors is not None:
        data = found.vectors
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
    unit: Unit, meta: EmbeddingMeta, options: Options
) -> tuple[Dataset | None, str | None]:
    """List a photo folder; return it, with a message when its images have changed."""
    from .. import datasets

    if not datasets.entry_of(unit.dataset).is_path:
        return None, None
    try:
        now = datasets.load(unit.dataset, split=unit.split, data_dir=options.data_dir)
    except InputError:  # the images are gone; their embedding is still valid
        return None, None
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
    from .. import datasets, encoders
    from ..device import memory
    from . import embed

    unit, dataset = found.unit, found.dataset
    if dataset is None:
        dataset = datasets.load(unit.dataset, split=unit.split, data_dir=options.data_dir)
    if dataset.ignored:
        first, more = dataset.ignored[0], len(dataset.ignored) - 1
        others = f" and {more} more" if more else ""
        watcher.note(f"ignored in {unit.dataset}, not an image: {first}{others}")
    for line in dataset.said:  # guesses about folders: splits, classes, files of another format
        watcher.note(line)
    encoder = encoders.load(unit.encoder, preprocess=unit.preprocess, image_size=dataset.image_size)
    given = {"batch_size": options.batch_size, "workers": options.workers}
    how: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    watcher.embedding(unit, 0, len(dataset))
    embedded = embed.embed(
        dataset,
        encoder,
        store.embedding(unit),
        device=on.torch_device(),
        skip_bad=options.skip_bad,
        progress=lambda done, total: watcher.embedding(unit, done, total),
        keep=keep,
        **how,
    )
    if skipped := embedded.meta.skipped:
        watcher.note(
            f"{len(skipped)} images cannot be decoded and were skipped, the first is "
            f"{skipped[0]['where']}"
        )
    del encoder  # frees its memory for the clusterers
    if on.torch_device() != "cpu":
        memory.release()
    return embedded


def own_vectors(path: Path, labels: Path | None = None) -> tuple[Place, Data]:
    """Read a user's own vectors and name them as a dataset; see `vector_files.read_vectors`.

    Returns
    -------
    names, data : dict, Data
        The file's name is the dataset and ``vectors`` the encoder; the fingerprint hashes the
        values and the classes.
    """
    from . import vector_files

    X, y, _ = vector_files.read_vectors(path, labels)
    digest = hashlib.sha256(np.ascontiguousarray(X).tobytes())
    digest.update(b"" if y is None else np.ascontiguousarray(y).tobytes())
    names = Place(dataset=Path(path).stem, split="all", encoder="vectors")
    return names, Data(X, y, digest.hexdigest())

"""Where embeddings come from: images and an encoder, or a user's own vectors.

An embedding that is out of date, because the images or the checkpoint changed, is made again.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..cell import Unit
from ..device.backend import Backend
from ..errors import DamagedFileError, InputError
from ..events import Watcher
from ..store.store import Store
from .data import Data, check_finite

if TYPE_CHECKING:
    from .embed import Embedded


class Known(NamedTuple):
    """What is known of an embedding without loading it: nothing, when it is not there."""

    fingerprint: str | None = None
    n_classes: int | None = None


class Options(NamedTuple):
    """Where embeddings come from: a user's own `vectors`, or images; see `embeddings.embed`."""

    vectors: Data | None = None
    data_dir: Path | None = None
    batch_size: int | None = None
    workers: int | None = None
    skip_bad: bool = False


DEFAULT_OPTIONS = Options()


def known_of(unit: Unit, store: Store, options: Options, watcher: Watcher) -> Known:
    """Find what the keys of a unit's rows need to know of its embedding."""
    if options.vectors is not None:
        return Known(options.vectors.fingerprint, options.vectors.n_classes)
    try:
        meta = current_meta(unit, store, options, watcher)
    except DamagedFileError:  # told when the unit is loaded
        return Known()
    return Known() if meta is None else Known(meta.fingerprint, meta.n_classes)


def load_unit(unit: Unit, store: Store, on: Backend, options: Options, watcher: Watcher) -> Data:
    """Load the embedding of a unit to where it is clustered, making it first when it is not there.

    On a GPU an embedding that is made now stays there; one from the disk is copied to it once.

    Raises
    ------
    DamagedFileError
        When the embedding was truncated or changed.
    InputError
        When it has NaN or infinite values, or its images or encoder cannot be had.
    """
    from . import embed

    if options.vectors is not None:
        data = options.vectors
    else:
        kept = None
        if current_meta(unit, store, options, watcher) is None:
            kept = embed_unit(unit, store, on, options, watcher, keep=on.name == "gpu").X
        X, y, meta = embed.load(store.embedding(unit))
        data = Data(X if kept is None else kept, y, meta.fingerprint)
    data = on.place(data)
    check_finite(data.X, unit.dataset)
    return data


def current_meta(unit: Unit, store: Store, options: Options, watcher: Watcher) -> Any:
    """Read the side-car of a unit's embedding; None when there is none, or it is out of date."""
    from . import embed

    meta = embed.load_meta(store.embedding(unit))
    changed = meta and (_images_changed(unit, meta, options) or _checkpoint_changed(meta))
    if not changed:
        return meta
    watcher.note(f"{changed}: {unit} is embedded again. Rows of the older one are kept.")
    return None


def _images_changed(unit: Unit, meta: Any, options: Options) -> str | None:
    from .. import datasets

    if not unit.dataset.startswith("folder:"):
        return None
    try:
        now = datasets.load(unit.dataset, split=unit.split, data_dir=options.data_dir)
    except InputError:  # the images are gone; what was embedded still counts
        return None
    if now.fingerprint == meta.data_fingerprint:
        return None
    return f"{unit.dataset} has changed ({meta.n} samples then, {len(now)} images now)"


def _checkpoint_changed(meta: Any) -> str | None:
    """Notice a checkpoint that was overwritten since, as training does; gone is not changed."""
    if "modified_ns" not in meta.source:
        return None
    path = Path(meta.source["file"])
    if not path.exists():
        return None
    status = path.stat()
    then = (meta.source["bytes"], meta.source["modified_ns"])
    return None if (status.st_size, status.st_mtime_ns) == then else f"{path} has changed"


def embed_unit(
    unit: Unit,
    store: Store,
    on: Backend,
    options: Options,
    watcher: Watcher,
    *,
    keep: bool = False,
) -> Embedded:
    """Embed the images of a unit; `keep` the vectors on the GPU where they were made there."""
    from .. import datasets, encoders
    from ..device import memory
    from . import embed

    dataset = datasets.load(unit.dataset, split=unit.split, data_dir=options.data_dir)
    if dataset.ignored:
        first, more = dataset.ignored[0], len(dataset.ignored) - 1
        others = f" and {more} more" if more else ""
        watcher.note(f"passed over in {unit.dataset}, not an image: {first}{others}")
    encoder = encoders.load(unit.encoder, preprocess=unit.preprocess, image_size=dataset.image_size)
    given = {"batch_size": options.batch_size, "workers": options.workers}
    watcher.embedding(unit, 0, len(dataset))
    embedded = embed.embed(
        dataset,
        encoder,
        store.embedding(unit),
        device=on.torch_device(),
        skip_bad=options.skip_bad,
        progress=lambda done, total: watcher.embedding(unit, done, total),
        keep=keep,
        **{key: value for key, value in given.items() if value is not None},
    )
    del encoder  # the clusterers need its memory more
    if on.torch_device() != "cpu":
        memory.release()
    return embedded


def own_vectors(path: Path, labels: Path | None = None) -> tuple[dict[str, str], Data]:
    """Read a user's own vectors and name them as a dataset; see `embeddings.read_vectors`.

    Returns
    -------
    names, data : dict, Data
        The file's name and ``vectors`` take the places of dataset and encoder; the fingerprint
        hashes the values and the classes.
    """
    from . import embed

    X, y, _ = embed.read_vectors(path, labels)
    digest = hashlib.sha256(np.ascontiguousarray(X).tobytes())
    digest.update(b"" if y is None else np.ascontiguousarray(y).tobytes())
    names = {"dataset": Path(path).stem, "split": "all", "encoder": "vectors"}
    return names, Data(X, y, digest.hexdigest())

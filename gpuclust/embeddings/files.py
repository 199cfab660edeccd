"""The three files of an embedding: their form, and reading them back with every check."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import DamagedFileError, StorageError

if TYPE_CHECKING:
    from ..datasets import Dataset
    from ..store.store import EmbeddingFiles
    from .inference import Sample


@dataclass(frozen=True)
class EmbeddingMeta:
    """What the side-car says.

    Attributes
    ----------
    fingerprint : str
        Identifies the embedding in result keys: SHA-256 over weights, preprocessing, pooling,
        precision, data and which images were skipped; not over the floats, whose last digits
        differ between machines.
    n_classes : int or None
        Different labels that occur; None unless every image has a label.
    skipped : list of dict
        ``{"index", "where", "reason"}`` of each image that was left out.
    """

    dataset: str
    split: str
    encoder: str
    preprocess: str
    pool: str | None
    n: int
    d: int
    dtype: str
    n_classes: int | None
    class_names: list[str] | None
    weights_hash: str
    preprocessing: dict[str, Any]
    preprocessing_hash: str
    data_fingerprint: str
    fingerprint: str
    sha256: str
    labels_sha256: str
    images_per_second: float
    seconds: float
    device: str
    precision: str
    batch_size: int
    workers: int
    source: dict[str, Any]
    versions: dict[str, str]
    skipped: list[dict[str, Any]]
    created: str
    layers: str = "as built"  # before there was anything else, it was not written down


class Embedding(NamedTuple):
    """`X` (n, d) float32, read from the disk as it is used; `y` (n,) int64 or None."""

    X: np.memmap
    y: np.ndarray | None
    meta: EmbeddingMeta


def npy_header(n: int, d: int) -> bytes:
    """Return the .npy header of float32 (n, d), C order; its length does not depend on n."""
    header = io.BytesIO()
    description = {"descr": "<f4", "fortran_order": False, "shape": (n, d)}
    np.lib.format.write_array_header_1_0(header, description)
    return header.getvalue()


def check_space(folder: Path, needed: int) -> None:
    """Refuse with a `StorageError` what would not fit on the disk."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise StorageError(
            f"the embedding needs {needed / 2**20:,.0f} MiB and {folder} has "
            f"{free / 2**20:,.0f} MiB free. Free some space or choose another --root."
        )


def write_labels(path: Path, dataset: Dataset, samples: list[Sample]) -> int | None:
    """Write one line per vector and return the number of classes, None unless all have a label."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = dataset.class_names or ()
    labels = [sample.label for sample in samples]
    named = [names[k] if k is not None and k < len(names) else None for k in labels]
    columns = {
        "index": pa.array([sample.index for sample in samples], pa.int64()),
        "label": pa.array(labels, pa.int64()),
        "class_name": pa.array(named, pa.string()),
        "where": pa.array([dataset.where(s.index) for s in samples], pa.string()),
    }
    pq.write_table(pa.table(columns), path)
    return None if None in labels else len(set(labels))


def load_meta(files: EmbeddingFiles) -> EmbeddingMeta | None:
    """Read the side-car; None when there is no embedding (or none that was finished).

    Raises
    ------
    DamagedFileError
        The side-car cannot be read, or lacks fields.
    """
    try:
        content = json.loads(files.meta.read_bytes())
        names = [f.name for f in dataclasses.fields(EmbeddingMeta) if f.name != "layers"]
        known = {name: content[name] for name in names}
        return EmbeddingMeta(**known, layers=content.get("layers", EmbeddingMeta.layers))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(files.meta, f"{type(error).__name__}: {error}") from error


def load(files: EmbeddingFiles) -> Embedding:
    """Open an embedding: vectors stay on the disk until they are used.

    Raises
    ------
    DamagedFileError
        Not there, or vectors, labels and side-car do not fit together.  The content is not hashed:
        see `verify`.
    """
    meta = load_meta(files)
    if meta is None:
        raise _damaged(files.meta, "it is not there")
    X = _vectors(files.array)
    if X.shape != (meta.n, meta.d) or X.dtype != np.float32:
        raise _damaged(files.array, f"{X.dtype} {X.shape}, not float32 {(meta.n, meta.d)}")
    expected = len(npy_header(meta.n, meta.d)) + X.nbytes
    if files.array.stat().st_size != expected:
        raise _damaged(files.array, f"it does not have the {expected} bytes it should have")
    return Embedding(X, _labels(files.labels, meta), meta)


def verify(files: EmbeddingFiles) -> None:
    """Hash vectors and labels again and compare: O(bytes).

    Raises
    ------
    DamagedFileError
        What `load` raises, or a file whose content has changed.
    """
    meta = load(files).meta
    for path, expected in ((files.array, meta.sha256), (files.labels, meta.labels_sha256)):
        if sha256(path) != expected:
            raise _damaged(path, "its content is not what was written")


def _vectors(path: Path) -> np.memmap:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise _damaged(path, str(error)) from error


def _labels(path: Path, meta: EmbeddingMeta) -> np.ndarray | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        column = pq.read_table(path, columns=["label"])["label"]
    except (OSError, KeyError, pa.ArrowException) as error:
        raise _damaged(path, str(error)) from error
    if len(column) != meta.n:
        raise _damaged(path, f"{len(column)} labels for {meta.n} vectors")
    if (meta.n_classes is None) != bool(column.null_count):
        raise _damaged(path, "its labels are not those that the side-car describes")
    return None if column.null_count else column.to_numpy().astype(np.int64)


def labels_on_gpu(files: EmbeddingFiles) -> Any:
    """Read the table of labels (index, label, class_name, where) as a ``cudf.DataFrame``.

    For joins with tables of classes on the GPU; the scores need no more than `load` gives.
    """
    import cudf

    return cudf.read_parquet(files.labels)


def _damaged(path: Path, what: str) -> DamagedFileError:
    return DamagedFileError(
        f"the embedding file {path} is damaged: {what}. "
        f"`gpuclust embed ... --force` makes it again."
    )


def plain(value: Any) -> Any:
    """Return a value as JSON gives it back: tuples as lists, what JSON lacks as text."""
    return json.loads(json.dumps(value, default=str))


def hash_json(value: Any) -> str:
    """Hash a value by its JSON form."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def sha256(path: Path) -> str:
    """Hash the content of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

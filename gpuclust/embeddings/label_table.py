"""Table of the samples of an embedding: index, label, name, and identity of the image.

A further label of the dataset is a column ``label.<name>``: int64, or text by dictionary.
A photo of a folder also has the facts by which its dataset recognizes it: path in the folder, size
in bytes, time of change, and a digest of its content.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..datasets.readers.folder import FolderDataset, Identity
from ..errors import DamagedFileError, InputError
from .samples import COLUMN, read_table

if TYPE_CHECKING:
    import pyarrow as pa

    from ..datasets import Dataset
    from .decoding import Sample

_FILE = ("file", "size", "modified_ns", "digest")


def write_labels(
    path: Path, dataset: Dataset, samples: list[Sample], images: np.ndarray
) -> int | None:
    """Write one row per vector; return the number of classes, None without any label.

    `images` (n, 16) uint8 has the identity of each image of the dataset, see `headers.identities`.
    """
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
        "image": pa.array([images[s.index].tobytes() for s in samples], pa.binary(16)),
    }
    if isinstance(dataset, FolderDataset):
        facts = [(*dataset.identity(s.index), dataset.digest(s.index)) for s in samples]
        files, sizes, times, digests = zip(*facts, strict=True)
        columns |= {
            "file": pa.array([os.fsencode(file) for file in files], pa.binary()),
            "size": pa.array(sizes, pa.int64()),
            "modified_ns": pa.array(times, pa.int64()),
            "digest": pa.array(digests, pa.string()),
        }
    columns |= _further(dataset, samples)
    with path.open("wb") as file:  # Arrow refuses paths with bytes outside UTF-8
        pq.write_table(pa.table(columns), file)
    return len(set(labels) - {None}) or None


def _further(dataset: Dataset, samples: list[Sample]) -> dict[str, pa.Array]:
    """Return the further labels of the samples; text is stored once per value."""
    import pyarrow as pa

    kept = np.array([sample.index for sample in samples], np.int64)
    columns = {}
    for name, values in dataset.columns.items():
        if len(values) != len(dataset):
            raise InputError(
                f"the labels {name!r} of {dataset.name} are {len(values):,} for {len(dataset):,} "
                f"images. Its reader must return one value per image."
            )
        mine = np.asarray(values)[kept]
        is_number = mine.dtype.kind in "iu"
        array = pa.array(mine, pa.int64() if is_number else pa.string())
        columns[COLUMN + name] = array if is_number else array.dictionary_encode()
    return columns


def trust_table(dataset: Dataset, path: Path) -> None:
    """Give a folder the known digests of its photos, to avoid reading them again."""
    if isinstance(dataset, FolderDataset):
        dataset.trust(_digests(path))


def _digests(path: Path) -> Iterator[tuple[Identity, str]]:
    import pyarrow as pa

    try:
        columns = read_table(path, list(_FILE)).to_pydict()
    except (OSError, KeyError, pa.ArrowException):  # an older table, or none: the photos are read
        return
    for file, size, modified, digest in zip(*(columns[name] for name in _FILE), strict=True):
        yield Identity(os.fsdecode(file), size, modified), digest


def read_identities(path: Path) -> tuple[np.ndarray | None, list[int | None]]:
    """Read the identity (n, 16) uint8 and the label of each image.

    The identities are None in files of older versions.
    """
    import pyarrow as pa

    try:
        table = read_table(path)
        labels = table["label"].to_pylist()
        if "image" not in table.column_names:
            return None, labels
        images = b"".join(table["image"].to_pylist())
    except (OSError, KeyError, TypeError, pa.ArrowException) as error:
        raise damaged(path, str(error)) from error
    return np.frombuffer(images, np.uint8).reshape(-1, 16), labels


def read_labels(path: Path, n: int, n_classes: int | None) -> np.ndarray | None:
    """Read the labels (n,) int64; None if any sample has none."""
    import pyarrow as pa

    try:
        column = read_table(path, ["label"])["label"]
    except (OSError, KeyError, pa.ArrowException) as error:
        raise damaged(path, str(error)) from error
    if len(column) != n:
        raise damaged(path, f"{len(column)} labels for {n} vectors")
    if n_classes is None:
        return None
    if column.null_count == len(column):
        raise damaged(path, "its labels do not match the metadata")
    return None if column.null_count else column.to_numpy().astype(np.int64)


def damaged(path: Path, what: str) -> DamagedFileError:
    """Return the error about a file of an embedding."""
    return DamagedFileError(
        f"the embedding file {path} is damaged: {what}. "
        f"`gpuclust embed ... --force` computes it again."
    )

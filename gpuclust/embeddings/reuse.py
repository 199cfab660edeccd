"""Vectors from before: of the replaced embedding, and of unfinished plans.

A vector is taken over when weights, preprocessing, pooling and precision are the same and the image
has the same identity, see `headers.identities`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import DamagedFileError
from . import files as stored
from .label_table import read_identities
from .parts import Part, Parts, Plan, plans, write_part

if TYPE_CHECKING:
    from ..store.store import EmbeddingFiles

# Fields of a plan's identity and of the metadata that must agree.
SAME = ("weights_hash", "preprocessing_hash", "pool", "precision")
_BLOCK_BYTES = 1 << 26


class Rows(NamedTuple):
    """Vectors of one file: `images` (r, 16) identities, `labels` per row, and their circumstances.

    `source` is a part, or the memory map of the embedding that is replaced.
    """

    images: np.ndarray
    labels: list[int | None]
    source: Part | np.ndarray
    used: dict[str, Any]

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Read some rows, (len(rows), d) float32."""
        source = self.source.rows() if isinstance(self.source, Part) else self.source
        return np.asarray(source[rows], np.float32)


def find(files: EmbeddingFiles, identity: dict[str, Any]) -> list[Rows]:
    """List the vectors on the disk for an embedding with this identity.

    Reads the vectors of the replaced embedding once, to compare their hash.
    """
    return [*_of_embedding(files, identity), *_of_plans(files, identity)]


def _of_embedding(files: EmbeddingFiles, identity: dict[str, Any]) -> Iterator[Rows]:
    if not files.meta.exists():
        return
    try:
        meta = stored.load_meta(files)
        if meta is None or any(getattr(meta, name) != identity[name] for name in SAME):
            return
        images, labels = read_identities(files.labels)
        if images is None:
            return
        stored.verify(files)
        X = stored.load(files, meta).X
    except DamagedFileError:  # of a damaged embedding nothing is taken over
        return
    used = {"limit": meta.batch_size, "layers": meta.layers, "speed": meta.images_per_second}
    yield Rows(images, labels, X, used)


def _of_plans(files: EmbeddingFiles, identity: dict[str, Any]) -> Iterator[Rows]:
    for plan in plans(files):
        if any(plan.facts["identity"].get(name) != identity[name] for name in SAME):
            continue
        parts = Parts(plan)
        parts.scan()
        for part in parts.found.values():
            images = plan.images[plan.order[part.positions()]]
            yield Rows(images, part.labels, part, part.used)


@dataclass
class Carried:
    """Choice of vectors to take over.

    Attributes
    ----------
    rows : list of Rows
        Files with vectors.
    file, row : ndarray (n,) int64
        File and row of each image of the dataset; -1 for an image without a vector.
    """

    rows: list[Rows]
    file: np.ndarray
    row: np.ndarray

    def indices(self) -> np.ndarray:
        """Return the indices of the images with a vector, ascending."""
        return np.flatnonzero(self.file >= 0)

    def write(self, plan: Plan) -> None:
        """Copy the vectors to parts of a plan, in blocks of at most 64 MiB."""
        for number, rows in enumerate(self.rows):
            mine = np.flatnonzero(self.file[plan.order[plan.fresh :]] == number) + plan.fresh
            d = rows.source.d if isinstance(rows.source, Part) else rows.source.shape[1]
            step = max(1, _BLOCK_BYTES // max(1, 4 * d))
            for start in range(0, len(mine), step):
                positions = mine[start : start + step]
                at = self.row[plan.order[positions]]
                write_part(
                    plan,
                    [rows.take(at)],
                    ranges=runs(positions),
                    bad=[],
                    labels=[rows.labels[i] for i in at],
                    used=rows.used | {"carried": True},
                    seconds=0.0,
                )


def match(rows: list[Rows], images: np.ndarray) -> Carried:
    """Look for the vector of each image (n, 16); O((n + r) log r) for r vectors."""
    file, row = np.full(len(images), -1), np.full(len(images), -1)
    wanted = np.ascontiguousarray(images).view(np.uint64)
    for number, each in enumerate(rows):
        if not len(each.images):
            continue
        known = np.ascontiguousarray(each.images).view(np.uint64)
        order = np.argsort(known[:, 0], kind="stable")
        at = np.searchsorted(known[order, 0], wanted[:, 0])
        at = order[np.minimum(at, len(order) - 1)]
        same = (known[at] == wanted).all(axis=1) & (file < 0)
        file[same], row[same] = number, at[same]
    return Carried(rows, file, row)


def runs(positions: np.ndarray) -> list[list[int]]:
    """Group ascending positions into ranges [start, stop].

    Examples
    --------
    >>> import numpy as np
    >>> runs(np.array([1, 2, 3, 7]))
    [[1, 4], [7, 8]]
    """
    breaks = np.flatnonzero(np.diff(positions) != 1) + 1
    return [[int(run[0]), int(run[-1]) + 1] for run in np.split(positions, breaks)]

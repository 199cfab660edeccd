"""Identity of each image, and a check of all headers before anything is encoded."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..datasets.readers.folder import FolderDataset
from ..device import threads

if TYPE_CHECKING:
    from ..datasets import Dataset


class Known:
    """Identities of the images of a dataset, and their bad headers, each found once.

    Parameters
    ----------
    dataset : Dataset
        The images.
    """

    def __init__(self, dataset: Dataset):
        self.dataset = dataset
        self._checked = np.zeros(len(dataset), bool)
        self._bad: dict[int, str] = {}

    @functools.cached_property
    def images(self) -> np.ndarray:
        """Identity of each image, (n, 16) uint8."""
        return identities(self.dataset)

    def bad(self, indices: np.ndarray) -> dict[int, str]:
        """Check new headers; return the reasons of the bad ones among the indices."""
        new = indices[~self._checked[indices]]
        self._bad |= bad_headers(self.dataset, new.tolist())
        self._checked[new] = True
        wanted = set(indices.tolist())
        return {i: why for i, why in self._bad.items() if i in wanted}


def identities(dataset: Dataset) -> np.ndarray:
    """Return the identity of each image, (n, 16) uint8.

    For a photo of a folder: a hash of its relative path, its size, a digest of its content and the
    rules of decoding.  For another image file the time of change replaces the digest.  For an image
    without a file: a hash of the fingerprint of the dataset and the index.  O(n).
    """
    from ..datasets import image

    found = np.empty((len(dataset), 16), np.uint8)
    for i in range(len(dataset)):
        text = f"{image.DECODING}\0".encode() + _identity(dataset, i)
        found[i] = np.frombuffer(hashlib.blake2b(text, digest_size=16).digest(), np.uint8)
    return found


def _identity(dataset: Dataset, i: int) -> bytes:
    path = dataset.path(i)
    if path is None:
        return f"{dataset.fingerprint}\0{i}".encode()
    if isinstance(dataset, FolderDataset):
        name, size, _ = dataset.identity(i)
        return os.fsencode(name) + f"\0{size}\0{dataset.digest(i)}".encode()
    try:
        status = path.stat()
    except OSError:  # gone since it was listed: its header is bad
        return os.fsencode(path)
    return os.fsencode(path) + f"\0{status.st_size}\0{status.st_mtime_ns}".encode()


def bad_headers(dataset: Dataset, indices: Sequence[int]) -> dict[int, str]:
    """Check the headers of image files in parallel; return the reasons by index of the bad ones.

    Images that are no files are not checked.
    """
    from ..datasets import image

    paths = [(int(i), path) for i in indices if (path := dataset.path(int(i))) is not None]
    # Waiting for a disk or a network takes most of the time, so more threads than cores.
    count = min(32, 4 * threads.cores())
    found = image.check_all([path for _, path in paths], threads=count)
    return {i: why for (i, _), why in zip(paths, found, strict=True) if why is not None}

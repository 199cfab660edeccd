"""LSUN: ten scene categories, one LMDB database each.

torchvision's class writes the keys into a pickle in the current folder, and unpickles such a file
when it finds one.  Here the databases are read with the same package, ``lmdb``, in the same order,
and nothing is written.
"""

from __future__ import annotations

import functools
import hashlib
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import BadImagesError, InputError
from ..location import find_folder, see

if TYPE_CHECKING:
    from PIL import Image

CATEGORIES = (
    "bedroom",
    "bridge",
    "church_outdoor",
    "classroom",
    "conference_room",
    "dining_room",
    "kitchen",
    "living_room",
    "restaurant",
    "tower",
)
_ONLY_LOOK = {"readonly": True, "lock": False, "readahead": False, "meminit": False}


def check(name: str, split: str | None = None) -> None:
    """Raise if the package lmdb is not installed; imports nothing.

    Raises
    ------
    InputError
        The package is missing; the message says how to install it.
    """
    del split
    import importlib.util

    if importlib.util.find_spec("lmdb") is None:
        raise InputError(
            f"{name} needs the package lmdb, which is not installed. Install it: pip install lmdb"
        )


def load(name: str, split: str, data_dir: Path | None) -> LmdbImages:
    """List the keys of the ten databases of a split; no image is decoded.

    About 50 bytes of memory per image.

    Raises
    ------
    InputError
        A database is missing, truncated, damaged or empty; the message names its folder.
    """
    check(name)
    _opened.cache_clear()  # LMDB refuses to open a database twice in one process
    folders = tuple(f"{category}_{split}_lmdb" for category in CATEGORIES)
    root = find_folder(name, data_dir, [f"{folder}/data.mdb" for folder in folders])
    keys = [_keys(name, root / folder) for folder in folders]
    return LmdbImages(
        name=name,
        split=split,
        root=root,
        folders=folders,
        keys=tuple(key for one in keys for key in one),
        labels=np.repeat(np.arange(len(folders)), [len(one) for one in keys]).astype(np.int64),
    )


@dataclass(frozen=True)
class LmdbImages:
    """`Dataset` of encoded images in LMDB databases, one per class.

    Attributes
    ----------
    root : Path
        Folder of the databases.
    folders : tuple of str
        Database of class 0, 1, ...
    keys : tuple of bytes
        Key of each image in the database of its class.
    """

    name: str
    split: str
    root: Path
    folders: tuple[str, ...] = field(repr=False)
    keys: tuple[bytes, ...] = field(repr=False)
    labels: np.ndarray = field(repr=False)
    class_names: tuple[str, ...] = CATEGORIES
    ignored: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    image_size: None = None
    sequential: bool = False
    columns: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, i: int) -> tuple[Image.Image, int | None]:
        from .. import image

        label = int(self.labels[i])
        opened = _opened(str(self.root / self.folders[label]), os.getpid())
        with opened.begin(write=False) as transaction:
            encoded = transaction.get(self.keys[i])
        if encoded is None:
            where = self.where(i)
            text = f"cannot read {where}: the database has no such key any more"
            raise BadImagesError(text, [where])
        return image.read(io.BytesIO(encoded), where=self.where(i)), label

    def path(self, i: int) -> None:
        """Return None: the images are in databases."""

    def where(self, i: int) -> str:
        """Name image `i` by its database and key."""
        key = self.keys[i].decode("utf-8", "backslashreplace")
        return f"{self.root / self.folders[int(self.labels[i])]}[{key}]"

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over the rules of decoding, name, split, keys and labels."""
        from .. import image

        digest = hashlib.sha256(f"{self.name}\0{self.split}\0{image.DECODING}\0".encode())
        for key in self.keys:
            digest.update(key + b"\0")
        digest.update(np.ascontiguousarray(self.labels))
        return digest.hexdigest()


@functools.lru_cache(maxsize=2 * len(CATEGORIES))
def _opened(folder: str, process: int) -> Any:
    """Open a database once per process: an environment must not be used after a fork."""
    import lmdb

    del process
    return lmdb.open(folder, max_readers=1, **_ONLY_LOOK)


def _keys(name: str, folder: Path) -> list[bytes]:
    """Return the keys of a database in their order, as torchvision has them."""
    import lmdb

    try:
        with lmdb.open(str(folder), max_readers=1, **_ONLY_LOOK) as database:
            needed = (database.info()["last_pgno"] + 1) * database.stat()["psize"]
            present = (folder / "data.mdb").stat().st_size
            if present < needed:  # reading beyond the end of a mapped file would kill the process
                raise InputError(
                    f"{name}: {folder / 'data.mdb'} is truncated: {present:,} of {needed:,} bytes. "
                    f"Extract it again. {see(name)}"
                )
            with database.begin(write=False) as transaction:
                keys = list(transaction.cursor().iternext(keys=True, values=False))
    except (lmdb.Error, OSError) as error:
        raise InputError(
            f"{name}: {folder} cannot be read as an LMDB database: {error}. Extract it again. "
            f"{see(name)}"
        ) from error
    if not keys:
        raise InputError(f"{name}: {folder} has no images. Extract it again. {see(name)}")
    return keys

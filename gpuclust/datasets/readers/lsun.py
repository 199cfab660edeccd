"""LSUN: ten scene categories, one LMDB database each.

torchvision's class writes the keys into a pickle in the current folder, and unpickles such a file
when it finds one.  Here the databases are read with the same package, ``lmdb``, in the same order,
and nothing is written.
"""

from __future__ import annotations

import functools
import hashlib
import io
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
        with _database(self.root / self.folders[label]).begin(write=False) as transaction:
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


# Folder -> state of its file, and the open database.  A process must open a database only once.
# Forked loaders use the parent's: without locks and writers that is safe, and they cannot open
# another.
_OPEN: dict[Path, tuple[tuple[int, int, int], Any]] = {}


def _database(folder: Path) -> Any:
    """Return the open database of a folder, opened again if its file was replaced."""
    import lmdb

    place = folder.resolve()
    status = (place / "data.mdb").stat()
    state = (status.st_ino, status.st_size, status.st_mtime_ns)
    known, opened = _OPEN.get(place, (None, None))
    if known != state:
        if opened is not None:
            opened.close()
            del _OPEN[place]
        opened = lmdb.open(str(place), max_readers=1, **_ONLY_LOOK)
        _OPEN[place] = (state, opened)
    return opened


def _keys(name: str, folder: Path) -> list[bytes]:
    """Return the keys of a database in their order, as torchvision has them."""
    import lmdb

    try:
        database = _database(folder)
        _check_size(name, folder / "data.mdb", database)
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


def _check_size(name: str, file: Path, database: Any) -> None:
    """Raise for a truncated file: reading beyond the end of a mapped file kills the process."""
    needed = (database.info()["last_pgno"] + 1) * database.stat()["psize"]
    present = file.stat().st_size
    if present < needed:
        raise InputError(
            f"{name}: {file} is truncated: {present:,} of {needed:,} bytes. Extract it again. "
            f"{see(name)}"
        )

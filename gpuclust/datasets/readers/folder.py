"""Folder of images: splits and classes as sub-folders, or flat and without labels.

`folders.layout` has the rules for splits and classes, `folders.names` the system files and folders
that are skipped.  Links to files and folders are followed, except links to a folder that contains
the link.  Files that are no images are listed in `FolderDataset.ignored`.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...errors import InputError
from ...files.paths import expand
from ..folders import digests, layout, messages, names, walk
from ..folders.walk import printable

if TYPE_CHECKING:
    from PIL import Image

PREFIX = "folder:"

# Version of the rules in `folders.layout`; part of the fingerprint.
RULES = 2


class Identity(NamedTuple):
    """Identity of an image file: relative path, size in bytes, time of change in nanoseconds."""

    path: str
    size: int
    modified_ns: int


@dataclass(frozen=True)
class FolderDataset:
    """`Dataset` of the image files below a folder.

    Attributes
    ----------
    root : Path
        Folder of the dataset.
    files : tuple of str
        Paths relative to `root`, with ``/``; sorted by split, class and path.
    labels : ndarray (n,) int64 or None
        Class of every image, -1 for an image without a label; None when no image has one.
    said : tuple of str
        Sentences about guesses: splits, folders that are no classes, photos that are not read.
    """

    name: str
    split: str
    root: Path
    files: tuple[str, ...] = field(repr=False)
    stats: tuple[walk.Stat, ...] = field(repr=False)
    labels: np.ndarray | None = field(repr=False)
    class_names: tuple[str, ...] | None
    ignored: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    image_size: int | None = None
    sequential: bool = False
    columns: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False, compare=False)
    known: dict[Identity, str] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> tuple[Image.Image, int | None]:
        from .. import image

        label = -1 if self.labels is None else int(self.labels[i])
        picture = image.read(self.root / self.files[i], where=self.where(i))
        return picture, label if label >= 0 else None

    def path(self, i: int) -> Path:
        """Return the file of image `i`."""
        return self.root / self.files[i]

    def where(self, i: int) -> str:
        """Return the path of image `i`; bytes outside UTF-8 are escaped."""
        return printable(str(self.root / self.files[i]))

    def identity(self, i: int) -> Identity:
        """Return path, size and time of change of image `i`, as they were when it was listed.

        An image with the same identity has the same content.  For another identity compare
        `digest`: copying or touching a file changes only its time.
        """
        return Identity(self.files[i], *self.stats[i])

    def digest(self, i: int) -> str:
        """Return a digest of the content of image `i`; reads at most 1 MiB of a photo.

        Empty when the file cannot be read.
        """
        identity = self.identity(i)
        if identity not in self.known:
            try:
                self.known[identity] = digests.digest(self.root / self.files[i])
            except OSError:
                return ""
        return self.known[identity]

    def trust(self, known: Iterable[tuple[Identity, str]]) -> None:
        """Take digests from an earlier run, so that unchanged files are not read again.

        Parameters
        ----------
        known : iterable of (Identity, str)
            Results of `identity` and `digest`.
        """
        self.known.update((Identity(*identity), digest) for identity, digest in known if digest)

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over the rules of decoding, classes, paths, sizes and digests.

        Touching, copying or moving the folder does not change it; any change of an image does.
        Reads the images that `trust` did not name: 10,000 photos in about 3 s from a fast disk.
        """
        from .. import image

        digest = hashlib.sha256(f"{RULES} {image.DECODING} {self.class_names}\n".encode())
        with ThreadPoolExecutor(8) as pool:
            contents = pool.map(self.digest, range(len(self)))
            for path, status, content in zip(self.files, self.stats, contents, strict=True):
                digest.update(os.fsencode(path) + f"\0{status.size} {content}\n".encode())
        return digest.hexdigest()


def path_of(name: str) -> Path:
    r"""Return the path in ``folder:<path>``; ``\xNN`` is a byte outside UTF-8.

    Examples
    --------
    >>> from gpuclust.datasets.readers import folder
    >>> str(folder.path_of("folder:/photos"))
    '/photos'
    """
    given = expand(name.removeprefix(PREFIX))
    if "\\x" not in str(given) or os.path.lexists(given):
        return given
    plain = re.sub(
        rb"\\x([0-9a-f]{2})", lambda byte: bytes.fromhex(byte[1].decode()), os.fsencode(given)
    )
    return Path(os.fsdecode(plain)) if b"\0" not in plain else given


def check(name: str, split: str | None = None) -> Path:
    """Return the folder of ``folder:<path>``; no image is opened.

    Raises
    ------
    InputError
        The path is empty, or is not a folder, or the folder has no such split.

    Examples
    --------
    >>> import tempfile
    >>> from gpuclust.datasets.readers import folder
    >>> path = tempfile.mkdtemp()
    >>> str(folder.check(f"folder:{path}")) == path
    True
    """
    given = name.removeprefix(PREFIX)
    if not given:
        raise InputError("folder: has no path. Write folder:<path>, for example folder:~/photos.")
    root = path_of(name)
    at = printable(str(root))
    if root.is_dir():
        if split not in (None, "all"):
            load(name, str(split))
        return root
    if root.exists():
        parent = printable(str(root.parent))
        raise InputError(f"{at} is a file. Give the folder that contains it: folder:{parent}")
    start = "" if root.is_absolute() else f" (it is relative to {Path.cwd()})"
    raise InputError(f"there is no folder {at}. Check the path{start}.")


def load(name: str, split: str, data_dir: Path | None = None) -> FolderDataset:
    """List the images of a folder; no image is opened.

    Parameters
    ----------
    name : str
        ``"folder:<path>"``.
    split : str
        ``"all"``, or the name of a folder with a split: ``"train"`` also names ``Training/``.

    Raises
    ------
    InputError
        The folder is missing, unreadable, without images, has images both beside and inside
        classes, or has no such split.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from gpuclust.datasets.readers import folder
    >>> root = Path(tempfile.mkdtemp())
    >>> for name in ("cat", "dog"):
    ...     (root / name).mkdir()
    ...     Image.new("RGB", (8, 8)).save(root / name / "1.png")
    >>> data = folder.load(f"folder:{root}", "all")
    >>> data.files, data.class_names, data.labels.tolist()
    (('cat/1.png', 'dog/1.png'), ('cat', 'dog'), [0, 1])
    """
    del data_dir  # the path is in the name
    root = check(name)
    found = walk.listing(root)
    if not found.images:
        raise InputError(messages.no_images(root, found))
    decided = layout.decide(found, printable(str(root)))
    files = _files_of(decided, split, root)
    class_names, labels = _labels(decided, files)
    return FolderDataset(
        name=name,
        split=split,
        root=root,
        files=files,
        stats=tuple(found.images[path] for path in files),
        labels=labels,
        class_names=class_names,
        ignored=tuple(map(printable, found.others)),
        said=(*_said(decided, split), *messages.about_files(found)),
    )


def _said(decided: layout.Layout, split: str) -> tuple[str, ...]:
    if decided.kind != "splits" or split == "all":
        return decided.warnings
    others = [text for text in decided.warnings if not text.startswith(decided.reason)]
    return (f"{decided.reason}. Only {printable(split)} is taken.", *others)


def _files_of(decided: layout.Layout, split: str, root: Path) -> tuple[str, ...]:
    """Return the images of a split: the folder with its name, else all folders of its kind."""
    if split == "all":
        return decided.files
    if split in decided.splits:
        return decided.splits[split]
    kind = names.split_of(split)
    files = [
        path
        for top, mine in decided.splits.items()
        if kind is not None and names.split_of(top) == kind
        for path in mine
    ]
    if files:
        return tuple(files)
    allowed = ", ".join(["all", *map(printable, decided.splits)])
    raise InputError(f"{printable(str(root))} has no split {split!r}; it has {allowed}.")


def _labels(
    decided: layout.Layout, files: tuple[str, ...]
) -> tuple[tuple[str, ...] | None, np.ndarray | None]:
    """Return the names of all classes, and the class of each image, -1 without one."""
    number = {name: k for k, name in enumerate(decided.classes)}
    labels = np.array([number.get(decided.class_of.get(path, ""), -1) for path in files], np.int64)
    if not (labels >= 0).any():
        return None, None
    return tuple(map(printable, decided.classes)), labels

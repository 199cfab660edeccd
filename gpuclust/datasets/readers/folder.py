"""A folder of images: one sub-folder per class, or flat and without labels.

Links to files are followed; so are links to folders, unless they lead back to a folder that they
lie in.  Hidden files and folders do not exist.  What is not an image by its extension is listed in
`FolderDataset.ignored`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...errors import InputError

if TYPE_CHECKING:
    from PIL import Image

PREFIX = "folder:"


@dataclass(frozen=True)
class FolderDataset:
    """A `Dataset` read from image files.

    Attributes
    ----------
    root : Path
        The folder.
    files : tuple of str
        Paths below `root`, with ``/``; sorted by class, then by path.
    """

    name: str
    split: str
    root: Path
    files: tuple[str, ...] = field(repr=False)
    labels: np.ndarray | None = field(repr=False)
    class_names: tuple[str, ...] | None
    fingerprint: str
    ignored: tuple[str, ...] = ()
    image_size: int | None = None
    sequential: bool = False

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> tuple[Image.Image, int | None]:
        from .. import image

        label = None if self.labels is None else int(self.labels[i])
        return image.read(self.root / self.files[i], where=self.where(i)), label

    def where(self, i: int) -> str:
        """Return the path of image `i`; bytes that are no UTF-8 are shown escaped."""
        return printable(str(self.root / self.files[i]))


def printable(path: str) -> str:
    r"""Replace what a file system allows in a name and UTF-8 does not by ``\xNN``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def check(name: str) -> Path:
    """Return the folder of ``folder:<path>``.

    Raises
    ------
    InputError
        No path, or there is no folder at that path.
    """
    given = name.removeprefix(PREFIX)
    root = Path(given).expanduser()
    if not given:
        raise InputError("folder: has no path. Write folder:<path>, say folder:~/photos.")
    if root.is_dir():
        return root
    if root.exists():
        raise InputError(f"{root} is a file. Give the folder that it lies in: folder:{root.parent}")
    start = "" if root.is_absolute() else f" (it is relative to {Path.cwd()})"
    raise InputError(f"there is no folder {root}. Check the path{start}.")


def load(name: str, split: str) -> FolderDataset:
    """List a folder; no image is opened.

    Raises
    ------
    InputError
        No such folder, not readable, no images, or images both beside and inside sub-folders.
    """
    root = check(name)
    images, ignored = _listing(root)
    flat = sorted(path for path in images if "/" not in path)
    nested = sorted((path for path in images if "/" in path), key=lambda path: path.split("/"))
    if flat and nested:
        raise InputError(
            f"{root} has images of its own ({printable(flat[0])}, ...) and sub-folders with images "
            f"({printable(nested[0])}, ...), so it is unclear what the classes are. Move the "
            f"{len(flat)} images at the top into a sub-folder, or the sub-folders elsewhere."
        )
    files = flat or nested
    if not files:
        raise InputError(_no_images(root, ignored))
    class_names, labels = _classes(nested)
    return FolderDataset(
        name=name,
        split=split,
        root=root,
        files=tuple(files),
        labels=labels,
        class_names=class_names,
        fingerprint=_fingerprint(files, images),
        ignored=tuple(map(printable, sorted(ignored))),
    )


def _listing(root: Path) -> tuple[dict[str, int], list[str]]:
    """Return the images below `root` with their sizes in bytes, and the other files."""
    from .. import image

    images, ignored = {}, []
    try:
        for entry, relative in _walk(root, "", ()):
            is_image = Path(entry.name).suffix.lower() in image.extensions()
            if is_image and entry.is_file():  # false for a link that leads nowhere
                images[relative] = entry.stat().st_size
            else:
                ignored.append(relative)
    except OSError as error:
        at = error.filename or root
        raise InputError(
            f"cannot read {at}: {error.strerror or error}. Make it readable for this user "
            f"(chmod -R u+rX {root})."
        ) from error
    return images, ignored


def _walk(folder: Path, prefix: str, above: tuple) -> Iterator[tuple[os.DirEntry, str]]:
    """Yield every file below a folder with its path from the root; `above` stops link loops."""
    status = folder.stat()
    identity = (status.st_dev, status.st_ino)
    if identity in above:
        return
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name.startswith("."):
                continue
            relative = prefix + entry.name
            if entry.is_dir():
                yield from _walk(Path(entry.path), f"{relative}/", (*above, identity))
            else:
                yield entry, relative


def _classes(nested: list[str]) -> tuple[tuple[str, ...] | None, np.ndarray | None]:
    """Name the classes after the first folder of each path and number them in that order."""
    if not nested:
        return None, None
    tops = [path.partition("/")[0] for path in nested]
    names = sorted(set(tops))
    number = {name: k for k, name in enumerate(names)}
    return tuple(map(printable, names)), np.array([number[top] for top in tops], np.int64)


def _fingerprint(files: list[str], sizes: dict[str, int]) -> str:
    """Hash paths and sizes: no image is read, so a change that keeps the size is not seen."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(os.fsencode(path) + b"\0%d\n" % sizes[path])
    return digest.hexdigest()


def _no_images(root: Path, ignored: list[str]) -> str:
    found = (
        f"only other files ({', '.join(map(printable, ignored[:3]))}, ...)"
        if ignored
        else "nothing"
    )
    return (
        f"{root} has no images: there is {found} in it. Give a folder with images in it, or with "
        f"one sub-folder of images per class; .jpg, .png and all else that Pillow reads will do."
    )

"""Folder of images: one sub-folder per class, or flat and without labels.

Links to files and folders are followed, except links to a folder that contains the link.  Hidden
files and folders are skipped.  Files without an image extension are listed in
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
    """`Dataset` of the image files below a folder.

    Attributes
    ----------
    root : Path
        Folder of the dataset.
    files : tuple of str
        Paths relative to `root`, with ``/``; sorted by class, then by path.
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

    def path(self, i: int) -> Path:
        """Return the file of image `i`."""
        return self.root / self.files[i]

    def where(self, i: int) -> str:
        """Return the path of image `i`; bytes outside UTF-8 are escaped."""
        return printable(str(self.root / self.files[i]))


def printable(path: str) -> str:
    r"""Return a path with all bytes outside UTF-8 replaced by ``\xNN``.

    Examples
    --------
    >>> from gpuclust.datasets.readers.folder import printable
    >>> print(printable("\udcff.png"))
    \xff.png
    """
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def check(name: str) -> Path:
    """Return the folder of ``folder:<path>``; no image is opened.

    Raises
    ------
    InputError
        The path is empty, or is not a folder.

    Examples
    --------
    >>> import tempfile
    >>> from gpuclust.datasets.readers import folder
    >>> path = tempfile.mkdtemp()
    >>> str(folder.check(f"folder:{path}")) == path
    True
    """
    given = name.removeprefix(PREFIX)
    root = Path(given).expanduser()
    if not given:
        raise InputError("folder: has no path. Write folder:<path>, for example folder:~/photos.")
    if root.is_dir():
        return root
    if root.exists():
        raise InputError(
            f"{root} is a file. Give the folder that contains it: folder:{root.parent}"
        )
    start = "" if root.is_absolute() else f" (it is relative to {Path.cwd()})"
    raise InputError(f"there is no folder {root}. Check the path{start}.")


def load(name: str, split: str, data_dir: Path | None = None) -> FolderDataset:
    """List the images of a folder; no image is opened.

    Raises
    ------
    InputError
        The folder is missing, unreadable, without images, or has images both at the top level and
        in sub-folders.

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
    images, ignored = _listing(root)
    flat = sorted(path for path in images if "/" not in path)
    nested = sorted((path for path in images if "/" in path), key=lambda path: path.split("/"))
    if flat and nested:
        raise InputError(
            f"{root} has images at the top level ({printable(flat[0])}, ...) and in sub-folders "
            f"({printable(nested[0])}, ...), so the classes are ambiguous. Move the {len(flat)} "
            f"images at the top level into a sub-folder, or move the sub-folders elsewhere."
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
    """Return the sizes in bytes of the images below `root`, and the paths of all other files."""
    from .. import image

    images, ignored = {}, []
    try:
        for entry, relative in _walk(root, "", ()):
            is_image = Path(entry.name).suffix.lower() in image.extensions()
            if is_image and entry.is_file():  # False for a broken link
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


def _walk(
    folder: Path, prefix: str, above: tuple[tuple[int, int], ...]
) -> Iterator[tuple[os.DirEntry[str], str]]:
    """Yield all files below a folder with their relative paths; `above` detects link loops."""
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
    """Return class names, the first folder of each path, and labels (n,) int64 in sorted order."""
    if not nested:
        return None, None
    tops = [path.partition("/")[0] for path in nested]
    names = sorted(set(tops))
    number = {name: k for k, name in enumerate(names)}
    return tuple(map(printable, names)), np.array([number[top] for top in tops], np.int64)


def _fingerprint(files: list[str], sizes: dict[str, int]) -> str:
    """Hash paths and sizes in bytes; a change of pixels with equal file size is not detected."""
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
        f"{root} has no images: there is {found} in it. Give a folder of images, or one with a "
        f"sub-folder of images per class, in any format that Pillow reads (.jpg, .png, ...)."
    )

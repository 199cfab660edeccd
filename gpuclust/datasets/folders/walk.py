"""List the files below a folder; no image is opened."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ...errors import InputError
from .. import image
from . import names

_MOST_VISITS = 16  # of one folder through links


class Stat(NamedTuple):
    """Size in bytes and time of change in nanoseconds of a file."""

    size: int
    modified_ns: int


@dataclass
class Listing:
    """Files below a folder, by relative paths with ``/``.

    Attributes
    ----------
    images : dict of str to Stat
        Files with the extension of an image that is read here.
    heif : list of str
        HEIC photos that are not read here, because pillow-heif is not installed.
    others : list of str
        Files that are no images, broken links, pipes and devices.
    system : dict of str to list of str
        Hidden and system files and folders by their maker; folders, with ``/`` at the end, are not
        entered.
    folders : set of str
        Folders that were entered.
    """

    images: dict[str, Stat] = field(default_factory=dict)
    heif: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    system: dict[str, list[str]] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)


def printable(path: str) -> str:
    r"""Return a path with all bytes outside UTF-8 replaced by ``\xNN``.

    Examples
    --------
    >>> from gpuclust.datasets.folders.walk import printable
    >>> print(printable("\udcff.png"))
    \xff.png
    """
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def listing(root: Path) -> Listing:
    """List all files below a folder, links included; about 10 microseconds per file.

    Raises
    ------
    InputError
        A folder cannot be read, or links lead to one folder again and again.

    Examples
    --------
    >>> _ = (tmp_path / "a.txt").write_text("")
    >>> listing(tmp_path).others
    ['a.txt']
    """
    found = Listing()
    try:
        for entry, relative in _walk(root, found):
            end = _extension(entry.name)
            known = end in image.extensions()
            # False for broken links, pipes and devices, which must never be opened.
            if (known or end in image.HEIF) and _holds(entry.is_file):
                if known:
                    status = entry.stat()
                    found.images[relative] = Stat(status.st_size, status.st_mtime_ns)
                else:
                    found.heif.append(relative)
            else:
                found.others.append(relative)
    except OSError as error:
        raise InputError(_unreadable(root, error)) from error
    found.heif.sort()
    found.others.sort()
    return found


def _extension(name: str) -> str:
    """Return the last extension in lower case with the dot."""
    stem, dot, end = name.rpartition(".")
    return f".{end.lower()}" if dot and stem else ""


def _holds(question: Callable[[], bool]) -> bool:
    """Ask ``is_file`` or ``is_dir``; False for a link to itself and other broken links."""
    try:
        return question()
    except OSError:
        return False


@dataclass(frozen=True)
class _Folder:
    path: str
    prefix: str
    identity: tuple[int, int]
    parent: _Folder | None

    def is_inside_itself(self) -> bool:
        above = self.parent
        while above is not None:
            if above.identity == self.identity:
                return True
            above = above.parent
        return False


def _walk(root: Path, found: Listing) -> Iterator[tuple[os.DirEntry[str], str]]:
    """Yield all files below a folder with their relative paths, without recursion."""
    waiting = [_folder(str(root), "", None)]
    visits: Counter[tuple[int, int]] = Counter()
    while waiting:
        folder = waiting.pop()
        visits[folder.identity] += 1
        if visits[folder.identity] > _MOST_VISITS:
            raise InputError(
                f"{printable(folder.path)} is reached more than {_MOST_VISITS} times through "
                f"links. Remove the links, or give a folder without them."
            )
        with os.scandir(folder.path) as entries:
            for entry in entries:
                relative = folder.prefix + entry.name
                maker = names.system(entry.name)
                if maker is not None:
                    name = f"{relative}/" if _holds(entry.is_dir) else relative
                    found.system.setdefault(maker, []).append(name)
                elif not _holds(entry.is_dir):
                    yield entry, relative
                else:
                    below = _folder(entry.path, f"{relative}/", folder)
                    if not (entry.is_symlink() and below.is_inside_itself()):
                        found.folders.add(relative)
                        waiting.append(below)


def _folder(path: str, prefix: str, parent: _Folder | None) -> _Folder:
    status = os.stat(path)  # noqa: PTH116 - a plain str, once per folder
    return _Folder(path, prefix, (status.st_dev, status.st_ino), parent)


def _unreadable(root: Path, error: OSError) -> str:
    at = printable(str(error.filename or root))
    way = "Move it elsewhere."
    if isinstance(error, PermissionError):
        way = f"Make it readable for this user (chmod -R u+rX {printable(str(root))})."
    return f"cannot read {at}: {error.strerror or error}. {way}"

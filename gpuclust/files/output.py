"""Output files named by users: links are followed, devices and pipes written, nothing destroyed.

Files of the store are written by `gpuclust.store.store.atomic` instead, which replaces them.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..errors import InputError, StorageError
from .paths import brief, folder_above

STDOUT = Path("-")


def check(path: Path) -> Path:
    """Check the path of an output before any work is done, and return it.

    Parameters
    ----------
    path : Path
        An existing file, link, device or pipe, or a new file; ``-`` is standard output.

    Raises
    ------
    InputError
        For a folder, a disk, a socket, a path below a file, and a file or folder without the
        permission to write.

    Examples
    --------
    >>> check(tmp_path / "new.csv").name
    'new.csv'
    """
    if path == STDOUT:
        return path
    name = brief(path)
    try:
        mode = path.stat().st_mode
    except OSError:  # a new file, perhaps in new folders
        above = folder_above(_target(path))
        if not above.is_dir():
            raise InputError(f"{name} cannot be made: {brief(above)} is not a folder.") from None
        if not os.access(above, os.W_OK | os.X_OK):
            raise InputError(f"{name} cannot be made: {brief(above)} is not writable.") from None
        return path
    if stat.S_ISDIR(mode):
        raise InputError(f"{name} is a folder. Name a file in it.")
    if stat.S_ISBLK(mode) or stat.S_ISSOCK(mode):
        raise InputError(f"{name} is a {'disk' if stat.S_ISBLK(mode) else 'socket'}. Name a file.")
    if not os.access(path, os.W_OK):
        raise InputError(f"{name} is not writable for this user. Name another file.")
    return path


def check_different(places: Mapping[str, Path | None]) -> None:
    """Refuse two outputs to one place.

    Parameters
    ----------
    places : mapping of str to Path or None
        Path by option; None for an option that was not given.

    Raises
    ------
    InputError
        When two paths name one file or stream, by links as well; ``/dev/null`` takes any number.

    Examples
    --------
    >>> check_different({"--csv": Path("a.csv"), "--markdown": Path("b.md")})
    """
    taken: dict[object, str] = {}
    for option, path in places.items():
        if path is None or _is_null(path):
            continue
        place = "stdout" if is_stdout(path) else (_identity(path) or _target(path))
        if place in taken:
            raise InputError(
                f"{taken[place]} and {option} both name {brief(path)}, and one would overwrite "
                "the other. Give each a place of its own."
            )
        taken[place] = option


def is_stdout(path: Path) -> bool:
    """Return True for ``-``, and for any other name of the file, pipe or terminal on stdout.

    Examples
    --------
    >>> is_stdout(Path("-"))
    True
    """
    if path == STDOUT:
        return True
    try:
        here = os.fstat(sys.stdout.fileno())
    except (OSError, ValueError, AttributeError):  # closed, or a stream in memory
        return False
    return _identity(path) == (here.st_dev, here.st_ino) and not _is_null(path)


def write(path: Path, text: str | bytes) -> None:
    r"""Write a file named by a user.

    A regular file is replaced in one step by a file beside it, with its permissions; a link keeps
    pointing to its target, which is written; a device or pipe is written as it is.  Missing folders
    are made.

    Parameters
    ----------
    path : Path
        Not standard output.
    text : str or bytes
        The whole content; text is written as UTF-8, and bytes outside it as ``\xNN``.

    Raises
    ------
    InputError
        As `check`.
    StorageError
        When the disk is full, or the file cannot be written; a file at `path` stays as it was.

    Examples
    --------
    >>> write(tmp_path / "deep" / "table.csv", "a,b")
    >>> (tmp_path / "deep" / "table.csv").read_text()
    'a,b'
    """
    check(path)
    content = text.encode("utf-8", "backslashreplace") if isinstance(text, str) else text
    target = _target(path)
    try:
        if _replaceable(path, target):
            _replace(target, content)
        else:
            with open(path, "wb", buffering=0) as file:  # noqa: PTH123 - a name, maybe of a device
                _write_all(file.fileno(), content)
    except BrokenPipeError:  # the reader has seen enough
        return
    except OSError as error:
        raise StorageError(
            f"could not write {brief(path)}: {error.strerror}. Free some disk space or name "
            "another file."
        ) from error


def is_regular(path: Path) -> bool:
    """Return True for a regular file, or a path where one will be made.

    Examples
    --------
    >>> is_regular(Path("/dev/null"))
    False
    """
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return True


def _replaceable(path: Path, target: Path) -> bool:
    """Return False for devices and pipes, hard links, and files in a folder without permission."""
    if not is_regular(path):
        return False
    parent = target.parent
    if not target.exists():
        return True
    status = target.stat()
    own = status.st_uid == os.geteuid()
    return own and status.st_nlink == 1 and os.access(parent, os.W_OK | os.X_OK)


def _replace(target: Path, content: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".tmp-{uuid.uuid4().hex[:12]}")
    try:
        with temporary.open("xb", buffering=0) as file:
            _write_all(file.fileno(), content)
            os.fsync(file.fileno())
            if target.exists():
                os.fchmod(file.fileno(), stat.S_IMODE(target.stat().st_mode))
        temporary.replace(target)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def _target(path: Path) -> Path:
    """Return the path at the end of all links."""
    return Path(os.path.realpath(path))


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _is_null(path: Path) -> bool:
    try:
        return path.stat().st_rdev == Path(os.devnull).stat().st_rdev
    except OSError:
        return False


@contextlib.contextmanager
def naming(option: str) -> Iterator[None]:
    """Name an option in the errors of the block.

    Examples
    --------
    >>> with naming("--csv"):
    ...     check(Path("/"))
    Traceback (most recent call last):
        ...
    gpuclust.errors.InputError: --csv: / is a folder. Name a file in it.
    """
    try:
        yield
    except (InputError, StorageError) as error:
        raise type(error)(f"{option}: {error}") from error

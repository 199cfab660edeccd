"""Paths given by users: ``~`` expanded, impossible paths refused."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import InputError
from .visible import visible

# Longest name of a file on Linux and macOS, in bytes.
LONGEST_NAME = 255


def expand(path: str | os.PathLike[str]) -> Path:
    """Expand ``~`` and ``~user``, and refuse an impossible path.

    The path need not exist.  One system call.

    Parameters
    ----------
    path : str or path
        As a user wrote it; relative paths stay relative.

    Raises
    ------
    InputError
        When it is empty, has a null byte or a name over 255 bytes, names the home of an unknown
        user, or leads through a loop of links or a folder without permission.

    Examples
    --------
    >>> expand("results").name
    'results'
    >>> expand("~nosuchuser/results")
    Traceback (most recent call last):
        ...
    gpuclust.errors.InputError: ~nosuchuser/results: there is no such user on this machine, or the \
user has no home folder. Write the whole path.
    """
    given = os.fspath(path)
    if not given:
        raise InputError("the path is empty. Name a file or a folder; . is the current one.")
    if "\0" in given:
        raise InputError(f"the path {brief(given)} has a null byte, so no file can have it.")
    try:
        expanded = Path(given).expanduser()
    except RuntimeError as error:
        raise InputError(
            f"{brief(given)}: there is no such user on this machine, or the user has no home "
            "folder. Write the whole path."
        ) from error
    long = [part for part in expanded.parts if len(os.fsencode(part)) > LONGEST_NAME]
    if long:
        raise InputError(
            f"the name {brief(long[0])} is too long: {len(os.fsencode(long[0]))} bytes, at most "
            f"{LONGEST_NAME} are possible. Give a shorter name."
        )
    try:
        expanded.stat()
    except (FileNotFoundError, NotADirectoryError):
        return expanded
    except OSError as error:
        raise InputError(f"cannot reach {brief(given)}: {error.strerror}.") from error
    return expanded


def brief(path: str | os.PathLike[str]) -> str:
    """Return a path as visible text, with dots in the middle of a very long one.

    Examples
    --------
    >>> len(brief("a" * 300))
    103
    """
    text = visible(os.fspath(path))
    return text if len(text) <= 200 else f"{text[:70]}...{text[-30:]}"


def folder_above(path: Path) -> Path:
    """Return the nearest existing folder above a path, or the file in its way.

    Examples
    --------
    >>> folder_above(tmp_path / "not" / "there") == tmp_path
    True
    """
    for above in path.absolute().parents:
        if os.path.lexists(above):
            return above
    return Path("/")

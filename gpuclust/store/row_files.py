"""Read the files of rows, and name damaged ones: wrong JSON, wrong types, no files.

Rows lie at a fixed depth, ``rows/<dataset>-<split>/<encoder>/<key>.json``, so a link to a folder
above is never walked twice.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ..errors import DamagedFileError

STATUSES = ("ok", "failed", "clustered")
LARGEST = 256 * 2**20  # bytes; rows have thousands, and more while they wait for scores
_NAMES = ("dataset", "split", "encoder", "preprocess", "reducer", "clusterer")
# Facts of a row and the types that they may have; True and False are no numbers here.
_TYPES: dict[str, tuple[type, ...]] = {
    "key": (str,),
    "backend": (str,),
    "run": (str,),
    "finished": (str,),
    "k": (int, type(None)),
    "seed": (int,),
    "n": (int, type(None)),
    "d": (int, type(None)),
    "n_classes": (int, type(None)),
    "n_labelled": (int, type(None)),
    "seconds": (int, float, type(None)),
    "scores": (dict,),
    "stages": (dict,),
    "device": (dict,),
    "warnings": (list,),
    "resolved": (dict,),
    "host": (dict,),
    "error": (dict,),
}
_NUMBERS = frozenset((int, float, type(None)))
_PART = 1 << 16  # bytes read at once


def read(path: Path | str, statuses: Sequence[str] = STATUSES) -> dict[str, Any] | None:
    """Read a row; None when there is no file, or one whose status is not among `statuses`.

    Raises
    ------
    DamagedFileError
        When it cannot be read or is not a row; the message names the file.

    Examples
    --------
    >>> read("no/such/row.json") is None
    True
    """
    try:
        content = _content(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DamagedFileError(f"cannot read the row {path}: {error.strerror}.") from error
    try:
        row = _loads(content)
    except (ValueError, RecursionError) as error:  # not JSON, not text, or nested too deeply
        raise _damaged(path, str(error)) from error
    if not isinstance(row, dict) or row.get("status") not in STATUSES:
        raise _damaged(path, "it is not a row of gpuclust")
    if row["status"] not in statuses:
        return None
    if row["status"] == "clustered":  # read by the grid only, which checks it
        return row
    _whole_again(row, content)
    if (what := fault(row)) is not None:
        raise _damaged(path, what)
    return row


def fault(row: dict[str, Any]) -> str | None:
    """Describe a wrong type in a row; None without one.

    Only the entries that gpuclust reads are checked.  O(entries of the row).

    Examples
    --------
    >>> names = ("dataset", "split", "encoder", "preprocess", "reducer", "clusterer")
    >>> fault(dict.fromkeys(names, "x") | {"status": "ok", "scores": {"ami": "0.5"}})
    'ami in scores is a text'
    """
    shape = (tuple(row), tuple(map(type, row.values())))
    if shape not in _SOUND:  # rows of one grid have one shape, which is checked once
        if (what := _name_fault(row) or _type_fault(row)) is not None:
            return what
        if len(_SOUND) >= 8:
            _SOUND.clear()
        _SOUND.append(shape)
    measured = (*row["scores"].values(), *row.get("stages", _EMPTY).values())
    if not _NUMBERS.issuperset(map(type, measured)):
        return _number_fault(row)
    return _nested_fault(row)


_EMPTY: dict[str, Any] = {}
_TEXT = frozenset((str,))
# Names and types of the entries of rows without a fault: a short list is searched faster than a
# set, because equal tuples are compared by identity of their parts and never hashed.
_SOUND: list[tuple[Any, ...]] = []


def _name_fault(row: dict[str, Any]) -> str | None:
    for name in _NAMES:
        if type(row.get(name)) is not str:
            return f"{name} is {_kind(row[name])}" if name in row else f"{name} is missing"
    return None if "scores" in row else "scores is missing"


def _type_fault(row: dict[str, Any]) -> str | None:
    for name, value in row.items():
        if name in _TYPES and type(value) not in _TYPES[name]:
            return f"{name} is {_kind(value)}"
    return None


def _number_fault(row: dict[str, Any]) -> str:
    wrong = [
        f"{key} in {name} is {_kind(value)}"
        for name in ("scores", "stages")
        for key, value in row.get(name, _EMPTY).items()
        if type(value) not in _NUMBERS
    ]
    return "; ".join(wrong[:3])


def _nested_fault(row: dict[str, Any]) -> str | None:
    if row["status"] == "failed" and type(row.get("error", _EMPTY).get("message")) is not str:
        return "error has no message"
    if type(row.get("resolved", _EMPTY).get("embedding", "")) not in (str, type(None)):
        return "embedding in resolved is not a text"
    versions = row.get("host", _EMPTY).get("versions", _EMPTY)
    if type(versions) is not dict or not _TEXT.issuperset(map(type, versions.values())):
        return "versions in host is not a table of texts"
    if row.get("warnings") and not _TEXT.issuperset(map(type, row["warnings"])):
        return "warnings is not a list of texts"
    return _device_fault(row["device"]) if "device" in row else None


def _device_fault(device: dict[str, Any]) -> str | None:
    for stage, facts in device.items():
        if type(facts) is dict and not _NUMBERS.issuperset(map(type, facts.values())):
            return f"{stage} in device is not a table of numbers"
    return None


def below(folder: Path | str, problem: Callable[[str], None], depth: int = 2) -> Iterator[str]:
    """Yield the paths of all rows below a folder, in order, without temporary files.

    `problem` is called with a message for each folder that cannot be read.
    """
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    except OSError as error:
        problem(f"cannot read the folder of rows {folder}: {error.strerror}.")
        return
    for entry in entries:
        if depth and _is_folder(entry):
            yield from below(entry.path, problem, depth - 1)
        elif not depth and entry.name.endswith(".json") and not entry.name.startswith(".tmp-"):
            yield entry.path


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a loop of links
        return False


def _content(path: Path | str) -> bytes:
    """Read a small regular file by system calls, faster than `Path.read_bytes` for many rows.

    A pipe is opened without waiting for its writer; what it holds is no row.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        parts = [os.read(descriptor, _PART)]
        if len(parts[0]) == _PART:
            _check_file(path, os.fstat(descriptor))
        while len(parts[-1]) == _PART:
            parts.append(os.read(descriptor, _PART))
    finally:
        os.close(descriptor)
    return b"".join(parts)


def _check_file(path: Path | str, status: os.stat_result) -> None:
    """Raise before anything endless is read."""
    if not stat.S_ISREG(status.st_mode):
        raise _damaged(path, "it is a device or a pipe")
    if status.st_size > LARGEST:
        raise _damaged(path, f"it has {status.st_size:,} bytes, far more than a row")


def _whole_again(row: dict[str, Any], content: bytes) -> None:
    """Read k and the seed again where orjson has made a float of a number above 2^64."""
    for name in ("k", "seed"):
        if type(row.get(name)) is float:
            row[name] = json.loads(content)[name]


def _kind(value: object) -> str:
    kinds = {str: "a text", dict: "a table", list: "a list", bool: "true or false"}
    return kinds.get(type(value), "null" if value is None else "a number")


def _damaged(path: Path | str, what: str) -> DamagedFileError:
    what = re.sub(r"\s+", " ", what)
    return DamagedFileError(
        f"the row {path} is damaged ({what}). Run its grid again to recompute it."
    )


def _json(content: bytes) -> Any:
    """Read JSON without NaN and infinite numbers, as orjson does."""
    return json.loads(content, parse_constant=_no_number, parse_float=_finite)


def _finite(token: str) -> float:
    value = float(token)
    return value if math.isfinite(value) else _no_number(token)


def _no_number(token: str) -> Any:
    raise ValueError(f"{token} is no number of JSON")


_loads: Callable[[bytes], Any]
try:
    from orjson import loads as _loads
except ModuleNotFoundError:  # on a GPU host without orjson rows are read more slowly
    _loads = _json

"""Read the files of rows, and name those that are damaged: wrong JSON, wrong types, no files.

Rows lie at a fixed depth, ``rows/<dataset>-<split>/<encoder>/<key>.json``, so a link to a folder
above is never walked twice.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ..errors import DamagedFileError

try:
    from orjson import loads as _loads
except ModuleNotFoundError:  # on a GPU host without orjson rows are read more slowly

    def _loads(content: bytes, /) -> Any:
        """Read JSON without the tokens NaN and Infinity, as orjson does."""
        return json.loads(content, parse_constant=_no_number)


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
_MOST = 1e300
_COUNTS = ("n", "d", "n_classes", "n_labelled")


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
    _whole_again(row)
    if (what := fault(row)) is not None:
        raise _damaged(path, what)
    return row


def fault(row: dict[str, Any]) -> str | None:
    """Say what is wrong with the types in a row; None when nothing is.

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
        if len(_SOUND) > 1000:
            _SOUND.clear()
        _SOUND.add(shape)
    return _number_fault(row) or _nested_fault(row)


_EMPTY: dict[str, Any] = {}
_TEXT = frozenset((str,))
_SOUND: set[tuple[Any, ...]] = set()  # names and types of the entries of rows without a fault


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


def _number_fault(row: dict[str, Any]) -> str | None:
    for name in ("scores", "stages"):
        values = row.get(name, _EMPTY).values()
        if not (_NUMBERS.issuperset(map(type, values)) and _is_possible(sum(filter(None, values)))):
            key, value = next((k, v) for k, v in row[name].items() if not _is_number(v))
            return f"{key} in {name} is {_kind(value)}"
    if not _is_possible(row.get("seconds") or 0.0):
        return "seconds is not finite"
    if not all(0 <= (row.get(name) or 0) < 2**63 for name in _COUNTS):
        return "a count is negative or too large"
    return None


def _nested_fault(row: dict[str, Any]) -> str | None:
    if row["status"] == "failed" and type(row.get("error", _EMPTY).get("message")) is not str:
        return "error has no message"
    versions = row.get("host", _EMPTY).get("versions", _EMPTY)
    if type(versions) is not dict or not _TEXT.issuperset(map(type, versions.values())):
        return "versions in host is not a table of texts"
    if type(row.get("resolved", _EMPTY).get("embedding", "")) not in (str, type(None)):
        return "embedding in resolved is not a text"
    if not _TEXT.issuperset(map(type, row.get("warnings", ()))):
        return "warnings is not a list of texts"
    return None if "device" not in row else _device_fault(row["device"])


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

    A pipe is opened without waiting for its writer, and then refused.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
            raise DamagedFileError(f"{path} is {kind}, not a row of gpuclust. Remove it.")
        if status.st_size > LARGEST:
            raise _damaged(path, f"it has {status.st_size:,} bytes, far more than a row")
        parts = [os.read(descriptor, status.st_size + 1)]
        while parts[-1] and len(parts[-1]) > status.st_size:  # it has grown since
            parts.append(os.read(descriptor, 1 << 16))
    finally:
        os.close(descriptor)
    return b"".join(parts)


def _whole_again(row: dict[str, Any]) -> None:
    """Turn k and the seed into whole numbers again, which orjson reads as floats above 2^64."""
    for name in ("k", "seed"):
        value = row.get(name)
        if type(value) is float and value.is_integer() and abs(value) >= 2**63:
            row[name] = int(value)


def _is_number(value: object) -> bool:
    return value is None or (type(value) in _NUMBERS and _is_possible(value))


def _is_possible(value: Any) -> bool:
    """Return False for NaN, infinity and absurdly large numbers."""
    return bool(-_MOST < value < _MOST)


def _kind(value: object) -> str:
    if type(value) in (int, float) and not _is_possible(value):
        return "not finite"
    kinds = {str: "a text", dict: "a table", list: "a list", bool: "true or false"}
    return kinds.get(type(value), "null" if value is None else "a number")


def _damaged(path: Path | str, what: str) -> DamagedFileError:
    what = re.sub(r"\s+", " ", what)
    return DamagedFileError(
        f"the row {path} is damaged ({what}). Run its grid again to recompute it."
    )


def _no_number(token: str) -> Any:
    raise ValueError(f"{token} is no number of JSON")

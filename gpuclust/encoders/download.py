"""Download one file over HTTP: resumed after an interruption, and complete or not there at all.

The file grows as ``<name>.part``, beside ``<name>.part.json`` with what the server said about it.
Only a complete and checked file gets its name.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import json
import logging
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import StorageError, WeightsError
from .locked_file import locked

LOG = logging.getLogger("gpuclust")

TIMEOUT = 30.0  # seconds that a server may be silent
PAUSES = (1.0, 3.0, 9.0)  # seconds before each further attempt without progress
REPORT = 30.0  # seconds between two messages about a long download
CHUNK = 2**18  # bytes
_BUSY = (http.client.REQUEST_TIMEOUT, http.client.TOO_MANY_REQUESTS)


def download(url: str, target: Path, check: Callable[[Path], None]) -> None:
    """Download a file to `target`, going on where an interrupted download ended.

    Parameters
    ----------
    url : str
        Address, ``http`` or ``https``.
    target : Path
        Place of the complete file, in an existing folder.  Nothing is downloaded if it is there.
    check : callable (Path)
        Called with the complete file before it gets its name; raises WeightsError for a wrong one,
        which is then removed.

    Raises
    ------
    WeightsError
        The server cannot be reached, refuses, or sends something else.
    StorageError
        The file cannot be written; after a full disk nothing of it is kept.

    Notes
    -----
    A download goes on only if the server says that the file is unchanged (an entity tag or a date,
    RFC 9110, section 13.1.5); otherwise it starts again.  A lost connection is tried again after
    1, 3 and 9 seconds without progress.  Of several processes one downloads, the others wait.
    """
    path = target.with_name(f"{target.name}.part")
    try:
        with locked(path, until=target) as handle:
            if handle is None:  # another process was faster
                return
            part = _Part(url, path, handle)
            with part.kept():
                part.recall()
                _fill(part)
                try:
                    check(path)
                except WeightsError:
                    part.drop()
                    raise
                os.fsync(handle.fileno())
                path.replace(target)
                part.memo.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}.") from error


class _Lost(Exception):
    """Lost or refused connection; `final` when another attempt is useless."""

    def __init__(self, message: str, *, final: bool = False):
        super().__init__(message)
        self.final = final


@dataclass(eq=False)
class _Part:
    """Unfinished file, with the server's facts about the complete one."""

    url: str
    path: Path
    handle: BinaryIO
    validator: str = ""
    total: int | None = None
    ended: bool = False
    received: bool = False
    reported: float = field(default_factory=time.monotonic)

    @property
    def memo(self) -> Path:
        return self.path.with_name(f"{self.path.name}.json")

    @property
    def size(self) -> int:
        return os.fstat(self.handle.fileno()).st_size

    @property
    def complete(self) -> bool:
        return self.ended or (self.total is not None and self.size == self.total)

    def recall(self) -> None:
        """Read the notes of an earlier call; without them the file starts again."""
        try:
            known: Any = json.loads(self.memo.read_text())
            url, validator, total = known["url"], str(known["validator"]), int(known["total"])
        except (OSError, ValueError, KeyError, TypeError):
            url, validator, total = "", "", 0
        if url == self.url and validator and self.size <= total:
            self.validator, self.total = validator, total
        else:
            self.restart()

    def restart(self, validator: str = "", total: int | None = None) -> None:
        """Empty the file and write down the identity of the complete one."""
        self.handle.truncate(0)
        self.validator, self.total, self.ended = validator, total, False
        if validator and total is not None:
            known = {"url": self.url, "validator": validator, "total": total}
            self.memo.write_text(json.dumps(known))
        else:
            self.memo.unlink(missing_ok=True)

    def append(self, chunk: bytes) -> None:
        self.handle.write(chunk)
        self.handle.flush()
        self.received = True
        now = time.monotonic()
        if now - self.reported > REPORT:
            self.reported = now
            LOG.info("%s: %s", self.path.name.removesuffix(".part"), self.progress())

    def progress(self) -> str:
        whole = "" if self.total is None else f" of {_megabytes(self.total)}"
        return f"{_megabytes(self.size)}{whole} downloaded"

    def drop(self) -> None:
        self.path.unlink(missing_ok=True)
        self.memo.unlink(missing_ok=True)

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Keep the unfinished file when the block fails, except on a full disk."""
        try:
            yield
        except BaseException as error:
            full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
            if full or not (self.validator and self.size):
                self.drop()
            raise


def _fill(part: _Part) -> None:
    """Request the rest of the file until it is complete."""
    failures = 0
    LOG.info("downloading %s from %s", part.path.name.removesuffix(".part"), part.url)
    while not part.complete:
        before = part.size
        try:
            _request(part)
        except _Lost as lost:
            failures = 0 if part.size > before else failures
            if lost.final or failures == len(PAUSES):
                kept = f" ({part.progress()}, kept for the next call)" if part.size else ""
                raise WeightsError(f"{lost}{kept}") from lost
            time.sleep(PAUSES[failures])
            failures += 1


def _request(part: _Part) -> None:
    """Ask once for the missing bytes and append them."""
    if not part.validator:
        part.restart()
    start = part.size
    headers = {"User-Agent": "gpuclust", "Accept-Encoding": "identity"}
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": part.validator}
    with _answer(part, urllib.request.Request(part.url, headers=headers)) as response:
        _begin(part, response, start)
        _receive(part, response)


def _answer(part: _Part, request: urllib.request.Request) -> Any:
    """Send a request; without any connection to the server another attempt is useless."""
    try:
        return urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        with error:
            raise _refused(part, error) from error
    except urllib.error.URLError as error:
        why = getattr(error.reason, "strerror", None) or error.reason
        raise _Lost(f"no connection ({why})", final=not part.received) from error
    except (OSError, http.client.HTTPException) as error:
        raise _Lost(f"no answer ({error or type(error).__name__})") from error


def _refused(part: _Part, error: urllib.error.HTTPError) -> Exception:
    """Make the error for a status of 300 and above."""
    said = f"the server answers {error.code} {error.reason}".strip()
    if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
        part.restart()
        return _Lost(said)
    return _Lost(said, final=error.code < 500 and error.code not in _BUSY)


def _begin(part: _Part, response: Any, start: int) -> None:
    """Decide by the headers of an answer where its bytes belong."""
    headers: Message = response.headers
    if headers.get_content_type() == "text/html":
        raise _Lost("the server sends a web page instead of the file", final=True)
    if response.status == http.client.PARTIAL_CONTENT and start:
        wanted = f"bytes {start}-{(part.total or 0) - 1}/{part.total}"
        if headers.get("Content-Range", "").strip().lower() != wanted:
            part.restart()
            raise _Lost("the server sends another part of the file than asked for")
    elif response.status == http.client.OK:
        length = headers.get("Content-Length", "")
        part.restart(_validator(headers), int(length) if length.isdigit() else None)
        if part.total is None and not response.chunked:
            raise _Lost("the server does not say how long the file is", final=True)
    else:
        raise _Lost(f"the server answers {response.status}", final=True)
    free = shutil.disk_usage(part.path.parent).free
    if part.total is not None and part.total - part.size > free:
        raise OSError(
            errno.ENOSPC,
            f"{_megabytes(part.total)} are needed and {_megabytes(free)} are free there",
        )


def _validator(headers: Message) -> str:
    """Return what identifies this version of the file; a weak tag does not, byte by byte."""
    tag = headers.get("ETag", "")
    return headers.get("Last-Modified", "") if tag.startswith("W/") or not tag else tag


def _receive(part: _Part, response: Any) -> None:
    """Append the body of an answer; a connection cut early raises."""
    while True:
        try:
            chunk = response.read(CHUNK)
        except (OSError, http.client.HTTPException) as error:
            raise _Lost(f"the connection broke off ({error or type(error).__name__})") from error
        if not chunk:
            break
        part.append(chunk)
    part.ended = part.total is None
    if not part.complete:
        raise _Lost("the connection broke off")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB" if size >= 1e6 else f"{size:,} bytes"

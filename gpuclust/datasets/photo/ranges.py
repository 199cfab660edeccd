"""Read-only file made of byte ranges of another file."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, BinaryIO, cast


class _Ranges(io.RawIOBase):
    def __init__(self, file: BinaryIO, ranges: Sequence[tuple[int, int]]):
        self.file = file
        self.starts = [start for start, _ in ranges]
        self.ends = list(accumulate(stop - start for start, stop in ranges))
        self.at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.at, io.SEEK_END: self.ends[-1]}[whence]
        self.at = max(base + offset, 0)
        return self.at

    def readinto(self, buffer: Any) -> int:
        i = bisect_right(self.ends, self.at)
        if i == len(self.ends):
            return 0
        before = self.ends[i - 1] if i else 0
        self.file.seek(self.starts[i] + self.at - before)
        data = self.file.read(min(len(buffer), self.ends[i] - self.at))
        buffer[: len(data)] = data
        self.at += len(data)
        return len(data)


def pieces(file: BinaryIO, ranges: Sequence[tuple[int, int]]) -> BinaryIO:
    """Join byte ranges (start, stop) of a file, without reading them.

    Examples
    --------
    >>> import io
    >>> pieces(io.BytesIO(b"0123456789"), [(0, 2), (8, 10)]).read()
    b'0189'
    """
    kept = [(start, stop) for start, stop in ranges if stop > start]
    return cast("BinaryIO", io.BufferedReader(_Ranges(file, kept or [(0, 0)]), 2**16))

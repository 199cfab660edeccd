"""Text files: encoding and delimiter."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError

# Delimiter -> name for messages, the preferred one first.
DELIMITERS = {",": ",", ";": ";", "\t": "tab", "|": "|", " ": "space"}
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(path: Path) -> str:
    """Read a text file: UTF-8, or UTF-16 with a byte-order mark.

    Raises
    ------
    InputError
        Another encoding, or NUL bytes.

    Examples
    --------
    >>> _ = (tmp_path / "y.txt").write_bytes("\ufeffcat".encode("utf-16"))
    >>> read_text(tmp_path / "y.txt")
    'cat'
    """
    try:
        content = path.read_bytes()
        encoding = "utf-16" if content[:2] in _MARKS else "utf-8-sig"
        text = content.decode(encoding).removeprefix("\ufeff")
    except (UnicodeDecodeError, OSError) as error:
        raise InputError(f"cannot read {path} as UTF-8 text: {error}. Save it as UTF-8.") from error
    if "\0" in text:
        raise InputError(f"{path} has NUL bytes, so it is no text. Save it as UTF-8 text.")
    return text


def parse(lines: Sequence[str], delimiter: str, source: str = "text") -> list[list[str]]:
    """Split lines into stripped cells; quotes protect a delimiter, and `source` names the file.

    Examples
    --------
    >>> parse(['"a,b", c'], ",")
    [['a,b', 'c']]
    """
    rows = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    try:
        return [[cell.strip() for cell in row] for row in rows]
    except csv.Error as error:
        raise InputError(f"{source} cannot be split into columns: {error}.") from error


def number_delimiter(lines: Sequence[str], source: str = "text") -> str:
    """Find the delimiter of a table of numbers; it may be a blank, as of ``np.savetxt``.

    Examples
    --------
    >>> number_delimiter(["0.5 1.5", "0.25 1e3"])
    ' '
    """
    found = delimiter_of(lines, source)
    if len(parse(lines[:1], found, source)[0]) > 1:
        return found
    rows = [line.split(" ") for line in lines]
    same = len({len(row) for row in rows}) == 1 and len(rows[0]) > 1
    return " " if same and all(_NUMBER.fullmatch(cell) for cell in rows[-1]) else found


def delimiter_of(lines: Sequence[str], source: str = "text") -> str:
    """Find the delimiter of a table: it splits all lines into the same number of columns.

    ``,`` for a single column.

    Examples
    --------
    >>> delimiter_of(["0,5;1,5", "0,25;1,0"])
    ';'
    """
    best, most = ",", 1
    for delimiter in (";", "\t", "|", ","):
        if delimiter not in lines[0]:
            continue
        counts = {len(row) for row in parse(lines, delimiter, source)}
        if len(counts) == 1 and (count := counts.pop()) > most:
            # "0,5;1,5" has more commas than semicolons; the rarer character is the delimiter
            best, most = delimiter, count
            if delimiter != ",":
                break
    return best

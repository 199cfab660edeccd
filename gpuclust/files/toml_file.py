"""Read a TOML file as it may come from any editor, and say in a sentence why it is none."""

from __future__ import annotations

import stat
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import InputError
from .paths import expand

# Far above any grid file: the names of 100,000 datasets take a few MB.
MOST_BYTES = 10_000_000


class Kind(NamedTuple):
    """Kind of file in messages: its name and a line of one."""

    name: str
    line: str

    @property
    def example(self) -> str:
        """Sentence with the line."""
        return f"A {self.name} is TOML: lines such as {self.line}."


GRID_FILE = Kind("grid file", 'dataset = ["digits"]')
# First bytes of texts in other encodings; those of UTF-32 begin like those of UTF-16.
_MARKS = {b"\xff\xfe\0\0": "UTF-32", b"\0\0\xfe\xff": "UTF-32", b"\xff\xfe": "UTF-16",
          b"\xfe\xff": "UTF-16"}  # fmt: skip
_CURLY = "\u201c\u201d\u201e\u2018\u2019"


def read_toml(path: Path, kind: Kind = GRID_FILE) -> dict[str, Any]:
    r"""Read a TOML file in UTF-8, with or without a byte order mark; `kind` names it in messages.

    Raises
    ------
    InputError
        When it cannot be read, is no regular file, is larger than 10 MB, has another encoding or is
        not TOML.

    Examples
    --------
    >>> path = tmp_path / "grid.toml"
    >>> _ = path.write_bytes(b"\xef\xbb\xbf" + b"k = 5\r\n")
    >>> read_toml(path)
    {'k': 5}
    """
    path = expand(path)
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            what = "a folder" if stat.S_ISDIR(found.st_mode) else "no regular file"
            raise InputError(f"{path} is {what}. Give the path of a {kind.name}.")
        if found.st_size > MOST_BYTES:
            raise InputError(
                f"{path} has {found.st_size / 1e6:.0f} MB; a {kind.name} has at most "
                f"{MOST_BYTES / 1e6:.0f}. Is it another file?"
            )
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the {kind.name} {path}: {error.strerror}.") from error
    return parse_toml(_text(content, path), path, kind)


def _text(content: bytes, path: Path) -> str:
    for mark, name in _MARKS.items():
        if content.startswith(mark):
            raise InputError(f"{path} is written in {name}. Save it as UTF-8.")
    content = content.removeprefix(b"\xef\xbb\xbf")
    if b"\0" in content[:1000]:
        raise InputError(
            f"{path} has null bytes: it is binary, or written in UTF-16. Save it as UTF-8."
        )
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"line {line} of {path} is not in UTF-8 (byte {content[error.start]:#04x}); Latin-1 is "
            "the usual reason. Save it as UTF-8."
        ) from error


def parse_toml(text: str, source: Path | str, kind: Kind = GRID_FILE) -> dict[str, Any]:
    """Parse the text of a TOML file; `source` names it in messages.

    Raises
    ------
    InputError
        When it is not TOML.

    Examples
    --------
    >>> parse_toml("k = [5, 10]", "the grid")
    {'k': [5, 10]}
    """
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise InputError(f"{source} nests its lists too deeply. {kind.example}") from error
    except ValueError as error:  # not only TOMLDecodeError: a number of 5,000 digits
        raise InputError(f"{source} is not a TOML file: {error}. {_hint(text, kind)}") from error


def _hint(text: str, kind: Kind) -> str:
    """Name the likely reason of an error."""
    if text.lstrip().startswith(("{", '["', "[{")):
        return f"It looks like JSON. {kind.example}"
    if any(quote in text for quote in _CURLY):
        return 'It has curly quotes; write straight ones: "digits".'
    return kind.example

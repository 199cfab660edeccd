"""Label files of text: one label per line, or a table with a column of labels."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import InputError
from .contents import Contents, Field, of_array
from .names import LABELS, by_role, listed, role, shown
from .text import DELIMITERS, delimiter_of, parse, read_text

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_FILE_NAME = re.compile(r".*\.\w{2,5}")
_SPACED = re.compile(r"(\S+\.\w{2,5})\s+(\S+)")  # "cat/1.jpg 0", as in lists of ImageNet


class _Rows(NamedTuple):
    """Rows of a text file, the first of them perhaps a header."""

    rows: list[list[str]]
    delimiter: str | None  # None: one label per line


def label_text(path: Path, n: int) -> Contents:
    r"""Open a text file of labels for `n` vectors.

    The number of lines decides about a header: `n` lines have none, even when the first is ``y``;
    of `n` + 1 lines the first is one if it is a name of labels, or text above numbers.  The
    delimiter ``,``, ``;``, tab or ``|`` is the one that splits every line into as many columns.

    Raises
    ------
    InputError
        Another number of lines, rows of different lengths, or no column that can be chosen.

    Examples
    --------
    >>> _ = (tmp_path / "y.csv").write_text("file;label\n1.jpg;cat\n2.jpg;ant\n")
    >>> found = label_text(tmp_path / "y.csv", 2)
    >>> [field.name for field in found.fields], found.fields[1].load().tolist()
    (['file', 'label'], ['cat', 'ant'])
    """
    lines = read_text(path).splitlines()
    found = _split(path, lines)
    if found.delimiter is None:
        return _one_column(path, found.rows, n)
    rows, delimiter = [row for row in found.rows if any(row)], found.delimiter
    has_header = _header_of_table(path, rows, n)
    names = rows[0] if has_header else [f"column {k + 1}" for k in range(len(rows[0]))]
    columns = list(zip(*rows[has_header:], strict=True)) or [()] * len(names)
    fields = [of_array(name, _texts(column)) for name, column in zip(names, columns, strict=True)]
    notes = [] if delimiter == "," else [f"delimiter {DELIMITERS[delimiter]}"]
    if not has_header:
        fields, notes = _without_names(path, fields), [*notes, "no header"]
    return Contents(str(path), tuple(fields), is_table=True, notes=tuple(notes))


def _texts(values: Sequence[str]) -> np.ndarray:
    return np.array(values, dtype=str) if values else np.array([], dtype=str)


def _split(path: Path, lines: list[str]) -> _Rows:
    """Split lines into columns; a .txt file is one column unless its header names labels."""
    filled = [line for line in lines if line.strip()]
    delimiter = delimiter_of(filled, str(path)) if filled else ","
    rows = parse(filled, delimiter, str(path))
    several = bool(rows) and len(rows[0]) > 1 and len({len(row) for row in rows}) == 1
    if several and (path.suffix.lower() != ".txt" or by_role(rows[0], LABELS)):
        return _Rows(rows, delimiter)
    spaced = [_SPACED.fullmatch(line.strip()) for line in filled]
    if filled and all(spaced):
        return _Rows([list(one.groups()) for one in spaced if one], " ")
    if path.suffix.lower() == ".txt":
        return _Rows([[line.strip()] for line in lines], None)
    _check_one_column(path, filled)
    cells = [parse([line], ",") for line in lines]
    return _Rows([row[0] if row and row[0] else [""] for row in cells], None)


def _check_one_column(path: Path, filled: list[str]) -> None:
    """Raise `InputError` when some lines of a table have more columns than others."""
    for delimiter in (",", ";", "\t"):
        counts = [len(row) for row in parse(filled, delimiter, str(path))]
        usual = max(counts, default=1)
        if usual > 1:
            line = next(k for k, count in enumerate(counts) if count != usual) + 1
            raise InputError(
                f"{path} has rows with fewer columns than others: {counts[line - 1]} in line "
                f"{line}, {usual} elsewhere (delimiter {DELIMITERS[delimiter]}). Quote labels that "
                "contain the delimiter."
            )


def _one_column(path: Path, rows: list[list[str]], n: int) -> Contents:
    """Take a file with one label per line; an empty line is a sample without a label."""
    given = [row[0] for row in rows]
    for labels in _readings(given):
        if len(labels) == n and _lacks_a_label(labels):
            raise InputError(
                f"{path} has {n - 1} labels for the {n} vectors, below the header "
                f"{shown(labels[0])}. Give one label per vector."
            )
        if len(labels) == n:
            return Contents(str(path), (of_array("", _texts(labels)),))
        if len(labels) == n + 1 and _looks_like_header(labels):
            return Contents(str(path), (of_array(labels[0], _texts(labels[1:])),))
    count = len(_without_last_empty(given))
    hint = ""
    if count == n + 1:
        hint = f" If its first line, {shown(given[0])}, is a header, write label there."
    raise InputError(f"{path} has {count} labels for the {n} vectors.{hint}")


def _readings(given: list[str]) -> Iterator[list[str]]:
    """Yield the lines as they are, without the empty ones at the end, without any empty one."""
    yield given
    yield _without_last_empty(given)
    yield [label for label in given if label]


def _without_last_empty(given: list[str]) -> list[str]:
    last = max((k for k, label in enumerate(given) if label), default=-1)
    return given[: last + 1]


def _looks_like_header(labels: list[str]) -> bool:
    """Return whether the first of the labels is a name of labels, or text above numbers."""
    first, rest = labels[0], [label for label in labels[1:] if label]
    if role(first) == LABELS:
        return True
    return not _NUMBER.fullmatch(first) and all(map(_NUMBER.fullmatch, rest)) and bool(rest)


def _lacks_a_label(labels: list[str]) -> bool:
    """Return whether the first of n lines can only be a header: ``label``, but not ``y`` and ``n``.

    A short name such as ``y`` may be a class, and so may any name that occurs again.
    """
    if len(labels) < 2 or labels[0] in labels[1:] or not _looks_like_header(labels):
        return False
    return len(labels[0]) > 2 or any(map(_NUMBER.fullmatch, labels[1:]))


def _header_of_table(path: Path, rows: list[list[str]], n: int) -> bool:
    """Return whether the first row of a table of several columns is a header."""
    named = bool(by_role(rows[0], LABELS))
    numbers = [all(map(_NUMBER.fullmatch, column)) for column in zip(*rows[1:], strict=True)]
    above = [under and not _NUMBER.fullmatch(c) for c, under in zip(rows[0], numbers, strict=False)]
    names = [role(name) is not None for name in rows[0]]
    if len(rows) == n and not (named and (all(names) or any(above))):
        return False
    if len(rows) == n + 1 and (any(names) or any(above)):
        return True
    count = len(rows) - named
    hint = ""
    if count == n + 1:
        hint = " If its first line is a header, name the column of the labels label there."
    raise InputError(f"{path} has {count} labels for the {n} vectors.{hint}")


def _without_names(path: Path, fields: list[Field]) -> list[Field]:
    """Choose the column of labels by its values: no file names, and no number of the row.

    It is named label, the file names path.
    """
    columns = [field.load().tolist() for field in fields]
    files = [bool(c) and all(map(_FILE_NAME.fullmatch, c)) and len({*c}) == len(c) for c in columns]
    counts = [c in ([str(k + first) for k in range(len(c))] for first in (0, 1)) for c in columns]
    usable = [k for k in range(len(fields)) if not files[k] and not counts[k]]
    if len(usable) != 1:
        raise InputError(
            f"{path} has {len(fields)} columns, {listed(field.name for field in fields)}, and no "
            "header; name one of them label in a first line, or keep one."
        )
    roles = {usable[0]: "label"} | {k: "path" for k, is_file in enumerate(files) if is_file}
    return [of_array(roles.get(k, f.name), f.load()) for k, f in enumerate(fields)]

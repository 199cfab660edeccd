"""Parquet and CSV tables as fields."""

from __future__ import annotations

import functools
import io
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import InputError
from .columns import arrow_field
from .contents import Contents, check_memory
from .list_text import lists_in_text
from .names import LABELS, PATHS, role, shown
from .numpy_files import DAMAGED, damaged
from .text import DELIMITERS, number_delimiter, parse, read_text

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_NUMBER = re.compile(r"\s*([-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|[-+]?(nan|inf(inity)?)|)\s*", re.I)
_DECIMAL_COMMA = re.compile(r"\s*[-+]?\d+,\d+([eE][-+]?\d+)?\s*")
_MOST_COLUMNS = 200_000
_HEAD = 20  # rows that show delimiter, decimal mark and header


def parquet(path: Path) -> Contents:
    """Open a Parquet file; its columns are read when they are wanted.

    Examples
    --------
    >>> import pyarrow as pa, pyarrow.parquet as pq
    >>> pq.write_table(pa.table({"id": [7], "embedding": [[0.5, 1.0]]}), tmp_path / "x.parquet")
    >>> [field.shape for field in parquet(tmp_path / "x.parquet").fields]
    [(1,), (1, -1)]
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Open while its fields exist: reading the footer again for each of 1,536 columns took 20 s.
        file = pq.ParquetFile(path)
        n, schema = file.metadata.num_rows, file.schema_arrow
    except (*DAMAGED, pa.ArrowException) as error:
        raise damaged(path, error, "Parquet") from error
    _check_names(path, schema.names)
    index = _index_columns(schema)
    read = functools.partial(_read_column, path, file)
    every = [arrow_field(one.name, one.type, n, read, str(path)) for one in schema]
    hidden = [f for f in every if f.name in index and role(f.name) not in (LABELS, PATHS)]
    fields = [field for field in every if field not in hidden]
    check_memory((n, len(fields)), 1, str(path))
    numbers = tuple(field for field in hidden if "int" in field.dtype)
    return Contents(str(path), tuple(fields), is_table=True, index=numbers)


def _check_names(path: Path, names: list[str]) -> None:
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{path} has two columns named {shown(twice)}. Rename one of them.")


def _index_columns(schema: pa.Schema) -> list[str]:
    """List the columns of the index of a frame of pandas."""
    try:
        found = json.loads((schema.metadata or {})[b"pandas"])["index_columns"]
        return [name for name in found if isinstance(name, str)]
    except (KeyError, ValueError, TypeError):
        return []


def _read_column(path: Path, file: pq.ParquetFile, name: str) -> Any:
    import pyarrow as pa

    try:
        return file.read(columns=[name])[name]
    except (*DAMAGED, pa.ArrowException) as error:
        raise damaged(path, error, "Parquet") from error


class _Layout(NamedTuple):
    """Layout of a text table: names of the columns, and whether the first line holds them."""

    delimiter: str
    names: list[str]
    has_header: bool
    decimal: str


def delimited(path: Path) -> Contents:
    r"""Open a text table; delimiter, decimal mark and header are found in its first lines.

    Read whole: about twice the size of the file in memory.

    Examples
    --------
    >>> _ = (tmp_path / "x.csv").write_text("f0;f1\n0,5;1,5\n")
    >>> found = delimited(tmp_path / "x.csv")
    >>> [str(field) for field in found.fields], found.notes
    (['f0 (1,) float64', 'f1 (1,) float64'], ('delimiter ;', 'decimal comma'))
    """
    import pyarrow as pa

    text = _without_comments(read_text(path).lstrip("\r\n"))
    layout = _layout(path, text)
    try:
        table = _arrow_table(text, layout)
    except (*DAMAGED, pa.ArrowException) as error:
        raise damaged(path, error, "CSV") from error
    columns = dict(zip(layout.names, table.columns, strict=True))
    n, read = len(table), columns.__getitem__
    fields = [
        lists_in_text(name, one, str(path)) or arrow_field(name, one.type, n, read, str(path))
        for name, one in columns.items()
    ]
    notes = [] if layout.delimiter == "," else [f"delimiter {DELIMITERS[layout.delimiter]}"]
    notes += ["decimal comma"] if layout.decimal == "," else []
    notes += [] if layout.has_header else ["no header"]
    return Contents(str(path), tuple(fields), is_table=True, notes=tuple(notes))


def _without_comments(text: str) -> str:
    """Drop lines of ``#`` above the table; the last one stays if it has a name for each column."""
    comments = re.match(r"(?:[ \t]*#[^\r\n]*(?:\r\n|\n|\r))+", text)
    if comments is None:
        return text
    rest = text[comments.end() :].lstrip("\r\n")
    header = comments[0].splitlines()[-1].strip().lstrip("#").strip()
    first = rest.splitlines()[0] if rest else ""
    for delimiter in (";", "\t", "|", ",", " "):
        count = len(parse([header], delimiter)[0]) if header else 0
        if delimiter in first and count == len(parse([first], delimiter)[0]):
            return f"{header}\n{rest}"
    return rest


def _layout(path: Path, text: str) -> _Layout:
    lines = text[: 2**22].splitlines()[: _HEAD + 1]
    lines = [line for line in lines if line.strip()]
    if not lines:
        raise InputError(f"{path} is empty.")
    delimiter = number_delimiter(lines, str(path))
    first, *rest = parse(lines, delimiter, str(path))
    if len(first) > _MOST_COLUMNS:
        raise InputError(
            f"{path} has {len(first):,} columns; at most {_MOST_COLUMNS:,} are read from text. "
            "Save the vectors as .npy."
        )
    decimal = "," if any(_DECIMAL_COMMA.fullmatch(cell) for row in rest for cell in row) else "."
    has_header = _is_header(first, rest, decimal)
    names = first if has_header else [f"column {k + 1}" for k in range(len(first))]
    _check_names(path, names)
    return _Layout(delimiter, names, has_header, decimal)


def _is_header(first: list[str], rest: list[list[str]], decimal: str) -> bool:
    """Return whether the first line holds names: text above numbers, or 0, 1, 2, ... above others.

    The numbers 0 ... d - 1 are the names that pandas gives to the columns of an array.
    """
    number = [_is_number(cell, decimal) for cell in first]
    if not rest or first[0] == "":
        return not all(number) or first[0] == ""
    if first == [str(k) for k in range(len(first))] and len(first) > 1:
        return True
    below = [
        all(_is_number(cell, decimal) for cell in column) for column in zip(*rest, strict=False)
    ]
    if any(not one and under for one, under in zip(number, below, strict=False)):
        return True
    return not any(number) and any(role(name) is not None for name in first)


def _is_number(cell: str, decimal: str) -> bool:
    return bool(_NUMBER.fullmatch(cell) or (decimal == "," and _DECIMAL_COMMA.fullmatch(cell)))


def _arrow_table(text: str, layout: _Layout) -> pa.Table:
    import pyarrow as pa
    from pyarrow import csv as pa_csv

    names = [str(k) for k in range(len(layout.names))]
    texts = {str(k): pa.string() for k, n in enumerate(layout.names) if role(n) == LABELS}
    data = text.encode()
    return pa_csv.read_csv(
        io.BytesIO(data),
        read_options=pa_csv.ReadOptions(
            column_names=names,
            skip_rows=int(layout.has_header),
            block_size=max(2**20, min(2**30, 4 * data.find(b"\n"))),
        ),
        parse_options=pa_csv.ParseOptions(delimiter=layout.delimiter),
        convert_options=pa_csv.ConvertOptions(
            column_types=texts, decimal_point=layout.decimal, strings_can_be_null=False
        ),
    )

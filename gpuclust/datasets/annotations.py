"""Annotation tables of millions of rows: read columns of text, choose rows, encode categories.

One body of code for pandas and cuDF: `gpuclust.device.backend.frames` chooses the library, and only
calls with the same meaning in both are used.  The libraries differ in `_READERS` alone.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..device import backend, memory
from ..errors import InputError
from .folders.walk import printable

# Texts that pandas reads as missing by default; BIOSCAN's tables were read in this way.
MISSING = (
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"),
    *("<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
)
_TAIL = 1 << 20  # bytes that hold the last row
_DELIMITERS = {",": "commas", "\t": "tabs", ";": "semicolons"}


class Level(NamedTuple):
    """Categories of one column of a table.

    Attributes
    ----------
    codes : ndarray (n,) int64
        Category of every row of the table; -1 where it is missing.
    names : tuple of str
        Categories, sorted by code point; a category that no chosen row has keeps its number.
    """

    codes: np.ndarray
    names: tuple[str, ...]

    def texts(self, rows: np.ndarray) -> np.ndarray:
        """Return the names (k,) object of the chosen rows, None where missing.

        Parameters
        ----------
        rows : ndarray (n,) bool
            Chosen rows.
        """
        names = np.array([*self.names, None], dtype=object)
        chosen: np.ndarray = names[self.codes[rows]]  # -1 is the last entry
        return chosen


@dataclass(frozen=True)
class Table:
    """Columns of a table as text.

    Attributes
    ----------
    path : Path
        The file.
    columns : mapping of str to Series
        Series of pandas or cuDF, each of n texts, missing where the file has none.
    read_with : str
        Library that read the file and holds the columns, such as ``"pandas 3.0.1"``.
    said : tuple of str
        Sentences about the file, the library among them.
    """

    path: Path
    columns: Mapping[str, Any] = field(repr=False)
    read_with: str
    said: tuple[str, ...]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def chosen(self, name: str, wanted: Collection[str]) -> Any:
        """Return a Series (n,) of bool: whether a column has one of the wanted texts."""
        return self.columns[name].isin(list(wanted))

    def texts(self, name: str, chosen: Any) -> np.ndarray:
        """Return the texts (k,) object of the chosen rows.

        Raises
        ------
        InputError
            A chosen row has no text in this column.
        """
        values = self.columns[name][chosen]
        lacks = int(values.isna().sum())
        if lacks:
            raise InputError(
                f"{_name(self.path)}: {lacks} of the {len(values)} chosen rows have no "
                f"{name}. The file is damaged; download it again."
            )
        return np.array(values.to_numpy(), dtype=object)

    def encode(self, name: str) -> Level:
        r"""Number the categories of a column over the whole table, in sorted order.

        Examples
        --------
        >>> _ = (tmp_path / "t.csv").write_text("id,genus\n1,Zelus\n2,\n3,Apis\n4,Zelus\n")
        >>> read(tmp_path / "t.csv", ["genus"]).encode("genus")
        Level(codes=array([ 1, -1,  0,  1]), names=('Apis', 'Zelus'))
        """
        values = self.columns[name].astype("category").cat
        # cuDF may have nulls in place of -1.
        codes = values.codes.astype("int64").fillna(-1).to_numpy()
        return Level(codes, tuple(map(str, values.categories.to_numpy())))


def first_word(values: Any, *, of: Any) -> Any:
    """Fill missing values with the first word of another column.

    Parameters
    ----------
    values : Series (n,) of str
        Values such as genera.
    of : Series (n,) of str
        Texts such as species.
    """
    rows = values.isna() & of.notna()
    if not rows.any():  # `split` would return no column
        return values
    return values.fillna(of[rows].str.split(" ", n=1, expand=True)[0])


def unassigned(values: Any, above: Any, *, where: Any) -> Any:
    """Fill missing values with ``"unassigned "`` and the name one level above.

    Parameters
    ----------
    values, above : Series (n,) of str
        A taxonomic level, and the level above it; where both are missing, the value stays missing.
    where : Series (n,) of bool
        Rows to fill.
    """
    return values.mask(values.isna() & where, "unassigned " + above)


def read(
    path: Path, columns: Sequence[str], *, delimiter: str = ",", missing: Sequence[str] = ()
) -> Table:
    r"""Read columns of a csv or tsv file as text, in the order of the file.

    Costs about 2.5 s of CPU per GB of file, and the memory of the chosen columns only.  cuDF copies
    the whole file to the GPU; if it does not fit, pandas reads it, and `Table.said` has a sentence.
    A row in the middle with too few or too many fields is an error with pandas only: cuDF takes
    fields that are not there as missing, and drops those beyond the last column.

    Parameters
    ----------
    path : Path
        The file, UTF-8, its first line the names of the columns.
    columns : sequence of str
        Columns to read.
    delimiter : str
        Character between two fields.
    missing : sequence of str
        Texts for a missing value, in addition to `MISSING`.

    Raises
    ------
    InputError
        A column is not in the file, fields have another delimiter, the last row is cut, or the file
        cannot be read as a table.

    Examples
    --------
    >>> _ = (tmp_path / "t.csv").write_text("id,chunk,order\na,07,Diptera\nb,1e2,none\n")
    >>> table = read(tmp_path / "t.csv", ["id", "chunk", "order"], missing=["none"])
    >>> chosen = table.chosen("id", {"a", "b"})
    >>> table.texts("chunk", chosen), table.encode("order").codes
    (array(['07', '1e2'], dtype=object), array([ 0, -1]))
    """
    said = _check(path, columns, delimiter)
    asked = _Asked(path, tuple(columns), delimiter, (*MISSING, *missing))
    frames = backend.frames()
    found = _READERS[frames.name](asked, frames.library)
    if found is None:
        memory.release()
        said.append(f"{_name(path)} does not fit into the memory of the GPU; the CPU reads it.")
        frames = backend.frames("cpu")
        found = _READERS[frames.name](asked, frames.library)
    series = {name: found[name] for name in columns}
    n = len(series[columns[0]])
    first = f"{_name(path)}: {n:,} rows, read with {frames.title}."
    return Table(path, series, frames.title, (first, *said))


class _Asked(NamedTuple):
    """Arguments of `read`; `missing` has all texts for a missing value."""

    path: Path
    columns: tuple[str, ...]
    delimiter: str
    missing: tuple[str, ...]


def _read_pandas(asked: _Asked, library: Any) -> Any:
    """Return a frame of pandas with text columns, parsed by pyarrow in parallel.

    Not `read_csv`: its own parser takes 5 times as long, and with pyarrow it may take "07" for 7.
    """
    import pyarrow
    from pyarrow import csv as arrow

    text = pyarrow.string()
    convert = arrow.ConvertOptions(
        include_columns=list(asked.columns),
        column_types=dict.fromkeys(asked.columns, text),
        null_values=list(asked.missing),
        strings_can_be_null=True,
    )
    parse = arrow.ParseOptions(delimiter=asked.delimiter)
    try:
        with asked.path.open("rb") as file:
            table = arrow.read_csv(file, parse_options=parse, convert_options=convert)
    except (pyarrow.ArrowInvalid, OSError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(
            f"{_name(asked.path)} cannot be read as a table: {reason}. Download it again."
        ) from error
    return table.to_pandas(
        types_mapper=library.ArrowDtype, split_blocks=True, self_destruct=True, ignore_metadata=True
    )


def _read_cudf(asked: _Asked, library: Any) -> Any:
    """Return a frame of cuDF with text columns; None if the GPU has too little memory."""
    try:
        frame = library.read_csv(
            os.fspath(asked.path),
            sep=asked.delimiter,
            usecols=list(asked.columns),
            dtype=dict.fromkeys(asked.columns, "str"),
            na_values=list(asked.missing),
            keep_default_na=False,
        )
    except (MemoryError, RuntimeError) as error:
        if memory.is_out_of_memory(error):
            return None
        raise
    # read_csv does not compare a text in quotes with na_values; pandas and pyarrow do.
    texts = list(asked.missing)
    return {name: frame[name].mask(frame[name].isin(texts)) for name in asked.columns}


_READERS = {"pandas": _read_pandas, "cudf": _read_cudf}


def _check(path: Path, columns: Sequence[str], delimiter: str) -> list[str]:
    """Compare the first and the last row with the expected ones; return sentences on the file."""
    try:
        with path.open("rb") as file:
            first = file.readline(_TAIL)
            file.seek(max(0, path.stat().st_size - _TAIL))
            tail = file.read()
        header = _fields(first.decode("utf-8-sig"), delimiter)
        last = _fields(tail.rstrip(b"\r\n").rpartition(b"\n")[2].decode(), delimiter)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{_name(path)} cannot be read as a table of text: {error}.") from error
    lacks = [name for name in columns if name not in header]
    if lacks:
        raise InputError(_without(path, lacks, header, first.decode("utf-8-sig"), delimiter))
    twice = [name for name in columns if header.count(name) > 1]
    if twice:
        raise InputError(f"{_name(path)} has two columns with the name {twice[0]}. Rename one.")
    if len(last) != len(header):
        raise InputError(
            f"the last row of {_name(path)} has {len(last)} of {len(header)} fields: the file is "
            f"not complete. Download it again."
        )
    if tail.endswith(b"\n"):
        return []
    return [f"{_name(path)} does not end with a line break: its last row may be cut."]


def _without(
    path: Path, lacks: Sequence[str], header: Sequence[str], line: str, delimiter: str
) -> str:
    """Return the message for missing columns: another delimiter, or the names in the file."""
    begin = f"{_name(path)} has no column {', '.join(lacks)}"
    for other, name in _DELIMITERS.items():
        if other != delimiter and set(lacks) <= set(_fields(line, other)):
            expected = _DELIMITERS.get(delimiter, repr(delimiter))
            return f"{begin}: its fields are separated by {name}, expected are {expected}."
    shown = ", ".join(header[:30]) or "nothing"
    return f"{begin}; its first line has {shown[:500]}. Is it another file?"


def _fields(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line.rstrip("\r\n")], delimiter=delimiter), [])


def _name(path: Path) -> str:
    return printable(str(path))

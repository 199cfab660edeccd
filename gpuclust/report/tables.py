"""Tables of rows: one line per cell, scores as columns, best first."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ..files.visible import visible
from .order import HEADINGS, SILHOUETTE, Order, order_of
from .versions import made_by

if TYPE_CHECKING:
    import pandas as pd

WHO = ("dataset", "split", "encoder", "preprocess", "reducer", "clusterer", "k", "seed")
FACTS = ("status", "backend", "n", "d", "n_classes", "n_labelled", "seconds")
# Whole numbers that may be missing.
WHOLE = ("k", "n", "d", "n_classes", "n_labelled", "n_clusters")
_PLAIN = (*WHO, *FACTS, "key", "finished")


def frame(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Make a table of rows, one line per cell, in a fixed order of columns.

    Columns are the coordinates of the cell, its facts, ``<stage>_seconds``, one column per score,
    ``error``, ``key``, ``finished``, ``version`` (of gpuclust), ``libraries`` (their versions) and
    ``embedding`` (the fingerprint of the vectors).  A missing score is NaN.  O(rows x columns).

    Examples
    --------
    >>> table = frame([{"dataset": "digits", "clusterer": "kmeans", "scores": {"ami": 0.5}}])
    >>> float(table["ami"][0])
    0.5
    """
    import pandas as pd

    plain: list[tuple[Any, ...]] = []
    last: list[tuple[Any, ...]] = []
    measured = _Measured()
    with _no_collection():
        for row in rows:  # by column: pandas takes long over a list of dicts
            plain.append(tuple(map(row.get, _PLAIN)))
            resolved = row.get("resolved") or {}
            message = row["error"].get("message") if "error" in row else None
            last.append((message, *made_by(row), resolved.get("embedding")))
            measured.add(row.get("stages") or {}, row.get("scores") or {})
    known = _columns(_PLAIN, plain)
    more = _columns(("error", "version", "libraries", "embedding"), last)
    key = {name: known.pop(name) for name in ("key", "finished")}
    columns = {**known, **measured.columns(), "error": more.pop("error"), **key, **more}
    table = pd.DataFrame(columns)
    for name in WHOLE:
        if name in table:
            table[name] = _whole(table[name], columns[name])
    return table


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Pause Python's search for cycles, slow while long lists grow."""
    paused = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if paused:
            gc.enable()


def _columns(names: Iterable[str], lines: list[tuple[Any, ...]]) -> dict[str, list[Any]]:
    if not lines:
        return {name: [] for name in names}
    return dict(zip(names, map(list, zip(*lines, strict=True)), strict=True))


class _Measured:
    """Collects the seconds and scores of rows; rows with the same names are handled together."""

    def __init__(self) -> None:
        self._count = 0
        self._groups: dict[tuple[Any, ...], tuple[list[int], list[tuple[Any, ...]]]] = {}

    def add(self, stages: Mapping[str, Any], scores: Mapping[str, Any]) -> None:
        """Add the values of one row."""
        names = (tuple(stages), tuple(scores))
        if names not in self._groups:
            self._groups[names] = ([], [])
        at, values = self._groups[names]
        at.append(self._count)
        values.append((*stages.values(), *scores.values()))
        self._count += 1

    def columns(self) -> dict[str, list[Any]]:
        """Return the columns by name, stages first; None where a row has no such value."""
        staged = {f"{stage}_seconds": None for stages, _ in self._groups for stage in stages}
        named = {score: None for _, scores in self._groups for score in scores}
        found: dict[str, list[Any]] = {n: [None] * self._count for n in (*staged, *named)}
        for (stages, scores), (at, values) in self._groups.items():
            names = (*(f"{stage}_seconds" for stage in stages), *scores)
            for name, column in zip(names, zip(*values, strict=True), strict=True):
                if len(at) == self._count:
                    found[name] = _floats(column)
                    continue
                place = found[name]
                for i, value in zip(at, column, strict=True):
                    place[i] = value
        return found


def _floats(values: tuple[Any, ...]) -> Any:
    """Return numbers as an array with NaN for None; pandas takes longer.  Others stay as they are.

    The first value decides, because the type of a score is the same in all rows.
    """
    import numpy as np

    return np.array(values, dtype=float) if type(values[0]) is float else list(values)


def _whole(column: pd.Series, values: list[Any]) -> Any:
    """Return whole numbers as Int64; as Python's own where one needs more than 64 bits."""
    import pandas as pd

    if any(type(value) is int and not -(2**63) <= value < 2**63 for value in values):
        return pd.Series(values, index=column.index, dtype=object)
    return column.astype("Int64")


def ranked(table: pd.DataFrame, by: str | None = None) -> pd.DataFrame:
    """Sort a table of `frame`, best first; failed cells come last.

    Parameters
    ----------
    table : DataFrame
        From `frame`.
    by : str, optional
        Column, or its heading in `brief`, in any case; see `gpuclust.report.order.order_of` for
        the default.

    Raises
    ------
    UnknownNameError
        When there is no such column.
    """
    order = order_of(table, by)
    if not order.names:
        return table
    how: Any = {"ascending": list(order.ascending), "na_position": "last", "kind": "stable"}
    return table.sort_values(list(order.names), **how)


SHOWN = ("ami", "ari", "nmi", "accuracy", SILHOUETTE, "n_clusters")
# Columns shown where they differ, and more of them while two lines look the same.
_IF_DIFFERENT = ("n", "version", "libraries")
_TO_TELL_APART = ("backend", "d", "n_classes", "n_labelled", "embedding", "finished", "key")


class Brief(NamedTuple):
    """A short table: the values common to all lines, the headings, and the cells as text."""

    common: str
    header: list[str]
    lines: list[list[str]]


def brief(table: pd.DataFrame, by: str | None = None, most: int | None = None) -> Brief:
    """Select the columns to show and write their cells as text.

    A coordinate with the same value in every line goes to `common` and gets no column.  A table
    with more than `most` lines is cut; `common` says so, and the order of the lines.  Lines with
    equal coordinates get a further column in which they differ.
    """
    of, order = len(table), order_of(table, by)
    table = table if most is None else table.head(most)
    coordinates, common = _coordinates(table)
    shown = [*coordinates, *_scores(table, order, coordinates), "seconds"]
    shown += ["error"] if (table["status"] == "failed").any() else []
    shown += ["outdated"] if "outdated" in table and table["outdated"].any() else []
    shown += _telling_apart(table, [*coordinates, *(["outdated"] if "outdated" in shown else [])])
    shown = list(dict.fromkeys(shown))
    lines = [
        [_text(name, value) for name, value in zip(shown, line, strict=True)]
        for line in table[shown].itertuples(index=False)
    ]
    common += [f"the first {len(table)} of {of} rows"] if len(table) < of else []
    common += [order.text] if order.text and of > 1 else []
    return Brief(", ".join(common), [HEADINGS.get(name, name) for name in shown], lines)


def _coordinates(table: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Return the coordinates to show as columns, and the others as texts."""
    varies = {name: table[name].nunique(dropna=False) > 1 for name in WHO}
    shown = [name for name in WHO if name in ("reducer", "clusterer") or varies[name]]
    return shown, [f"{n} {_text(n, table[n].iloc[0])}" for n in WHO if n not in shown]


def _scores(table: pd.DataFrame, order: Order, shown: list[str]) -> list[str]:
    names = [n for n in dict.fromkeys((*order.names[:1], *SHOWN)) if n in table and n not in shown]
    return [name for name in names if table[name].notna().any()]


def _telling_apart(table: pd.DataFrame, shown: list[str]) -> list[str]:
    """Return further columns: different ones, until no two lines look alike."""
    more = [n for n in _IF_DIFFERENT if n in table and table[n].nunique(dropna=False) > 1]
    for name in _TO_TELL_APART:
        alike = table[table.duplicated([*shown, *more], keep=False)]
        if alike.empty:
            break
        groups = alike.groupby([*shown, *more], dropna=False, sort=False)
        if name in table and (groups[name].nunique(dropna=False) > 1).any():
            more.append(name)
    return more


def _text(name: str, value: Any) -> str:
    import pandas as pd

    if value is None or pd.isna(value):
        return ""
    if name == "error":
        first = str(value).partition(". ")[0]
        return first if len(first) <= 60 else f"{first[:57]}..."
    if name == "outdated":
        return "yes" if value else ""
    if name in ("embedding", "key"):
        return str(value)[:8]
    if isinstance(value, float):
        return f"{value:.1f}" if name.endswith("seconds") else f"{value:.3f}"
    return str(value)


def csv(table: pd.DataFrame) -> str:
    """Write a table of `frame` as CSV, all columns, with pyarrow, faster than pandas."""
    import pyarrow as pa
    from pyarrow import csv as arrow

    for name in WHOLE:
        if name in table and table[name].dtype == object:  # a number beyond 64 bits
            table = table.assign(**{name: [None if v is None else str(v) for v in table[name]]})
    buffer = pa.BufferOutputStream()
    how = arrow.WriteOptions(quoting_style="needed")
    arrow.write_csv(pa.Table.from_pandas(table, preserve_index=False), buffer, how)
    return buffer.getvalue().to_pybytes().decode()


def markdown(header: list[str], lines: list[list[str]]) -> str:
    """Write a table as Markdown; control characters are shown, as `visible` does."""
    return "\n".join(_markdown_lines([header, ["---"] * len(header), *lines]))


def _markdown_lines(rows: Iterable[list[str]]) -> Iterator[str]:
    for row in rows:
        yield "| " + " | ".join(visible(cell).replace("|", "\\|") for cell in row) + " |"

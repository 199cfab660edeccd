"""Tables of rows: one line per cell, scores as columns, best first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ..cell import Unit
from ..errors import unknown
from ..metrics import suite

if TYPE_CHECKING:
    import pandas as pd

WHO = ("dataset", "split", "encoder", "preprocess", "reducer", "clusterer", "k", "seed")
FACTS = ("status", "backend", "n", "d", "n_classes", "seconds")


def frame(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Make a table of rows, one line per cell, in a fixed order of columns.

    Columns are the coordinates of the cell, its facts, ``<stage>_seconds``, one column per score
    and ``error``.  A missing score is NaN.  O(rows x columns).

    Examples
    --------
    >>> table = frame([{"dataset": "digits", "clusterer": "kmeans", "scores": {"ami": 0.5}}])
    >>> float(table["ami"][0])
    0.5
    """
    import pandas as pd

    columns: dict[str, list[Any]] = {name: [] for name in (*WHO, *FACTS)}
    for count, row in enumerate(rows):  # by column: pandas takes long over a list of dicts
        flat = _flat(row)
        for name in flat:
            if name not in columns:
                columns[name] = [None] * count
        for name, column in columns.items():
            column.append(flat.get(name))
    table = pd.DataFrame(columns)
    for name in ("k", "n", "d", "n_classes", "n_clusters"):  # whole numbers that may be missing
        if name in table:
            table[name] = table[name].astype("Int64")
    return table


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    flat = {name: row.get(name) for name in (*WHO, *FACTS)}
    flat |= {f"{stage}_seconds": value for stage, value in row.get("stages", {}).items()}
    flat |= row.get("scores", {})
    flat["error"] = row.get("error", {}).get("message")
    flat["key"] = row.get("key")
    return flat


def ranked(table: pd.DataFrame, by: str = "ami") -> pd.DataFrame:
    """Sort a table of `frame` by a score, best first; failed cells come last.

    Raises
    ------
    UnknownNameError
        When there is no such column.
    """
    if by not in table.columns:
        if suite.score_of(by) is None:
            raise unknown("column to sort by", by, table.columns)
        return table  # no row has this score, for example because all cells failed
    # Davies-Bouldin and seconds are better when smaller; names are sorted from A to Z.
    score = suite.score_of(by)
    smaller_first = score.smaller_is_better if score else by not in _COUNTS
    return table.sort_values(by, ascending=smaller_first, na_position="last", kind="stable")


# Columns beside the scores of which more is better.
_COUNTS = ("n_clusters", "share_clustered")

SHOWN = ("ami", "ari", "nmi", "accuracy", "silhouette_euclidean_reduced", "n_clusters")


class Brief(NamedTuple):
    """A short table: the values common to all lines, the headings, and the cells as text."""

    common: str
    header: list[str]
    lines: list[list[str]]


def brief(table: pd.DataFrame, by: str = "ami", most: int | None = None) -> Brief:
    """Select the columns to show and write their cells as text.

    A coordinate with the same value in every line goes to `common` and gets no column.  A table
    with more than `most` lines is cut, and `common` says so.
    """
    of = len(table)
    table = table if most is None else table.head(most)
    varies = {n: table[n].nunique(dropna=False) > 1 for n in WHO}
    shown = [n for n in WHO if n in ("reducer", "clusterer") or varies[n]]
    common = [f"{n} {_text(n, table[n].iloc[0])}" for n in WHO if n not in shown]
    scores = [n for n in dict.fromkeys((by, *SHOWN)) if n in table and n not in shown]
    shown += [n for n in scores if table[n].notna().any()]
    shown += [] if "seconds" in shown else ["seconds"]
    if (table["status"] == "failed").any():
        shown.append("error")
    lines = [
        [_text(name, value) for name, value in zip(shown, line, strict=True)]
        for line in table[shown].itertuples(index=False)
    ]
    common += [f"the first {len(table)} of {of} rows"] if len(table) < of else []
    return Brief(", ".join(common), [HEADINGS.get(name, name) for name in shown], lines)


HEADINGS = {
    "ami": "AMI",
    "ari": "ARI",
    "nmi": "NMI",
    "accuracy": "ACC",
    "silhouette_euclidean_reduced": "SIL",
    "n_clusters": "clusters",
    "seconds": "s",
}


def _text(name: str, value: Any) -> str:
    import pandas as pd

    if value is None or pd.isna(value):
        return ""
    if name == "error":
        return str(value).partition(". ")[0][:60]
    if isinstance(value, float):
        return f"{value:.1f}" if name.endswith("seconds") else f"{value:.3f}"
    return str(value)


def transfers(rows: Iterable[Mapping[str, Any]]) -> Brief:
    """Sum the copies between host and device, by unit and stage.

    A stage that several cells shared is counted once.  Rows without a trace are left out.
    """
    lines = []
    for unit, members in _by_unit(rows).items():
        X_bytes = 4 * members[0]["n"] * members[0]["d"]
        for stage, shared_by in _SHARED_BY.items():
            runs = {shared_by(row): row["device"].get(stage, {}) for row in members}
            traced = [one for one in runs.values() if "to_host" in one]
            if traced:
                sums = {key: sum(one[key] for one in traced) for key in _COPIES}
                lines.append([unit, stage, str(len(traced)), *_copies(sums, X_bytes)])
    header = ["unit", "stage", "times", "to host", "of X", "large", "to device"]
    common = "MiB between host and device; `of X`: as a share of the embedding; large: over 1 MiB"
    return Brief(common, header, lines)


_COPIES = ("to_host", "to_device", "to_host_large")
# Cells with the same value share one run of the stage: all cells share the loading, the cells of
# one representation its reduction and its scores.
_SHARED_BY: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "load": lambda row: row["backend"],
    "reduce": lambda row: (row["reducer"], row["seed"]),
    "cluster": lambda row: row["key"],
    "score": lambda row: (row["reducer"], row["seed"]),
}


def _by_unit(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    units: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        if "device" in row and row["status"] == "ok":
            unit = Unit(row["dataset"], row["split"], row["encoder"], row["preprocess"], cells=())
            units.setdefault(str(unit), []).append(row)
    return units


def _copies(sums: Mapping[str, int], X_bytes: int) -> list[str]:
    mib = {key: f"{value / 2**20:.3f}" for key, value in sums.items()}
    share = f"{100 * sums['to_host'] / X_bytes:.2f} %"
    return [mib["to_host"], share, str(sums["to_host_large"]), mib["to_device"]]


def csv(table: pd.DataFrame) -> str:
    """Write a table of `frame` as CSV, all columns, with pyarrow, faster than pandas."""
    import pyarrow as pa
    from pyarrow import csv as arrow

    buffer = pa.BufferOutputStream()
    how = arrow.WriteOptions(quoting_style="needed")
    arrow.write_csv(pa.Table.from_pandas(table, preserve_index=False), buffer, how)
    return buffer.getvalue().to_pybytes().decode()


def markdown(header: list[str], lines: list[list[str]]) -> str:
    """Write a table as Markdown."""
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(c.replace("|", "\\|") for c in row) + " |" for row in rows)

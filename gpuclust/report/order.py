"""Order of the lines of a table: the column to sort by, and its direction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from ..errors import unknown
from ..metrics import suite

if TYPE_CHECKING:
    import pandas as pd

SILHOUETTE = "silhouette_euclidean_reduced"
HEADINGS: Mapping[str, str] = {
    "ami": "AMI",
    "ari": "ARI",
    "nmi": "NMI",
    "accuracy": "ACC",
    SILHOUETTE: "SIL",
    "n_clusters": "clusters",
    "seconds": "s",
}
# Columns beside the scores of which more is better.
_COUNTS = ("n_clusters", "share_clustered")


class Order(NamedTuple):
    """Columns to sort by, their directions, and both in words."""

    names: tuple[str, ...]
    ascending: tuple[bool, ...]
    text: str


def order_of(table: pd.DataFrame, by: str | None = None) -> Order:
    """Return the order of a table of `gpuclust.report.tables.frame`.

    Parameters
    ----------
    table : DataFrame
        The rows.
    by : str, optional
        Column or heading, in any case.  By default AMI and, for rows without labels, the euclidean
        silhouette of the reduced embedding (SIL): the table shows it, and in the study it follows
        the AMI most closely.

    Raises
    ------
    UnknownNameError
        When there is no such column; the message suggests similar ones.

    Examples
    --------
    >>> import pandas as pd
    >>> order_of(pd.DataFrame({"ami": [0.5], "seconds": [1.0]}), "S").names
    ('seconds',)
    """
    if by is None:
        names = [n for n in ("ami", SILHOUETTE) if n in table and table[n].notna().any()]
        ascending = (False,) * len(names)
        return Order(tuple(names), ascending, _default_text(table, names))
    name = column_of(by, table)
    if name not in table:  # no row has this score, for example because all cells failed
        return Order((), (), "")
    heading = HEADINGS.get(name, name)
    score = suite.score_of(name)
    if score is None and name not in (*_COUNTS, "seconds") and not name.endswith("_seconds"):
        return Order((name,), (True,), f"sorted by {heading}")
    # Davies-Bouldin and seconds are better when smaller.
    smaller_first = score.smaller_is_better if score else name not in _COUNTS
    return Order((name,), (smaller_first,), f"sorted by {heading}, best first")


def _default_text(table: pd.DataFrame, names: list[str]) -> str:
    if not names:
        return ""
    text = f"sorted by {HEADINGS[names[0]]}, best first"
    if len(names) == 2 and (table["ami"].isna() & table[SILHOUETTE].notna()).any():
        text += ", and by SIL without labels"
    return text


def column_of(name: str, table: pd.DataFrame) -> str:
    """Find a column by its name or its heading, in any case.

    Raises
    ------
    UnknownNameError
        When there is none, and no such score.

    Examples
    --------
    >>> import pandas as pd
    >>> column_of("Clusters", pd.DataFrame({"n_clusters": [10]}))
    'n_clusters'
    """
    if name in table:
        return name
    known = {column.casefold(): column for column in table.columns}
    known |= {heading.casefold(): column for column, heading in HEADINGS.items()}
    given = name.strip().casefold().replace(" ", "_").replace("-", "_")
    found = known.get(given, given)
    if found in table or suite.score_of(found) is not None:
        return found
    hint = "The headings of the table work, too."
    raise unknown("column to sort by", name, [*table.columns, *HEADINGS.values()], hint)

"""Rows of the current embedding, and rows of older ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..cell import Unit
from ..embeddings.files import load_meta
from ..errors import DamagedFileError
from ..store.store import Store

if TYPE_CHECKING:
    import pandas as pd

PLACE = ["dataset", "split", "encoder", "preprocess"]


def marked(table: pd.DataFrame, store: Store) -> pd.DataFrame:
    """Add the column ``outdated``: True for the rows of an older embedding.

    The fingerprint of a row is compared with that of the stored embedding; for vectors from a file,
    which are not stored, with that of the newest row.  Vectors under any other name are not
    compared, because one name may stand for several arrays.  Reads one metadata file per
    embedding.

    Parameters
    ----------
    table : DataFrame
        From `gpuclust.report.tables.frame`.
    store : Store
        The root of the rows.

    Examples
    --------
    >>> from gpuclust.report.tables import frame
    >>> marked(frame([]), Store(tmp_path)).columns[-1]
    'outdated'
    """
    if table.empty:
        return table.assign(outdated=False)
    groups = table.groupby(PLACE, dropna=False, sort=False)
    current = [_current(names, rows, store) for names, rows in groups]
    now = groups.ngroup().map(dict(enumerate(current)))
    known = table["embedding"].notna() & now.notna()
    return table.assign(outdated=known & (table["embedding"] != now))


def _current(names: tuple[Any, ...], rows: pd.DataFrame, store: Store) -> str | None:
    """Return the current fingerprint of an embedding; None when it is unknown."""
    dataset, split, encoder, preprocess = names
    if isinstance(dataset, str) and dataset.startswith("vectors:"):
        known = rows[rows["embedding"].notna()].sort_values("finished", kind="stable")
        return None if known.empty else str(known["embedding"].iloc[-1])
    try:
        meta = load_meta(store.embedding(Unit(dataset, split, encoder, preprocess, ())))
    except (DamagedFileError, TypeError):  # a row without a complete place has no embedding
        return None
    return None if meta is None else meta.fingerprint

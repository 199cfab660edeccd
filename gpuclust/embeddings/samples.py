"""Labels, paths and class names of the samples of a stored embedding."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .data import Samples

if TYPE_CHECKING:
    import pyarrow as pa


COLUMN = "label."
"""Start of the names of the columns with further labels."""


class Labels(NamedTuple):
    """Labels `y` (n,) int64 or None; `labelled` (n,) bool is None if every sample has one."""

    y: np.ndarray | None
    labelled: np.ndarray | None = None


def read_table(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Read columns of a Parquet file, all by default; its path may have bytes outside UTF-8.

    Arrow refuses such a path, so it gets the open file.
    """
    import pyarrow.parquet as pq

    with path.open("rb") as file:
        return pq.read_table(file, columns=columns)


def stored_labels(path: Path) -> Labels:
    """Read the labels of a stored embedding; a sample without a label has `labelled` False.

    Examples
    --------
    >>> import pyarrow as pa, pyarrow.parquet as pq
    >>> pq.write_table(pa.table({"label": [4, None, 2]}), tmp_path / "x.labels.parquet")
    >>> stored_labels(tmp_path / "x.labels.parquet")
    Labels(y=array([4, 0, 2]), labelled=array([ True, False,  True]))
    """
    column = read_table(path, ["label"])["label"]
    if column.null_count == len(column):
        return Labels(None)
    y = column.fill_null(0).to_numpy().astype(np.int64)
    return Labels(y, column.is_valid().to_numpy() if column.null_count else None)


def stored_names(path: Path) -> Samples:
    """Read the paths of the images and the names of the classes of a stored embedding.

    O(n) time and memory.

    Examples
    --------
    >>> import pyarrow as pa, pyarrow.parquet as pq
    >>> columns = {"label": [1, 0], "class_name": ["cat", "ant"], "where": ["c.png", "a.png"]}
    >>> pq.write_table(pa.table(columns), tmp_path / "x.labels.parquet")
    >>> stored_names(tmp_path / "x.labels.parquet")
    Samples(paths=('c.png', 'a.png'), class_names=('ant', 'cat'))
    """
    table = read_table(path, ["label", "class_name", "where"])
    labels, texts, where = (column.to_pylist() for column in table.columns)
    named = {k: text for k, text in zip(labels, texts, strict=True) if text is not None}
    names = tuple(named.get(k, str(k)) for k in range(max(named) + 1)) if named else None
    return Samples(tuple(where), names)


def stored_columns(path: Path) -> dict[str, np.ndarray]:
    """Read the further labels of a stored embedding; empty for files of older versions.

    Returns
    -------
    dict of str to ndarray (n,)
        int64, or object with text and None where unknown, in the order of the dataset.

    Examples
    --------
    >>> import pyarrow as pa, pyarrow.parquet as pq
    >>> columns = {"label": [1, 0], "label.age": [30, 7], "label.order": ["Diptera", None]}
    >>> pq.write_table(pa.table(columns), tmp_path / "x.labels.parquet")
    >>> stored_columns(tmp_path / "x.labels.parquet")
    {'age': array([30,  7]), 'order': array(['Diptera', None], dtype=object)}
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with path.open("rb") as file:
        names = [name for name in pq.read_schema(file).names if name.startswith(COLUMN)]
    columns = {}
    for name, column in zip(names, read_table(path, names).columns if names else (), strict=True):
        if pa.types.is_dictionary(column.type):
            column = column.cast(pa.string())
        columns[name.removeprefix(COLUMN)] = column.to_numpy()
    return columns

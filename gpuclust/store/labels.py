"""Files of predicted labels: one line per sample, as CSV or Parquet.

Columns are ``path`` (of the image, or the number of the vector, from 0), ``cluster`` (the predicted
label, -1 for unclustered), ``truth`` (the class, empty where unknown) and ``strength`` (of the
membership, 0 to 1, empty where the method gives none).  Texts are in quotes; a name that begins
with ``=``, ``+``, ``-`` or ``@`` is written as it is.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np

from ..errors import DamagedFileError, InputError
from ..files import output

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ("path", "cluster", "truth", "strength")
SUFFIXES = (".csv", ".parquet")


class Assignments(NamedTuple):
    """Clusters of all samples, on the host.

    Attributes
    ----------
    cluster : ndarray (n,) int64
        Predicted labels; -1 means unclustered.
    paths : sequence of str, or None
        Names of the samples; None for vectors without names, numbered from 0 in the file.
    truth : sequence of (str, int or None), or None
        Classes; None for a sample without a label.
    strength : ndarray (n,) float, or None
        Strength of the membership, see `gpuclust.row.Result`.
    """

    cluster: np.ndarray
    paths: Sequence[str] | None = None
    truth: Sequence[Any] | None = None
    strength: np.ndarray | None = None

    def columns(self) -> dict[str, Any]:
        """Return the columns of the file by name, each with n values."""
        n = len(self.cluster)
        paths = range(n) if self.paths is None else map(_printable, self.paths)
        truth = [None] * n if self.truth is None else list(self.truth)
        strength = [None] * n if self.strength is None else self.strength
        values = (list(paths), self.cluster, truth, strength)
        return dict(zip(COLUMNS, values, strict=True))


def check_suffix(path: Path) -> Path:
    """Return the path, or raise `InputError` if it ends in neither .csv nor .parquet.

    Examples
    --------
    >>> check_suffix(Path("clusters.csv")).name
    'clusters.csv'
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path} must end in .csv or .parquet, the two formats of label files.")
    return path


def write(path: Path | BinaryIO, assignments: Assignments, suffix: str = ".csv") -> None:
    r"""Write a file of labels; O(n).

    Parameters
    ----------
    path : Path or binary file
        Written in place; callers replace files with `gpuclust.store.store.atomic`.
    assignments : Assignments
        The n samples.
    suffix : {".csv", ".parquet"}
        Format.

    Examples
    --------
    >>> write(tmp_path / "clusters.csv", Assignments(np.array([0, -1]), ["a.png", "b.png"]))
    >>> (tmp_path / "clusters.csv").read_text()
    '"path","cluster","truth","strength"\n"a.png",0,,\n"b.png",-1,,\n'
    """
    import pyarrow.csv as arrow_csv
    import pyarrow.parquet as pq

    table = _table(assignments)
    with contextlib.ExitStack() as stack:
        # Arrow refuses paths with bytes outside UTF-8, so it gets an open file.
        file = stack.enter_context(path.open("wb")) if isinstance(path, Path) else path
        if suffix.lower() == ".parquet":
            pq.write_table(table, file)
        else:
            arrow_csv.write_csv(table, file, arrow_csv.WriteOptions(quoting_style="needed"))


def save(path: Path, assignments: Assignments) -> Path:
    """Write a file named by a user, in the format of its suffix; see `files.output.write`.

    Raises
    ------
    InputError
        For another suffix, or a path that cannot be a file.
    StorageError
        When the file cannot be written.

    Examples
    --------
    >>> save(tmp_path / "clusters.parquet", Assignments(np.array([0, 1]))).exists()
    True
    """
    check_suffix(path)
    content = io.BytesIO()
    write(content, assignments, path.suffix)
    output.write(path, content.getvalue())
    return path


def read(path: Path) -> Assignments | None:
    """Read the clusters and their strength from a CSV file of `write`; None without the file.

    Raises
    ------
    DamagedFileError
        When it is not such a file.

    Examples
    --------
    >>> write(tmp_path / "clusters.csv", Assignments(np.array([3, -1]), strength=np.ones(2)))
    >>> read(tmp_path / "clusters.csv").cluster
    array([ 3, -1])
    """
    import pyarrow as pa
    import pyarrow.csv as arrow_csv

    parse = arrow_csv.ParseOptions(newlines_in_values=True)
    types = {"cluster": pa.int64(), "strength": pa.float64()}
    convert = arrow_csv.ConvertOptions(column_types=types, include_columns=list(types))
    try:
        with path.open("rb") as file:  # Arrow refuses paths with bytes outside UTF-8
            table = arrow_csv.read_csv(file, parse_options=parse, convert_options=convert)
        cluster, strength = (table[name] for name in types)
        if cluster.null_count:
            raise DamagedFileError(_damaged(path, "a cluster is missing"))
    except FileNotFoundError:
        return None
    except (OSError, KeyError, pa.ArrowException) as error:
        raise DamagedFileError(_damaged(path, str(error))) from error
    known = strength.null_count < len(strength)
    # Copies: arrays of Arrow cannot be written to, and torch warns about them.
    return Assignments(
        np.array(cluster.to_numpy()), strength=np.array(strength.to_numpy()) if known else None
    )


def _damaged(path: Path, what: str) -> str:
    return f"the labels {path} are damaged ({what}). Delete this file, and the run writes it again."


def _table(assignments: Assignments) -> pa.Table:
    import pyarrow as pa

    columns = assignments.columns()
    text = any(isinstance(value, str) for value in columns["truth"])
    types = {
        "path": pa.int64() if assignments.paths is None else pa.string(),
        "cluster": pa.int64(),
        "truth": pa.string() if text else pa.int64(),
        "strength": pa.float64(),
    }
    if text:
        columns["truth"] = [v if v is None else _printable(str(v)) for v in columns["truth"]]
    return pa.table({name: pa.array(columns[name], types[name]) for name in COLUMNS})


def _printable(path: str) -> str:
    r"""Return a name with all bytes outside UTF-8 replaced by ``\xNN``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")

"""Result of one cell from Python: clusters of the samples, reduced vectors, scores."""

from __future__ import annotations

import functools
import html
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..arrays.transfer import to_host
from ..embeddings.data import Data
from ..files.paths import expand
from ..row import Row, names_and_truth
from ..store import labels as label_files
from ..store.labels import Assignments
from .words import errors_in_python

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class _Held:
    """Function without arguments that returns a value in memory, and can be pickled."""

    value: Any

    def __call__(self) -> Any:
        return self.value


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """Clusters, reduced vectors and scores of one cell, as `gpuclust.run` returns them.

    Arrays have the type of the input: NumPy for names, files, lists and DataFrames, else CuPy or
    torch on the device of the input.

    Attributes
    ----------
    labels : array (n,) int64
        Cluster of each sample; -1 means unclustered.
    strength : array (n,) float64, or None
        Strength of membership, 0 to 1: for HDBSCAN how deep in its cluster a sample lies, relative
        to the deepest one; 0 for unclustered samples.  None for all other clusterers.
    row : dict
        All facts of the cell: coordinates, scores, seconds, versions, as in its JSON file.
    notes : tuple of str
        Choices made about the input, and warnings of the methods.

    Examples
    --------
    >>> import gpuclust
    >>> result = gpuclust.run("digits", "raw", clusterer="kmeans", root=tmp_path)
    >>> result
    Result: digits (all) x raw: none | kmeans, k=10, seed 0: 10 clusters of 1797 samples, AMI 0...
    >>> result.to_frame().columns.tolist()
    ['path', 'cluster', 'truth', 'strength']
    """

    labels: Any
    strength: Any | None
    row: Row
    notes: tuple[str, ...]
    _data: Callable[[], Data]
    _reduced: Callable[[], Any]

    def __repr__(self) -> str:
        row, scores = self.row, self.scores
        k = f", k={row['k']}" if row["k"] else ""
        cell = f"{row['dataset']} ({row['split']}) x {row['encoder']}: "
        cell += f"{row['reducer']} | {row['clusterer']}{k}, seed {row['seed']}"
        ami = scores.get("ami")
        score = "" if ami is None else f", AMI {ami:.3f}"
        return f"Result: {cell}: {self.n_clusters} clusters of {row['n']} samples{score}"

    def _repr_html_(self) -> str:
        table = self.to_frame().head()._repr_html_()
        return f"<p>{html.escape(repr(self))}</p>{table}"

    def __len__(self) -> int:
        return int(self.row["n"])

    def __getstate__(self) -> dict[str, Any]:
        """Return values for pickle and copy; functions that read files are called first."""
        names, data, reduced = self._data().names(), self._data(), self.reduced
        held = Data(data.X, data.y, data.fingerprint, data.labelled, _Held(names))
        own = {name: getattr(self, name) for name in ("labels", "strength", "row", "notes")}
        return {**own, "_data": _Held(held), "_reduced": _Held(reduced)}

    @property
    def scores(self) -> dict[str, float | None]:
        """Scores by name; None where a score is undefined."""
        return self.row["scores"]

    @property
    def seconds(self) -> float:
        """Seconds of reduction, clustering and scoring."""
        return float(self.row["seconds"])

    @property
    def k(self) -> int | None:
        """Number of clusters asked for; None where the clusterer found it."""
        return self.row["k"]

    @functools.cached_property
    def n_clusters(self) -> int:
        """Number of clusters found, unclustered samples not counted."""
        found = set(to_host_array(self.labels).tolist())
        return len(found - {-1})

    @functools.cached_property
    def paths(self) -> tuple[str, ...] | None:
        """Names of the samples; None for vectors without names."""
        with errors_in_python():
            return self._data().names().paths

    @functools.cached_property
    def reduced(self) -> Any:
        """Reduced vectors (n, m); without a reducer the vectors themselves.

        In memory when the cell was computed just now; of an earlier row they are computed again,
        from the same seed, when first used.
        """
        with errors_in_python():
            return self._reduced()

    def _assignments(self) -> Assignments:
        paths, truth = names_and_truth(self._data())
        strength = None if self.strength is None else to_host_array(self.strength)
        return Assignments(to_host_array(self.labels), paths, truth, strength)

    def to_frame(self) -> pd.DataFrame:
        """Return a table with one line per sample: path, cluster, truth, strength.

        `path` is the number of the vector where it has no name; `truth` and `strength` are empty
        where unknown.
        """
        import pandas as pd

        return pd.DataFrame(self._assignments().columns()).astype({"strength": float})

    def to_csv(self, path: str | Path) -> Path:
        """Write the table of `to_frame` as .csv, or as .parquet if `path` ends so.

        Texts are in quotes, as file names may hold commas and signs of formulas.

        Raises
        ------
        InputError
            When `path` ends otherwise.
        StorageError
            When the file cannot be written.

        Examples
        --------
        >>> import gpuclust
        >>> result = gpuclust.run([[0.0], [0.1], [5.0]], k=2, root=tmp_path)
        >>> print(result.to_csv(tmp_path / "clusters.csv").read_text().splitlines()[0])
        "path","cluster","truth","strength"
        """
        with errors_in_python():
            return label_files.save(expand(path), self._assignments())


def to_host_array(values: Any) -> Any:
    """Copy an array of NumPy, CuPy or torch to NumPy."""
    return values.cpu().numpy() if hasattr(values, "cpu") else to_host(values)

"""Embeddings in memory: vectors with the paths, labels and facts of their images."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..embeddings.data import Data, Samples
from ..errors import DamagedFileError, InputError
from ..files.paths import expand
from ..row import names_and_truth
from ..vectors.values import fingerprint_of
from . import label_columns

if TYPE_CHECKING:
    import pandas as pd

_DAMAGED = (OSError, ValueError, LookupError, EOFError, zlib.error, zipfile.BadZipFile)
# Arrays of a saved file beside X, y (the names of the classes) and paths.
_OWN = "gpuclust_"
_EXACT = ("labels", "labelled", "class_names")


@dataclass(frozen=True, eq=False, repr=False)
class Embeddings:
    """Vectors of images, as `gpuclust.embed` returns them; an array-like of shape (n, d).

    Attributes
    ----------
    array : ndarray (n, d) float32
        The vectors, read from the disk on access where they are stored.  Read only.
    paths : tuple of str, or None
        Paths of the images; ``digits[17]`` or ``images[17]`` where there are no files.
    labels : ndarray (n,) int64, or None
        Classes, if known; see `labelled`.
    class_names : tuple of str, or None
        Name of class 0, 1, ...
    meta : dict
        dataset, split, encoder, preprocess, fingerprint, seconds, skipped, device, ...
    labelled : ndarray (n,) of bool, or None
        False for images without a label, whose entry of `labels` has no meaning; None when all
        have one, or none has.
    columns : mapping of str to ndarray (n,)
        Further labels of the dataset, such as 40 attributes of faces: int64, or object with text
        and None where unknown.

    Examples
    --------
    >>> import gpuclust
    >>> embeddings = gpuclust.embed("digits", "raw", root=tmp_path)
    >>> embeddings
    Embeddings of digits (all) by raw: 1797 x 192 float32, 10 classes
    >>> embeddings.to_frame().columns[:4].tolist()
    ['path', 'truth', 'x0', 'x1']
    """

    array: np.ndarray
    paths: tuple[str, ...] | None = None
    labels: np.ndarray | None = None
    class_names: tuple[str, ...] | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    labelled: np.ndarray | None = None
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    _is_whole: bool = field(default=False, init=False)

    def __len__(self) -> int:
        return len(self.array)

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of vectors and of dimensions, (n, d)."""
        return self.array.shape

    def __array__(
        self,
        dtype: Any = None,
        copy: bool | None = None,  # noqa: FBT001 - NumPy's protocol
    ) -> np.ndarray:
        """Return the vectors to ``numpy.asarray`` and all its callers."""
        if copy:
            return np.array(self.array, dtype=dtype)
        return np.asarray(self.array, dtype=dtype)

    def __repr__(self) -> str:
        n, d = self.array.shape
        classes = "" if self.labels is None else f", {self.data().n_classes} classes"
        what = f"{self.meta.get('dataset', '?')} ({self.meta.get('split', '?')})"
        skipped = len(self.meta.get("skipped", ()))
        more = f", {skipped} images skipped" if skipped else ""
        by = self.meta.get("encoder", "?")
        return f"Embeddings of {what} by {by}: {n} x {d} {self.array.dtype}{classes}{more}"

    def data(self) -> Data:
        """Return the vectors as the pipeline takes them."""
        names = Samples(self.paths, self.class_names)
        fingerprint = str(self.meta.get("fingerprint"))
        if not self._is_whole:  # selected or changed by the user: `meta` describes other vectors
            X = np.ascontiguousarray(self.array)
            fingerprint = fingerprint_of(X, self.labels, self.labelled)
        return Data(self.array, self.labels, fingerprint, self.labelled, lambda: names)

    def to_frame(self) -> pd.DataFrame:
        """Return a table: path, truth, further labels, and one column per dimension, x0, x1, ...

        Copies the vectors, 4 n d bytes.

        Examples
        --------
        >>> faces = Embeddings(np.zeros((2, 1)), columns={"age": np.array([30, 7])})
        >>> faces.to_frame().columns.tolist()
        ['path', 'truth', 'label.age', 'x0']
        """
        import pandas as pd

        paths, truth = names_and_truth(self.data())
        n, d = self.array.shape
        columns: dict[str, Any] = {"path": paths or range(n), "truth": truth or [None] * n}
        columns |= {f"label.{name}": values for name, values in self.columns.items()}
        vectors = pd.DataFrame(np.asarray(self.array), columns=[f"x{i}" for i in range(d)])
        return pd.concat([pd.DataFrame(columns), vectors], axis=1)

    def save(self, path: str | Path) -> Path:
        """Write an .npz file for `load`, NumPy and ``gpuclust run --embeddings``.

        Parameters
        ----------
        path : path
            Name of the file; ``.npz`` is appended if it ends otherwise.

        Raises
        ------
        StorageError
            When the file cannot be written.

        Examples
        --------
        >>> import gpuclust
        >>> path = gpuclust.embed("digits", "raw", root=tmp_path).save(tmp_path / "digits")
        >>> gpuclust.Embeddings.load(path).shape
        (1797, 192)
        """
        from ..files import output
        from ..store.store import atomic

        path = expand(path)
        path = output.check(path if path.suffix == ".npz" else path.with_name(path.name + ".npz"))
        paths, truth = names_and_truth(self.data())
        y = None if truth is None else np.array(["" if one is None else str(one) for one in truth])
        arrays: dict[str, Any] = {"X": self.array, "y": y, "paths": paths}
        arrays |= {_OWN + name: getattr(self, name) for name in _EXACT}
        arrays |= label_columns.packed(self.columns)
        arrays[_OWN + "meta"] = json.dumps(self.meta, default=str)
        kept: dict[str, Any] = {k: np.asarray(one) for k, one in arrays.items() if one is not None}
        with atomic(path.resolve()) as temporary, temporary.open("wb") as file:
            np.savez(file, **kept)
        return path

    @classmethod
    def load(cls, path: str | Path) -> Embeddings:
        """Read a file of `save`; nothing is unpickled.

        Raises
        ------
        InputError
            When there is no such file.
        DamagedFileError
            When it was not written by `save`, or is damaged.
        """
        path = expand(path)
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                found = {name: file[name] for name in file.files}
            meta = json.loads(str(found[_OWN + "meta"]))
            array, columns = found["X"], label_columns.unpacked(found)
        except FileNotFoundError as error:
            raise InputError(f"there is no file {path}. Check the path.") from error
        except _DAMAGED as error:
            raise DamagedFileError(
                f"{path} is no file of Embeddings.save, or it is damaged ({error}). For other "
                "vectors give the file to gpuclust.run."
            ) from error
        exact = {name: found.get(_OWN + name) for name in _EXACT}
        texts = {"paths": found.get("paths"), "class_names": exact.pop("class_names")}
        names = {name: None if one is None else tuple(one.tolist()) for name, one in texts.items()}
        return cls(array, meta=meta, columns=columns, **exact, **names)._whole()  # type: ignore[arg-type]

    def _whole(self) -> Embeddings:
        """Mark the vectors as those of `meta`; ``dataclasses.replace`` drops the mark."""
        object.__setattr__(self, "_is_whole", True)
        return self

"""Read a user's own vectors from a file or a folder, with or without labels."""

from __future__ import annotations

import functools
from pathlib import Path

from ..vectors.choose import choose_labels
from ..vectors.formats import existing, open_file
from ..vectors.label_text import label_text
from ..vectors.order import LabelSource
from ..vectors.taken import Vectors, take


def read_vectors(path: str | Path, labels: str | Path | None = None) -> Vectors:
    """Read vectors, and labels if there are any.

    Parameters
    ----------
    path : path
        A .npy, .npz, .parquet, .csv, .tsv, .pt or .safetensors file, or a folder of .npy files.
        Arrays and columns are chosen by the table of names in `gpuclust.vectors.names`.
    labels : path, optional
        A file of one of these formats, or a text file with one label per line; overrides labels
        inside `path`.

    Returns
    -------
    Vectors
        `X` is float32 where that is exact, else float64; `report` says in one line what was taken
        and what was not used.  A C-ordered float32 or float64 .npy file of 64 MiB or more is
        mapped: no copy, and a few blocks of it in memory.

    Raises
    ------
    InputError
        A file that is missing, unreadable, damaged or empty, holds Python objects, has the wrong
        shape or length, or has NaN or inf.

    Examples
    --------
    >>> import numpy as np
    >>> np.savez(tmp_path / "features.npz", X=np.eye(3), y=["cat", "ant", "cat"])
    >>> found = read_vectors(tmp_path / "features.npz")
    >>> found.X.shape, found.y.tolist(), found.class_names
    ((3, 3), [1, 0, 1], ('ant', 'cat'))
    """
    contents = open_file(existing(path))
    if labels is None:
        return take(contents)
    labels = existing(labels)  # said before the vectors are read
    return take(contents, functools.partial(label_source, labels))


def label_source(path: str | Path, n: int) -> LabelSource:
    r"""Read a file of labels for `n` vectors; see `read_vectors`.

    Examples
    --------
    >>> _ = (tmp_path / "y.txt").write_text("cat\nant\n")
    >>> label_source(tmp_path / "y.txt", 2).raw.tolist()
    ['cat', 'ant']
    """
    contents = open_file(existing(path), functools.partial(label_text, n=n))
    return choose_labels(contents)

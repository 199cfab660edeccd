"""Vectors in entries of their own: one array (d,) per sample, or chunks (m, d)."""

from __future__ import annotations

import functools
import re

import numpy as np

from .contents import NUMBERS, Contents, Field, check_memory
from .names import shown

_FILE_NAME = re.compile(r".+\.\w{2,5}", re.DOTALL)


def stacked(contents: Contents) -> Contents:
    """Stack the entries of a list, or of a dict by file names, when each is a part of the vectors.

    All entries must hold numbers: vectors (d,), or chunks (m, d) of a list, of the same d.  File
    names become the paths.  Arrays (n,) under other names may be columns, and two
    arrays (n, d) two kinds of vectors; these are not stacked.

    Examples
    --------
    >>> from gpuclust.vectors.contents import of_array
    >>> fields = (of_array("cat.jpg", np.zeros(3)), of_array("dog.jpg", np.ones(3)))
    >>> found = stacked(Contents("x.npz", fields))
    >>> found.fields[0].shape, found.paths
    ((2, 3), ('cat.jpg', 'dog.jpg'))
    """
    fields = contents.fields
    names = [field.name for field in fields]
    numbered = names == [str(k) for k in range(len(names))]
    single = len(fields[0].shape) == 1 if fields else False
    files = single and all(_FILE_NAME.fullmatch(name) for name in names)
    if contents.is_table or len(fields) < 2 or not (numbered or files):
        return contents
    if any(field.kind != NUMBERS for field in fields) or (not single and len(fields) == 2):
        return contents
    if len({(len(f.shape), f.shape[-1:]) for f in fields}) > 1 or len(fields[0].shape) not in (
        1,
        2,
    ):
        return contents
    n = len(fields) if single else sum(field.shape[0] for field in fields)
    shape = (n, fields[0].shape[-1])
    load = functools.partial(_load, fields, shape, contents.source)
    what = "one vector per entry" if single else f"{len(fields)} entries stacked"
    note = f"{what}, {shown(names[0])} to {shown(names[-1])}"
    entry = Field("entries", shape, NUMBERS, fields[0].dtype, load)
    return Contents(
        contents.source,
        (entry,),
        notes=(*contents.notes, note),
        paths=tuple(names) if single and not numbered else None,
    )


def _load(fields: tuple[Field, ...], shape: tuple[int, int], source: str) -> np.ndarray:
    arrays = [np.atleast_2d(field.load()) for field in fields]
    check_memory(shape, arrays[0].dtype.itemsize, source)
    return np.concatenate(arrays)

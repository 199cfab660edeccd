"""Further labels as arrays of an .npz file, where nothing may be a pickle.

Text with None where unknown becomes two arrays: the different texts, and their index, -1 for None.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

_NUMBERS, _TEXTS, _INDEX = "gpuclust_labels:", "gpuclust_texts:", "gpuclust_index:"


def packed(columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return arrays of numbers and of text for ``numpy.savez``.

    Examples
    --------
    >>> sorted(packed({"age": np.array([3]), "sex": np.array(["f"], dtype=object)}))
    ['gpuclust_index:sex', 'gpuclust_labels:age', 'gpuclust_texts:sex']
    """
    arrays = {}
    for name, values in columns.items():
        values = np.asarray(values)
        if values.dtype.kind in "iub":
            arrays[_NUMBERS + name] = values.astype(np.int64)
            continue
        texts = sorted({str(one) for one in values.tolist() if one is not None})
        index_of = {text: k for k, text in enumerate(texts)}
        index = [-1 if one is None else index_of[str(one)] for one in values.tolist()]
        arrays[_TEXTS + name] = np.array(texts, dtype=str)
        arrays[_INDEX + name] = np.array(index, np.int64)
    return arrays


def unpacked(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the columns in the arrays of `packed`; other arrays are ignored.

    Examples
    --------
    >>> columns = {"order": np.array(["Diptera", None], dtype=object)}
    >>> unpacked(packed(columns))
    {'order': array(['Diptera', None], dtype=object)}
    """
    columns = {}
    for key, values in arrays.items():
        if key.startswith(_NUMBERS):
            columns[key.removeprefix(_NUMBERS)] = values
        elif key.startswith(_INDEX):
            name = key.removeprefix(_INDEX)
            texts = np.array([*arrays[_TEXTS + name].tolist(), None], dtype=object)
            columns[name] = texts[values]  # -1: None, the last one
    return columns

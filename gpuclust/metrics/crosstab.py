"""Sparse contingency table, the basis of all external scores.

Only nonzero entries are stored, at most n of them and never a dense R x C array, so that many
clusters cost no more than few.  Classes and clusters may be integers or strings.

Every value is a label, ``-1`` too: unclustered samples are one ordinary cluster.  To exclude them,
pass ``mask=labels != -1`` (True = keep).

Lists and NumPy arrays give a NumPy table.  If one of the two arrays is on another namespace, the
table is on its device.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import array_api_compat
import numpy as np

from ..arrays import accept
from ..errors import InputError


class Contingency(NamedTuple):
    """Numbers of samples per class of `y` and cluster of `labels`, nonzero entries only.

    Attributes
    ----------
    rows, cols : array of int64, shape (m,)
        Class and cluster of each nonzero, sorted by (row, col); m <= min(n, R * C).
    counts : array of int64, shape (m,)
        Samples in each nonzero.
    row_sums : array of int64, shape (R,)
        Samples per class, the marginal ``a``.
    col_sums : array of int64, shape (C,)
        Samples per cluster, the marginal ``b``.
    n : int
        Number of samples.
    """

    rows: Any
    cols: Any
    counts: Any
    row_sums: Any
    col_sums: Any
    n: int


def contingency(y: Any, labels: Any, *, mask: Any = None) -> Contingency:
    """Count the samples of each (class, cluster) pair, nonzero counts only.

    The sparse counterpart of ``sklearn.metrics.cluster.contingency_matrix``.

    O(n log n) time and O(n) memory for any number of classes and clusters.  O(n) time on NumPy if
    the range of the integer labels, and R * C, are at most a few n.

    Parameters
    ----------
    y, labels : array-like of shape (n,)
        True classes and predicted clusters: integers or strings.  Arrays of any namespace; if one
        of the two is not a NumPy array, the other is copied to its device.
    mask : array-like of bool, shape (n,), optional
        Samples to keep; all by default.

    Returns
    -------
    Contingency

    Raises
    ------
    InputError
        If the arrays are not 1-D, differ in length, contain NaN or masked values, or the mask is
        not boolean of the same shape; see `gpuclust.arrays.accept.labels`.

    Examples
    --------
    >>> table = contingency(["a", "a", "b"], [0, 1, 1])
    >>> table.rows.tolist(), table.cols.tolist(), table.counts.tolist()
    ([0, 0, 1], [0, 1, 1], [1, 1, 1])
    """
    y, labels = accept.labels(y, name="y"), accept.labels(labels)
    if y.shape != labels.shape:
        raise InputError(
            f"y has {y.shape[0]} labels and labels has {labels.shape[0]}; both must describe the "
            "same samples. Pass arrays of one length, in the same order."
        )
    xp, y, labels = _on_one_device(y, labels)
    if mask is not None:
        mask = xp.asarray(as_mask(mask, n=y.shape[0]), device=array_api_compat.device(y))
        y, labels = y[mask], labels[mask]
    _, rows, row_sums = unique_inverse_counts(xp, y)
    _, cols, col_sums = unique_inverse_counts(xp, labels)
    width = max(col_sums.shape[0], 1)
    # Pairs fit int64 for n up to 3e9, since R * C <= n**2.
    pairs, _, counts = unique_inverse_counts(xp, rows * width + cols)
    return Contingency(
        rows=pairs // width,
        cols=pairs % width,
        counts=counts,
        row_sums=row_sums,
        col_sums=col_sums,
        n=int(y.shape[0]),
    )


def as_mask(mask: Any, *, n: int) -> Any:
    """Return `mask` as an array, checked to hold one boolean for each of the `n` samples.

    Raises
    ------
    InputError
        If the mask is not boolean (integer indices, say) or has another shape.

    Examples
    --------
    >>> as_mask([True, False], n=2).tolist()
    [True, False]
    """
    mask = accept.as_array(mask, "mask", "(n,)")
    xp = array_api_compat.array_namespace(mask)
    if mask.dtype != xp.bool or mask.shape != (n,):
        raise InputError(
            f"mask has dtype {mask.dtype} and shape {tuple(mask.shape)}; it must be boolean of "
            f"shape ({n},), True for the samples to keep, as in `labels != -1`."
        )
    return mask


def is_numeric(xp: Any, values: Any) -> bool:
    """Distinguish numbers from strings and objects (NumPy only).

    Examples
    --------
    >>> is_numeric(np, np.array([1])), is_numeric(np, np.array(["a"]))
    (True, False)
    """
    # NumPy's `isdtype` raises for some of the other dtypes.
    return not array_api_compat.is_numpy_namespace(xp) or values.dtype.kind in "biufc"


def _on_one_device(y: Any, labels: Any) -> tuple[Any, Any, Any]:
    """Return the namespace and both arrays on the device of the first one not on NumPy."""
    others = [values for values in (y, labels) if not isinstance(values, np.ndarray)]
    if not others:
        return array_api_compat.array_namespace(y), y, labels
    xp, device = array_api_compat.array_namespace(others[0]), array_api_compat.device(others[0])
    y, labels = (_moved(xp, values, device) for values in (y, labels))
    return xp, y, labels


def _moved(xp: Any, values: Any, device: Any) -> Any:
    if isinstance(values, np.ndarray) and not is_numeric(np, values):
        values = np.unique(values, return_inverse=True)[1]
    return xp.asarray(values, device=device)


def unique_inverse_counts(xp: Any, values: Any) -> tuple[Any, Any, Any]:
    """Return the sorted distinct values, the index of each value among them, and their counts.

    Index and counts are int64.

    Examples
    --------
    >>> [part.tolist() for part in unique_inverse_counts(np, np.array([7, 5, 7]))]
    [[5, 7], [1, 0, 1], [1, 2]]
    """
    if array_api_compat.is_numpy_namespace(xp):
        return _unique_numpy(values)
    unique = xp.unique_all(values)
    inverse = xp.astype(xp.reshape(unique.inverse_indices, (-1,)), xp.int64)
    return unique.values, inverse, xp.astype(unique.counts, xp.int64)


def _unique_numpy(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if len(values) and values.dtype.kind in "iu":
        low, high = int(values.min()), int(values.max())
        # Counting is faster than sorting while there are not many more bins than values.
        if high - low <= 4 * len(values) and high < 2**62 and low > -(2**62):
            return _unique_by_counting(values.astype(np.int64), low)
    names, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return names, inverse.astype(np.int64, copy=False), counts.astype(np.int64, copy=False)


def _unique_by_counting(values: np.ndarray, low: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    bins = values - low
    counts = np.bincount(bins)
    names = np.flatnonzero(counts)
    places = np.cumsum(counts > 0) - 1
    return names + low, places[bins], counts[names]

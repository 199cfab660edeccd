"""The sparse contingency table that every external score is computed from.

The table is a list of its nonzeros (at most n, never a dense R x C array), so that the number of
clusters costs nothing.  Classes and clusters may be integers or strings; only which samples share a
label counts.

Every value in a label array is a label, ``-1`` too: the unclustered samples are one ordinary
cluster.  To leave them out, pass ``mask=labels != -1`` (True = keep).

The table lies where the labels lie: on NumPy for lists and NumPy arrays, on the device of the first
array that is on another one otherwise.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import array_api_compat
import numpy as np

from ..errors import InputError


class Contingency(NamedTuple):
    """Nonzeros of the table that counts, per class of `y` and cluster of `labels`, the samples.

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
        Samples in all.
    """

    rows: Any
    cols: Any
    counts: Any
    row_sums: Any
    col_sums: Any
    n: int


def contingency(y, labels, *, mask=None) -> Contingency:
    """Count the samples of each (class, cluster) pair that occurs.

    O(n log n) time and O(n) memory, whatever the numbers of classes and clusters; O(n) time on
    NumPy where the labels are integers of a range of at most a few n and R * C is too.

    Parameters
    ----------
    y, labels : array-like of shape (n,)
        True classes and predicted clusters: integers or strings.  Arrays of any namespace; where
        one of the two is not on NumPy, the other is moved to its device.
    mask : array-like of bool, shape (n,), optional
        Samples to keep; all by default.

    Returns
    -------
    Contingency

    Raises
    ------
    InputError
        For arrays that are not 1-D, differ in length or contain NaN, and for a mask that is not
        boolean or does not fit.
    """
    y, labels = _as_labels("y", y), _as_labels("labels", labels)
    if y.shape != labels.shape:
        raise InputError(
            f"y has {y.shape[0]} labels and labels has {labels.shape[0]}; both must describe the "
            "same samples. Pass arrays of one length, in the same order."
        )
    xp, y, labels = _together(y, labels)
    if mask is not None:
        mask = xp.asarray(as_mask(mask, n=y.shape[0]), device=array_api_compat.device(y))
        y, labels = y[mask], labels[mask]
    _, rows, row_sums = unique_codes(xp, y)
    _, cols, col_sums = unique_codes(xp, labels)
    width = max(col_sums.shape[0], 1)
    # R * C <= n**2, so the int64 code of a pair cannot overflow below three thousand million.
    codes, _, counts = unique_codes(xp, rows * width + cols)
    return Contingency(
        rows=codes // width,
        cols=codes % width,
        counts=counts,
        row_sums=row_sums,
        col_sums=col_sums,
        n=int(y.shape[0]),
    )


def as_mask(mask, *, n: int):
    """Check that `mask` holds one boolean for each of the `n` samples and return it as an array.

    Raises
    ------
    InputError
        When the mask is not boolean (integer indices, say) or has another shape.
    """
    if not array_api_compat.is_array_api_obj(mask):
        mask = np.asarray(mask)
    xp = array_api_compat.array_namespace(mask)
    if mask.dtype != xp.bool or mask.shape != (n,):
        raise InputError(
            f"mask has dtype {mask.dtype} and shape {tuple(mask.shape)}; it must be boolean of "
            f"shape ({n},), True for the samples to keep, as in `labels != -1`."
        )
    return mask


def _as_labels(name: str, values):
    if not array_api_compat.is_array_api_obj(values):
        values = np.asarray(values)
    xp = array_api_compat.array_namespace(values)
    if values.ndim != 1:
        raise InputError(
            f"{name} has shape {tuple(values.shape)}; a label array is one-dimensional, one label "
            "per sample. Pass codes rather than one-hot rows."
        )
    floating = is_numeric(xp, values) and xp.isdtype(
        values.dtype, ("real floating", "complex floating")
    )
    if floating and not bool(xp.all(xp.isfinite(values))):
        raise InputError(
            f"{name} contains NaN or infinity, which is no label. Give the unclustered samples the "
            "label -1, or drop them from the input."
        )
    return values


def is_numeric(xp, values) -> bool:
    """Tell numbers from strings and objects, which exist on NumPy only."""
    # NumPy's `isdtype` refuses some of them.
    return not array_api_compat.is_numpy_namespace(xp) or values.dtype.kind in "biufc"


def _together(y, labels):
    """Return the namespace and both label arrays on one device: that of the one not on NumPy."""
    guests = [values for values in (y, labels) if not isinstance(values, np.ndarray)]
    if not guests:
        return array_api_compat.array_namespace(y), y, labels
    xp, device = array_api_compat.array_namespace(guests[0]), array_api_compat.device(guests[0])
    moved = []
    for values in (y, labels):
        if isinstance(values, np.ndarray) and not is_numeric(np, values):
            values = np.unique(values, return_inverse=True)[1]
        moved.append(xp.asarray(values, device=device))
    return xp, *moved


def unique_codes(xp, values):
    """Return the sorted distinct values, the place of each value among them, and their counts."""
    if array_api_compat.is_numpy_namespace(xp):
        return _unique_numpy(values)
    unique = xp.unique_all(values)
    inverse = xp.astype(xp.reshape(unique.inverse_indices, (-1,)), xp.int64)
    return unique.values, inverse, xp.astype(unique.counts, xp.int64)


def _unique_numpy(values: np.ndarray):
    if len(values) and values.dtype.kind in "iu":
        low, high = int(values.min()), int(values.max())
        # Counting beats sorting while the bins fit beside the values.
        if high - low <= 4 * len(values) and high < 2**62 and low > -(2**62):
            return _unique_by_counting(values.astype(np.int64), low)
    names, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return names, inverse.astype(np.int64, copy=False), counts.astype(np.int64, copy=False)


def _unique_by_counting(values: np.ndarray, low: int):
    bins = values - low
    counts = np.bincount(bins)
    names = np.flatnonzero(counts)
    places = np.cumsum(counts > 0) - 1
    return names + low, places[bins], counts[names]

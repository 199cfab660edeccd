"""The sparse contingency table that every external score is computed from.

The table is a list of its nonzeros (at most n, never a dense R x C array), so that the number of
clusters costs nothing.  Classes and clusters may be integers or strings; only which samples share a
label counts.

Every value in a label array is a label, ``-1`` too: the unclustered samples are one ordinary
cluster.  To leave them out, pass ``mask=labels != -1`` (True = keep).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gpuclust.errors import InputError


class Contingency(NamedTuple):
    """Nonzeros of the table that counts, per class of `y` and cluster of `labels`, the samples.

    Attributes
    ----------
    rows, cols : ndarray of int64, shape (m,)
        Class and cluster of each nonzero, sorted by (row, col); m <= min(n, R * C).
    counts : ndarray of int64, shape (m,)
        Samples in each nonzero.
    row_sums : ndarray of int64, shape (R,)
        Samples per class, the marginal ``a``.
    col_sums : ndarray of int64, shape (C,)
        Samples per cluster, the marginal ``b``.
    n : int
        Samples in all.
    """

    rows: np.ndarray
    cols: np.ndarray
    counts: np.ndarray
    row_sums: np.ndarray
    col_sums: np.ndarray
    n: int


def contingency(y, labels, *, mask=None) -> Contingency:
    """Count the samples of each (class, cluster) pair that occurs.

    O(n log n) time and O(n) memory, whatever the numbers of classes and clusters.

    Parameters
    ----------
    y, labels : array-like of shape (n,)
        True classes and predicted clusters: integers or strings.
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
    if mask is not None:
        mask = as_mask(mask, n=y.shape[0])
        y, labels = y[mask], labels[mask]
    classes, rows = np.unique(y, return_inverse=True)
    clusters, cols = np.unique(labels, return_inverse=True)
    width = max(len(clusters), 1)
    # R * C <= n**2, so the int64 code of a pair cannot overflow below three thousand million.
    codes, counts = np.unique(rows.astype(np.int64) * width + cols, return_counts=True)
    return Contingency(
        rows=codes // width,
        cols=codes % width,
        counts=counts.astype(np.int64),
        row_sums=np.bincount(rows, minlength=len(classes)).astype(np.int64),
        col_sums=np.bincount(cols, minlength=len(clusters)).astype(np.int64),
        n=int(y.shape[0]),
    )


def as_mask(mask, *, n: int) -> np.ndarray:
    """Check that `mask` holds one boolean for each of the `n` samples and return it as an array.

    Raises
    ------
    InputError
        When the mask is not boolean (integer indices, say) or has another shape.
    """
    mask = np.asarray(mask)
    if mask.dtype != np.bool_ or mask.shape != (n,):
        raise InputError(
            f"mask has dtype {mask.dtype} and shape {mask.shape}; it must be boolean of shape "
            f"({n},), True for the samples to keep, as in `labels != -1`."
        )
    return mask


def _as_labels(name: str, values) -> np.ndarray:
    values = np.asarray(values)
    if values.ndim != 1:
        raise InputError(
            f"{name} has shape {values.shape}; a label array is one-dimensional, one label per "
            "sample. Pass codes rather than one-hot rows."
        )
    if values.dtype.kind in "fc" and not np.isfinite(values).all():
        raise InputError(
            f"{name} contains NaN or infinity, which is no label. Give the unclustered samples the "
            "label -1, or drop them from the input."
        )
    return values

"""Label sets as the internal scores need them: coded 0..k-1 on the device of the space.

Coding sorts the labels and tells the host how many there are, which on a GPU costs more than many a
score: a label set that is scored in several ways is coded once, by `label_set`.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import array_api_compat
import numpy as np

from ..arrays.transfer import to_host
from ..errors import InputError
from .crosstab import as_mask, is_numeric, unique_codes


class LabelSet(NamedTuple):
    """Labels coded 0..k-1 on the namespace and device of a space.

    Attributes
    ----------
    codes : array of int64, shape (n,)
        Cluster of each sample; -1 where the mask drops it.
    counts : array of float64, shape (k,)
        Samples per cluster.
    kept : int
        Samples that have a cluster.
    """

    codes: Any
    counts: Any
    kept: int

    @property
    def k(self) -> int:
        """The number of clusters."""
        return self.counts.shape[0]

    @property
    def defined(self) -> bool:
        """Whether internal scores exist: 2 <= k <= kept - 1."""
        return 2 <= self.k <= self.kept - 1


def label_set(X, labels, *, mask=None) -> LabelSet:
    """Code `labels` for the scores of X.

    O(n log n) time, O(n) where NumPy counts integers of a small range; O(n) memory.

    Parameters
    ----------
    X : array of shape (n, d)
        The space, on any array namespace.
    labels : array of shape (n,), or LabelSet
        Every value is a label, -1 too.  Integers; on NumPy also strings.  Moved to the device of X.
        A `LabelSet` is handed on as it is.
    mask : array of bool, shape (n,), optional
        Samples to keep; all by default.

    Raises
    ------
    InputError
        When labels or mask do not fit X.
    """
    xp, device = array_api_compat.array_namespace(X), array_api_compat.device(X)
    if isinstance(labels, LabelSet) and mask is None:
        _check_shape(labels.codes, n=X.shape[0])
        return labels
    if isinstance(labels, LabelSet):
        raise InputError(
            "labels are coded already, so that a mask cannot drop samples any more. Pass the mask "
            "to label_set."
        )
    labels = _on_device(xp, _checked(labels, n=X.shape[0]), device)
    if mask is not None:
        mask = _on_device(xp, as_mask(mask, n=X.shape[0]), device)
        labels = labels[mask]
    _, codes, counts = unique_codes(xp, labels)
    if mask is not None:
        kept_codes, codes = codes, xp.full(X.shape[0], -1, dtype=xp.int64, device=device)
        codes[mask] = kept_codes
    return LabelSet(codes, xp.astype(counts, xp.float64), labels.shape[0])


def coded(X, labels_list: Sequence[Any], masks: Sequence[Any] | None) -> list[LabelSet]:
    """Code each label set with its mask; raise `InputError` unless there is one mask for each."""
    masks = [None] * len(labels_list) if masks is None else masks
    if len(masks) != len(labels_list):
        raise InputError(
            f"there are {len(masks)} masks for {len(labels_list)} label sets; give one each, None "
            "where all samples count."
        )
    pairs = zip(labels_list, masks, strict=True)
    return [label_set(X, labels, mask=mask) for labels, mask in pairs]


def without_dropped(X, sets: list[LabelSet]):
    """Leave out the rows of X, and of the label sets, that no label set keeps."""
    if not sets or any(one.kept == X.shape[0] for one in sets):
        return X, sets
    xp = array_api_compat.array_namespace(X)
    kept = functools.reduce(operator.or_, [one.codes >= 0 for one in sets])
    rows = xp.nonzero(kept)[0]
    sets = [one._replace(codes=xp.take(one.codes, rows)) for one in sets]
    return xp.take(X, rows, axis=0), sets


def is_defined(labels) -> bool:
    """Tell whether internal scores exist: 2 <= clusters <= n - 1.  O(n log n) time.

    Every value is a label, -1 too.
    """
    if not array_api_compat.is_array_api_obj(labels):
        labels = np.asarray(labels)
    xp = array_api_compat.array_namespace(labels)
    return 2 <= xp.unique_values(labels).shape[0] <= labels.shape[0] - 1


def _checked(labels, *, n: int):
    if not array_api_compat.is_array_api_obj(labels):
        labels = np.asarray(labels)
    _check_shape(labels, n=n)
    return labels


def _check_shape(labels, *, n: int) -> None:
    if labels.shape != (n,):
        raise InputError(
            f"labels has shape {tuple(labels.shape)} and X has {n} rows; labels must be of shape "
            f"({n},). Pass one label per row of X, in the same order."
        )


def _on_device(xp, values, device):
    if array_api_compat.is_numpy_namespace(xp):
        return to_host(values)
    if isinstance(values, np.ndarray) and not is_numeric(np, values):
        values = np.unique(values, return_inverse=True)[1]
    return xp.asarray(values, device=device)

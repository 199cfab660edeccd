"""Labels encoded as 0..k-1 on the device of a representation, as the internal scores need them.

Encoding sorts the labels and copies the number of clusters to the host.  On a GPU this costs more
than many scores, so `label_set` encodes labels once for several scores.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import array_api_compat
import numpy as np

from ..arrays import accept, parameters
from ..arrays.transfer import to_host
from ..errors import InputError
from .crosstab import as_mask, is_numeric, unique_inverse_counts


class LabelSet(NamedTuple):
    """Labels encoded as 0..k-1, on the namespace and device of a representation.

    Attributes
    ----------
    labels : array of int64, shape (n,)
        Cluster of each sample; -1 for samples dropped by the mask.
    counts : array of float64, shape (k,)
        Samples per cluster.
    kept : int
        Number of samples with a cluster.
    """

    labels: Any
    counts: Any
    kept: int

    @property
    def k(self) -> int:
        """Number of clusters."""
        return self.counts.shape[0]

    @property
    def defined(self) -> bool:
        """Whether internal scores exist: 2 <= k <= kept - 1."""
        return 2 <= self.k <= self.kept - 1


def label_set(X: Any, labels: Any, *, mask: Any = None) -> LabelSet:
    """Encode `labels` for the internal scores of X.

    O(n log n) time, or O(n) for integers of a small range on NumPy; O(n) memory.

    Parameters
    ----------
    X : array of shape (n, d)
        Representation, on any array namespace.
    labels : array-like of shape (n,), or LabelSet
        Integers, on NumPy also strings; -1 is a label like any other.  Copied to the device of X.
        A `LabelSet` is returned unchanged.
    mask : array-like of bool, shape (n,), optional
        Samples to keep; all by default.

    Raises
    ------
    InputError
        If labels or mask do not fit X.

    Examples
    --------
    >>> encoded = label_set(np.zeros((4, 2)), [7, 7, -1, 9])
    >>> encoded.labels.tolist(), encoded.counts.tolist()
    ([1, 1, 0, 2], [1.0, 2.0, 1.0])
    """
    X = accept.samples(X, least=0)
    xp, device = array_api_compat.array_namespace(X), array_api_compat.device(X)
    if isinstance(labels, LabelSet) and mask is None:
        _check_shape(labels.labels, n=X.shape[0])
        return labels
    if isinstance(labels, LabelSet):
        raise InputError(
            "labels are encoded already, so a mask cannot drop samples any more. Pass the mask to "
            "label_set."
        )
    labels = _on_device(xp, _checked(labels, n=X.shape[0]), device)
    if mask is not None:
        mask = _on_device(xp, as_mask(mask, n=X.shape[0]), device)
        labels = labels[mask]
    _, encoded, counts = unique_inverse_counts(xp, labels)
    if mask is not None:
        kept, encoded = encoded, xp.full(X.shape[0], -1, dtype=xp.int64, device=device)
        encoded[mask] = kept
    return LabelSet(encoded, xp.astype(counts, xp.float64), labels.shape[0])


def encode_all(X: Any, labels_list: Sequence[Any], masks: Sequence[Any] | None) -> list[LabelSet]:
    """Encode each label set with its mask; raise `InputError` if there are more or fewer masks."""
    if isinstance(labels_list, LabelSet):  # a tuple, but one label set
        raise InputError("labels_list is a LabelSet; it must be a list of label sets.")
    labels_list = parameters.entries("labels_list", labels_list)
    masks = [None] * len(labels_list) if masks is None else parameters.entries("masks", masks)
    if len(masks) != len(labels_list):
        raise InputError(
            f"there are {len(masks)} masks for {len(labels_list)} label sets; pass one mask per "
            "label set, None to keep all samples."
        )
    pairs = zip(labels_list, masks, strict=True)
    return [label_set(X, labels, mask=mask) for labels, mask in pairs]


def drop_unused(X: Any, sets: list[LabelSet]) -> tuple[Any, list[LabelSet]]:
    """Drop samples unused by all label sets, from X and from the label sets."""
    if not sets or any(one.kept == X.shape[0] for one in sets):
        return X, sets
    xp = array_api_compat.array_namespace(X)
    kept = functools.reduce(operator.or_, [one.labels >= 0 for one in sets])
    rows = xp.nonzero(kept)[0]
    sets = [one._replace(labels=xp.take(one.labels, rows)) for one in sets]
    return xp.take(X, rows, axis=0), sets


def is_defined(labels: Any) -> bool:
    """Return whether internal scores exist: 2 <= clusters <= n - 1.  O(n log n) time.

    -1 is a label like any other.

    Examples
    --------
    >>> is_defined([0, 0, 1]), is_defined([0, 0, 0])
    (True, False)
    """
    labels = accept.labels(labels)
    xp = array_api_compat.array_namespace(labels)
    return 2 <= xp.unique_values(labels).shape[0] <= labels.shape[0] - 1


def _checked(labels: Any, *, n: int) -> Any:
    _check_shape(accept.as_array(labels, "labels", f"({n},)"), n=n)
    return accept.labels(labels)


def _check_shape(labels: Any, *, n: int) -> None:
    if labels.shape != (n,):
        raise InputError(
            f"labels has shape {tuple(labels.shape)} and X has {n} rows; labels must be of shape "
            f"({n},). Pass one label per row of X, in the same order."
        )


def _on_device(xp: Any, values: Any, device: Any) -> Any:
    if array_api_compat.is_numpy_namespace(xp):
        return to_host(values)
    if isinstance(values, np.ndarray) and not is_numeric(np, values):
        values = np.unique(values, return_inverse=True)[1]
    return xp.asarray(values, device=device)

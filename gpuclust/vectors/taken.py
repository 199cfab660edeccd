"""Vectors with their labels and paths, and a report of used and unused fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..errors import InputError
from .choose import Chosen, choose
from .contents import Contents
from .entries import stacked
from .labels import Labels, encode
from .names import listed, shown
from .order import LabelSource, order_of
from .values import as_features, shape_text

_UNUSED = 20  # fields that the report names


class Vectors(NamedTuple):
    """Vectors of a user's own.

    Attributes
    ----------
    X : ndarray (n, d) float32 or float64
        Finite, C-ordered; a large .npy file is mapped, not read.
    y : ndarray (n,) int64 or None
        Label codes.
    class_names : tuple of str or None
        Names of the classes, None if the labels were integers.
    labelled : ndarray (n,) of bool, or None
        False for samples without a label; None if every sample has one, or none has.
    paths : tuple of str or None
        Names of the samples.
    report : str
        One line: what was taken from where, and what was not used.
    left_out : bool
        Whether something was left out or guessed, so that the report is worth a warning.
    """

    X: np.ndarray
    y: np.ndarray | None
    class_names: tuple[str, ...] | None
    labelled: np.ndarray | None = None
    paths: tuple[str, ...] | None = None
    report: str = ""
    left_out: bool = False


def take(contents: Contents, labels_for: Callable[[int], LabelSource] | None = None) -> Vectors:
    """Choose, read and check the vectors of a source, and its labels or others.

    `labels_for` returns labels from another source for the number of vectors.

    Raises
    ------
    InputError
        See `choose.choose`, `values.as_features` and `labels.encode`; or lengths disagree.

    Examples
    --------
    >>> from gpuclust.vectors.contents import of_array
    >>> fields = (of_array("X", np.eye(2)), of_array("id", np.arange(2)))
    >>> take(Contents("x.npz", fields), lambda n: LabelSource(["a", None], "y.csv")).report
    'x.npz: vectors from X (2 x 2, float64), labels from y.csv (1 class, 1 sample without ...
    """
    guessed = contents is not (contents := stacked(contents))
    chosen = choose(contents)
    X = as_features(chosen.X, contents.source)
    n, moved = len(X), ""
    given = None if labels_for is None else labels_for(n)
    if given is None:
        raw, source = chosen.labels, contents.source
    else:
        order, moved = order_of(given, chosen.paths, chosen.ids, n, contents.source)
        given = given if order is None else _moved(given, order)
        raw, source = given.raw, given.source
    labels = Labels(None) if raw is None else _encoded(raw, n, source, contents.source)
    paths = chosen.paths if given is None or chosen.paths else given.paths
    report = _report(contents, chosen, X, labels, given)
    return Vectors(
        X,
        labels.y,
        labels.class_names,
        labels.labelled,
        paths,
        report + moved,
        bool(
            chosen.unused
            or labels.n_missing
            or moved
            or guessed
            or (raw is not None and labels.y is None)
        ),
    )


def _encoded(raw: Any, n: int, source: str, vectors: str) -> Labels:
    labels = encode(raw, source)
    count = len(raw) if hasattr(raw, "__len__") else n
    if count != n:
        raise InputError(f"{source} has {count} labels for the {n} vectors of {vectors}.")
    return labels


def _moved(given: LabelSource, order: np.ndarray) -> LabelSource:
    """Bring labels, and the paths beside them, into another order."""
    paths = None if given.paths is None else tuple(given.paths[k] for k in order)
    return given._replace(raw=np.asarray(given.raw)[order], paths=paths)


def _report(
    contents: Contents, chosen: Chosen, X: np.ndarray, labels: Labels, given: LabelSource | None
) -> str:
    """Write the sources of vectors and labels, and the unused fields, in one line."""
    dtype = X.dtype.name
    if chosen.X.dtype.name != dtype:
        dtype = f"{chosen.X.dtype.name} as {dtype}"
    notes = [dtype, *contents.notes]
    origin = f" from {chosen.taken}" if chosen.taken else ""
    parts = [f"vectors{origin} ({shape_text(X.shape)}, {', '.join(notes)})"]
    parts.append(_labels_text(chosen, labels, given))
    if chosen.paths:
        parts.append(f"paths from {chosen.path_name}")
    elif given is not None and given.paths:
        parts.append(f"paths from {given.source} {shown(given.path_name)}".rstrip())
    left = f"; not used: {listed(chosen.unused, _UNUSED)}" if chosen.unused else ""
    return f"{contents.source}: {', '.join(filter(None, parts))}{left}"


def _labels_text(chosen: Chosen, labels: Labels, given: LabelSource | None) -> str:
    if given is None and chosen.labels is None:
        return "no labels"
    name = chosen.label_name if given is None else given.name
    origin = name if given is None else " ".join(filter(None, (given.source, name)))
    if labels.y is None:
        return f"no labels: all in {origin} are missing"
    y = labels.y if labels.labelled is None else labels.y[labels.labelled]
    classes = len(np.unique(y))
    facts = [f"{classes} class{'es' if classes != 1 else ''}"]
    if labels.class_names is None and y.size and y.min() < 0:
        facts.append(f"{y.min()} is one of them")
    if labels.n_missing:
        plural = "samples" if labels.n_missing > 1 else "sample"
        facts.append(f"{labels.n_missing} {plural} without a label")
    facts += given.notes if given is not None else ()
    return f"labels from {origin} ({', '.join(facts)})"

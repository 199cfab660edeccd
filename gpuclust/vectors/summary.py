"""Facts about vectors for a person: memory, norms, repeated rows, constant columns, classes."""

from __future__ import annotations

import hashlib

import numpy as np

from .taken import Vectors
from .values import blocks, shape_text

_MOST_CLASSES = 20  # classes that are listed
_UNIT = 1e-3  # relative difference of norms from 1 that still counts as normalized


def facts_of(vectors: Vectors) -> dict[str, str]:
    """Describe vectors; one pass over them, in blocks.

    Examples
    --------
    >>> from gpuclust.embeddings.check import check_vectors
    >>> facts = facts_of(check_vectors([[0.0, 1.0], [1.0, 1.0], [1.0, 1.0]]))
    >>> facts["repeated rows"], facts["constant columns"], facts["labels"]
    ('1', '1', 'none')
    """
    X = vectors.X
    norms: list[np.ndarray] = []
    seen: set[bytes] = set()
    low, high = X[0].copy(), X[0].copy()
    for _, block in blocks(X):
        norms.append(_lengths(block))
        plain = block + block.dtype.type(0)  # -0.0 becomes 0.0
        seen.update(hashlib.blake2b(row.tobytes(), digest_size=12).digest() for row in plain)
        low, high = np.minimum(low, block.min(axis=0)), np.maximum(high, block.max(axis=0))
    return {
        "vectors": f"{shape_text(X.shape)}, {X.dtype.name}",
        "memory": f"{X.nbytes / 2**20:,.1f} MiB{_mapped(X)}",
        "norms": _norms(np.concatenate(norms)),
        "repeated rows": f"{len(X) - len(seen):,}",
        "constant columns": f"{int(np.count_nonzero(low == high)):,}",
        "labels": _labels(vectors),
        "paths": "none" if vectors.paths is None else f"{vectors.paths[0]}, ...",
    }


def _lengths(block: np.ndarray) -> np.ndarray:
    """Return the norms of rows; scaled first, so that squares neither overflow nor vanish."""
    rows = block.astype(np.float64, copy=False)
    largest = np.abs(rows).max(axis=1)
    scale = np.where(largest > 0, largest, 1.0)
    with np.errstate(over="ignore", under="ignore"):
        lengths: np.ndarray = np.linalg.norm(rows / scale[:, None], axis=1) * scale
    return lengths


def _mapped(X: np.ndarray) -> str:
    return ", mapped from the file" if isinstance(X, np.memmap) else ""


def _norms(norms: np.ndarray) -> str:
    low, high = float(norms.min()), float(norms.max())
    unit = ", normalized" if abs(low - 1) < _UNIT and abs(high - 1) < _UNIT else ""
    return f"from {low:.4g} to {high:.4g}{unit}"


def _labels(vectors: Vectors) -> str:
    if vectors.y is None:
        return "none"
    n = len(vectors.y)
    labelled = n if vectors.labelled is None else int(np.count_nonzero(vectors.labelled))
    return f"{labelled:,} of {n:,} samples"


def counts_of(vectors: Vectors) -> dict[str, int]:
    """Count the samples of each class, the largest first; at most 20, the others together.

    Examples
    --------
    >>> from gpuclust.embeddings.check import check_vectors
    >>> counts_of(check_vectors([[0.0], [1.0], [2.0]], ["ant", "bee", "bee"]))
    {'bee': 2, 'ant': 1}
    """
    if vectors.y is None:
        return {}
    y = vectors.y if vectors.labelled is None else vectors.y[vectors.labelled]
    codes, counts = np.unique(y, return_counts=True)
    names = vectors.class_names
    order = np.argsort(-counts, kind="stable")
    texts = [str(codes[k]) if names is None else names[codes[k]] for k in order]
    found = dict(zip(texts, counts[order].tolist(), strict=True))
    if len(found) <= _MOST_CLASSES:
        return found
    first = dict(list(found.items())[:_MOST_CLASSES])
    return first | {f"{len(found) - _MOST_CLASSES} more": sum(list(found.values())[_MOST_CLASSES:])}

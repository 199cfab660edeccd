"""How a spectral embedding becomes clusters, without k-means."""

from __future__ import annotations

from typing import Any

import array_api_compat
import numpy as np

from ...errors import InputError, unknown

ASSIGNMENTS = ("cluster_qr", "discretize")
_ROTATIONS = 20


def cluster_qr(vectors: Any) -> Any:
    """Assign samples to clusters by a pivoted QR factorisation of their embedding.

    The pivots are k samples whose embeddings are as orthogonal as can be, one per cluster; the
    polar factor of these rows aligns the axes with them, and each sample takes its largest
    coordinate.  O(n k^2) time, one copy of `vectors` in memory; no randomness and no iteration.

    Parameters
    ----------
    vectors : array of shape (n, k), float
        Spectral embedding, n >= k, on any array namespace.

    Returns
    -------
    labels : array of int64, shape (n,)
        On the device of `vectors`.

    References
    ----------
    Damle, Minden and Ying, "Simple, direct and efficient multi-way spectral clustering",
    Information and Inference 8, 2019.
    """
    xp = array_api_compat.array_namespace(vectors)
    _check_vectors(vectors)
    U, _, Vh = xp.linalg.svd(_pivot_rows(xp, vectors).T, full_matrices=False)
    return xp.astype(xp.argmax(xp.abs(vectors @ (U @ Vh)), axis=1), xp.int64)


def _check_vectors(vectors: Any) -> None:
    if vectors.ndim != 2 or not 1 <= vectors.shape[1] <= vectors.shape[0]:
        raise InputError(
            f"vectors has shape {tuple(vectors.shape)}; it must be (n samples, k clusters) with "
            "1 <= k <= n. Ask for fewer clusters, or give more samples."
        )


def _pivot_rows(xp: Any, vectors: Any) -> Any:
    """Pick k rows (k, k), each the one with the largest part outside the span of the earlier."""
    k = vectors.shape[1]
    if array_api_compat.is_numpy_namespace(xp):
        from scipy.linalg import qr

        return vectors[qr(vectors.T, mode="r", pivoting=True)[1][:k]]
    # No library has a pivoted QR on a device: Gram-Schmidt, O(n k) a pivot.
    rest, rows = xp.asarray(vectors, copy=True), []
    every = xp.arange(vectors.shape[0], device=array_api_compat.device(vectors))
    taken = every < 0
    for _ in range(k):
        # Pivots stay on the device: the host waits for none of them.
        left = xp.sum(rest * rest, axis=1)
        left = xp.where(taken, -xp.ones_like(left), left)
        pivot = xp.argmax(left, axis=0, keepdims=True)  # (1,)
        taken = taken | (every == pivot)
        rows.append(xp.take(vectors, pivot, axis=0))
        axis = xp.take(rest, pivot, axis=0)  # (1, k)
        length = xp.linalg.vector_norm(axis)
        axis = axis / xp.where(length > 0, length, xp.ones_like(length))
        rest -= (rest @ axis.T) * axis
    return xp.concat(rows)


def discretize(vectors: Any, random_state: Any = None) -> Any:
    """Assign samples to clusters by rotating their embedding onto the nearest partition matrix.

    Partition and rotation are fitted in turn, up to 20 times: O(n k^2) time each; four arrays of
    the size of `vectors` in memory.

    Parameters
    ----------
    vectors : array of shape (n, k), float
        Spectral embedding, n >= k, on any array namespace.
    random_state : int, RandomState or None
        Draws the sample that the first rotation starts from.

    Returns
    -------
    labels : array of int64, shape (n,)
        On the device of `vectors`.

    References
    ----------
    Yu and Shi, "Multiclass spectral clustering", ICCV 2003.
    """
    from sklearn.utils import check_random_state

    xp = array_api_compat.array_namespace(vectors)
    _check_vectors(vectors)
    n, k = vectors.shape
    vectors = _on_sphere(xp, vectors)
    rotation = _first_rotation(xp, vectors, check_random_state(random_state).randint(n))
    clusters = xp.arange(k, device=array_api_compat.device(vectors))
    last = 0.0
    for _ in range(_ROTATIONS + 1):
        labels = xp.argmax(vectors @ rotation, axis=1)
        partition = xp.astype(labels[:, None] == clusters[None, :], vectors.dtype)
        U, s, Vh = xp.linalg.svd(partition.T @ vectors)
        cut = 2.0 * (n - float(xp.sum(s)))
        if abs(cut - last) < np.finfo(np.float64).eps:
            break
        last, rotation = cut, Vh.T @ U.T
    return xp.astype(labels, xp.int64)


def _on_sphere(xp: Any, vectors: Any) -> Any:
    """Scale columns to one length, turn the first sample negative, scale rows to length 1."""
    columns = xp.linalg.vector_norm(vectors, axis=0)
    side = xp.where(vectors[0, :] > 0, -xp.ones_like(columns), xp.ones_like(columns))
    vectors = vectors * (side / xp.where(columns > 0, columns, xp.ones_like(columns)))[None, :]
    rows = xp.linalg.vector_norm(vectors, axis=1)
    return vectors / xp.where(rows > 0, rows, xp.ones_like(rows))[:, None]


def _first_rotation(xp: Any, vectors: Any, start: int) -> Any:
    """Stack samples that are as orthogonal to the earlier ones as can be, as columns (k, k)."""
    chosen = [vectors[start : start + 1, :]]
    overlap = xp.zeros_like(vectors[:, 0])
    for _ in range(1, vectors.shape[1]):
        overlap = overlap + xp.abs(vectors @ chosen[-1][0, :])
        # Its number stays on the device: the host waits for none of them.
        chosen.append(xp.take(vectors, xp.argmin(overlap, axis=0, keepdims=True), axis=0))
    return xp.concat(chosen).T


def assign(vectors: Any, assign_labels: str = "cluster_qr", random_state: Any = None) -> Any:
    """Turn a spectral embedding into clusters, whoever made it.

    Parameters
    ----------
    vectors : array of shape (n, k), float
        Spectral embedding, n >= k, on any array namespace.
    assign_labels : {"cluster_qr", "discretize"}
        See the functions of these names.
    random_state : int, RandomState or None
        For `discretize`.

    Returns
    -------
    labels : array of int64, shape (n,)
        On the device of `vectors`.

    Raises
    ------
    InputError
        For vectors of another shape.
    UnknownNameError
        For another assignment.
    """
    if assign_labels not in ASSIGNMENTS:
        raise unknown("assign_labels", assign_labels, ASSIGNMENTS)
    if assign_labels == "cluster_qr":
        return cluster_qr(vectors)
    return discretize(vectors, random_state)

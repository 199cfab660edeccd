"""Assignment of clusters to a spectral embedding, without k-means."""

from __future__ import annotations

from typing import Any

import array_api_compat
import numpy as np

from ...arrays import accept, distances, parameters
from ...errors import InputError

ASSIGNMENTS = ("cluster_qr", "discretize")
_ROTATIONS = 20


def cluster_qr(vectors: Any) -> Any:
    """Assign samples to clusters by a pivoted QR factorization of their embedding.

    The pivots are k samples with nearly orthogonal embeddings, one per cluster.  The polar factor
    of their rows rotates the axes onto them, and each sample gets the cluster of its largest
    coordinate.  O(n k^2) time and one copy of `vectors`; deterministic, without iterations.

    Parameters
    ----------
    vectors : array-like of shape (n, k), float
        Spectral embedding, n >= k, on any array namespace.

    Returns
    -------
    labels : array of int64, shape (n,)
        On the device of `vectors`.

    References
    ----------
    Damle, Minden and Ying, "Simple, direct and efficient multi-way spectral clustering",
    Information and Inference 8, 2019.

    Examples
    --------
    >>> cluster_qr(np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])).tolist()
    [0, 0, 1]
    """
    given, vectors = vectors, _checked(vectors)
    xp = array_api_compat.array_namespace(vectors)
    U, _, Vh = xp.linalg.svd(_pivot_rows(xp, vectors).T, full_matrices=False)
    labels = xp.astype(xp.argmax(xp.abs(vectors @ (U @ Vh)), axis=1), xp.int64)
    return accept.returned(labels, given)


def _checked(vectors: Any) -> Any:
    """Return the embedding (n, k) as finite floats."""
    vectors = accept.as_array(vectors, "vectors", "(n samples, k clusters)")
    if vectors.ndim != 2 or not 1 <= vectors.shape[1] <= vectors.shape[0]:
        raise InputError(
            f"vectors has shape {tuple(vectors.shape)}; it must be (n samples, k clusters) with "
            "1 <= k <= n. Ask for fewer clusters, or give more samples."
        )
    vectors = accept.samples(vectors, name="vectors")
    return distances.check_array(array_api_compat.array_namespace(vectors), vectors)


def _pivot_rows(xp: Any, vectors: Any) -> Any:
    """Pick k rows (k, k), each with the largest component orthogonal to the earlier ones."""
    k = vectors.shape[1]
    if array_api_compat.is_numpy_namespace(xp):
        from scipy.linalg import qr

        return vectors[qr(vectors.T, mode="r", pivoting=True)[1][:k]]
    # Gram-Schmidt, O(n k) per pivot: no library has a pivoted QR on a device.
    rest, rows = xp.asarray(vectors, copy=True), []
    every = xp.arange(vectors.shape[0], device=array_api_compat.device(vectors))
    taken = every < 0
    for _ in range(k):
        # Pivots stay on the device, so the host does not wait for them.
        length = xp.sum(rest * rest, axis=1)
        length = xp.where(taken, -xp.ones_like(length), length)
        pivot = xp.argmax(length, axis=0, keepdims=True)  # (1,)
        taken = taken | (every == pivot)
        rows.append(xp.take(vectors, pivot, axis=0))
        axis = xp.take(rest, pivot, axis=0)  # (1, k)
        norm = xp.linalg.vector_norm(axis)
        axis = axis / xp.where(norm > 0, norm, xp.ones_like(norm))
        rest -= (rest @ axis.T) * axis
    return xp.concat(rows)


def discretize(vectors: Any, random_state: Any = None) -> Any:
    """Assign samples to clusters by rotating their embedding to the nearest partition matrix.

    Partition and rotation are fitted alternately, up to 20 times, in O(n k^2) time each.  Memory
    four arrays of the size of `vectors`.

    Parameters
    ----------
    vectors : array-like of shape (n, k), float
        Spectral embedding, n >= k, on any array namespace.
    random_state : int, RandomState or None
        Seed that draws the first sample of the initial rotation.

    Returns
    -------
    labels : array of int64, shape (n,)
        On the device of `vectors`.

    References
    ----------
    Yu and Shi, "Multiclass spectral clustering", ICCV 2003.

    Examples
    --------
    >>> discretize(np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]]), random_state=0).tolist()
    [0, 0, 1]
    """
    from sklearn.utils import check_random_state

    random = check_random_state(parameters.seed(random_state))
    given, vectors = vectors, _checked(vectors)
    xp = array_api_compat.array_namespace(vectors)
    n, k = vectors.shape
    vectors = _on_sphere(xp, vectors)
    rotation = _first_rotation(xp, vectors, random.randint(n))
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
    return accept.returned(xp.astype(labels, xp.int64), given)


def _on_sphere(xp: Any, vectors: Any) -> Any:
    """Scale columns to equal length, make the first sample negative, scale rows to length 1."""
    columns = xp.linalg.vector_norm(vectors, axis=0)
    sign = xp.where(vectors[0, :] > 0, -xp.ones_like(columns), xp.ones_like(columns))
    vectors = vectors * (sign / xp.where(columns > 0, columns, xp.ones_like(columns)))[None, :]
    rows = xp.linalg.vector_norm(vectors, axis=1)
    return vectors / xp.where(rows > 0, rows, xp.ones_like(rows))[:, None]


def _first_rotation(xp: Any, vectors: Any, start: int) -> Any:
    """Stack samples, each as orthogonal as possible to the earlier ones, as columns (k, k)."""
    chosen = [vectors[start : start + 1, :]]
    overlap = xp.zeros_like(vectors[:, 0])
    for _ in range(1, vectors.shape[1]):
        overlap = overlap + xp.abs(vectors @ chosen[-1][0, :])
        # Its index stays on the device, so the host does not wait for it.
        chosen.append(xp.take(vectors, xp.argmin(overlap, axis=0, keepdims=True), axis=0))
    return xp.concat(chosen).T


def assign(vectors: Any, assign_labels: str = "cluster_qr", random_state: Any = None) -> Any:
    """Assign samples to clusters, given their spectral embedding.

    Parameters
    ----------
    vectors : array-like of shape (n, k), float
        Spectral embedding, n >= k, on any array namespace.
    assign_labels : {"cluster_qr", "discretize"}
        Name of the function to use.
    random_state : int, RandomState or None
        Seed of `discretize`.

    Returns
    -------
    labels : array of int64, shape (n,)
        On the device of `vectors`.

    Raises
    ------
    InputError
        When `vectors` is not (n, k) with 1 <= k <= n.
    UnknownNameError
        For an unknown `assign_labels`.

    Examples
    --------
    >>> assign(np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])).tolist()
    [0, 0, 1]
    """
    parameters.choice("assign_labels", assign_labels, ASSIGNMENTS)
    if assign_labels == "cluster_qr":
        return cluster_qr(vectors)
    return discretize(vectors, random_state)

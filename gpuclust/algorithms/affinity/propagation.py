"""Affinity propagation (Frey & Dueck 2007) with scikit-learn's semantics, on any array namespace.

The availabilities of a row and its next responsibilities are made in one go while the row is in the
cache: 20 n^2 bytes moved per iteration by array verbs.  On NumPy most are not moved at all, see
`gpuclust.algorithms.affinity.messages`.
"""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import array_api_compat
import numpy as np

from ...arrays import distances, gram
from ...arrays.indexing import diagonal_mask, median, row_mapper, row_ranges, take_rows
from ...arrays.transfer import to_device, to_host
from ...errors import InputError


class AffinityPropagation:
    """Affinity propagation with the surface of `sklearn.cluster.AffinityPropagation`.

    The similarity is minus the squared euclidean distance.  O(n^2 d) time for it and at most O(n^2)
    an iteration; on NumPy the pairs within clusters, and few others.  Memory on NumPy: 4 n^2 bytes
    for S in float32, 1.4 n^2 for noise at the start, and for A as much as the clusters have of all
    pairs, 4 n^2 at most; elsewhere 12 n^2, as R is a matrix too; a few blocks.  Labels and number
    of iterations are scikit-learn's where no decision hangs on float32 rounding.

    Parameters
    ----------
    damping : float
        Share of the old message that is kept, in [0.5, 1).
    max_iter : int
        Most iterations.
    convergence_iter : int
        Iterations without a change of exemplars that count as convergence.
    preference : float or array-like (n,), optional
        Similarity of a sample to itself, hence its wish to be an exemplar; the median of all n^2
        similarities (the zeros of the diagonal included) by default.
    random_state : int, RandomState or None
        Seed of the noise, in units of float32's rounding, that breaks ties.  NumPy arrays get
        scikit-learn's numbers, other namespaces products of two random vectors.  A RandomState is
        left further on than by scikit-learn.

    Attributes
    ----------
    labels_ : array (n,), int64
        On the device of X; -1 everywhere when no exemplar was found.
    cluster_centers_indices_ : array (k,), int64
        The exemplars, sorted.
    n_iter_ : int
        Iterations run; 0 when all similarities are equal.

    Source: Frey and Dueck, "Clustering by passing messages between data points", Science 315, 2007.
    """

    def __init__(
        self,
        *,
        damping: float = 0.5,
        max_iter: int = 200,
        convergence_iter: int = 15,
        preference: Any = None,
        random_state: Any = None,
    ):
        self.damping = damping
        self.max_iter = max_iter
        self.convergence_iter = convergence_iter
        self.preference = preference
        self.random_state = random_state

    def fit(self, X: Any) -> AffinityPropagation:
        """Cluster `X` (n, d), of any real dtype and array namespace.

        Warns as scikit-learn does: ConvergenceWarning when the exemplars still change after
        `max_iter` iterations, UserWarning when all similarities are equal.  InputError for
        parameters out of range and for an `X` that is empty or not a finite matrix.
        """
        self._check(X)
        xp = array_api_compat.array_namespace(X)
        exemplars, labels, self.n_iter_ = self._cluster(xp, X)
        self.labels_ = to_device(xp, labels, X)
        self.cluster_centers_indices_ = to_device(xp, exemplars, X)
        return self

    def fit_predict(self, X: Any) -> Any:
        """Cluster `X` (n, d) and return the labels (n,), int64."""
        return self.fit(X).labels_

    def _check(self, X: Any) -> None:
        if not 0.5 <= self.damping < 1:
            raise InputError(f"damping must be at least 0.5 and below 1; got {self.damping}.")
        for name in ("max_iter", "convergence_iter"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1; got {getattr(self, name)}.")
        if X.ndim != 2 or X.shape[0] == 0:
            raise InputError(f"X has shape {tuple(X.shape)}; it must be (n samples, d features).")

    def _cluster(self, xp: Any, X: Any) -> tuple[np.ndarray, np.ndarray, int]:
        """Give the exemplars (k,) and labels (n,), int64 on the host, and the iterations."""
        X = distances.check_array(xp, X)
        n = X.shape[0]
        order, X = _ordered(xp, X)
        S = _matrix(xp, X)
        with _noise(xp, S, self.random_state, order) as add_noise, row_mapper(xp, n) as over_rows:
            _fill(xp, S, X, over_rows)
            preference = self._preferences(xp, S)[order]
            if n == 1 or (np.all(preference == preference[0]) and _all_equal(xp, S)):
                return _arbitrary(n, alone=preference[0] > float(S[0, n - 1]))
            add_noise(preference, over_rows)
            exemplar, n_iter, converged = self._propagate(xp, S, over_rows)
        exemplars = np.sort(order[exemplar])
        if not converged:
            _warn(found=exemplars.size > 0)
        if exemplars.size == 0:
            return exemplars, np.full(n, -1), n_iter
        return *_refine(xp, S, order, exemplars), n_iter

    def _preferences(self, xp: Any, S: Any) -> np.ndarray:
        """Give the preference of each sample (n,), float32, as the samples are numbered in X."""
        preference = median(xp, S) if self.preference is None else self.preference
        if array_api_compat.is_array_api_obj(preference):
            preference = to_host(preference)
        return np.broadcast_to(np.asarray(preference, np.float32), (S.shape[0],))

    def _propagate(self, xp: Any, S: Any, over_rows: Callable) -> tuple[np.ndarray, int, bool]:
        """Pass messages until the exemplars stay; return who is one (n,), iterations, converged."""
        messages = _messages(xp)(S, self.damping)
        total = available = xp.zeros_like(S[0, :])
        exemplar, unchanged, converged = None, 0, False
        for done in range(1, self.max_iter + 1):
            # It starts with the availabilities that follow from the last responsibilities.
            sums = over_rows(messages.given(total))
            total = xp.astype(xp.sum(xp.stack(sums), axis=0, dtype=xp.float64), S.dtype)
            # The availability to itself that the next iteration starts with.
            available = self.damping * available + (1 - self.damping) * (total - messages.own)
            last, exemplar = exemplar, available + messages.own > 0
            same = last is not None and bool(xp.all(last == exemplar))
            unchanged = same * unchanged + 1
            converged = unchanged >= self.convergence_iter and bool(xp.any(exemplar))
            if converged and done > self.convergence_iter:
                break
        else:
            converged = False
        messages.restore()
        return to_host(exemplar), done, converged


def _warn(*, found: bool) -> None:
    from sklearn.exceptions import ConvergenceWarning

    outcome = "labels may be degenerate" if found else "no cluster has a center: all labels are -1"
    warnings.warn(
        f"Affinity propagation did not converge; {outcome}. Raise max_iter or damping.",
        ConvergenceWarning,
        stacklevel=5,
    )


def _matrix(xp: Any, X: Any) -> Any:
    n = X.shape[0]
    if array_api_compat.is_numpy_namespace(xp):
        return _compiled().untouched(n)
    return xp.empty((n, n), dtype=xp.float32, device=array_api_compat.device(X))


def _ordered(xp: Any, X: Any) -> tuple[np.ndarray, Any]:
    """Give the order (n,) that the samples have in S, and X in it.

    On NumPy neighbours are side by side; elsewhere all stays where it is.
    """
    if not array_api_compat.is_numpy_namespace(xp):
        return np.arange(X.shape[0]), X
    order = _compiled().neighbours_side_by_side(X)
    return order, X[order]


def _fill(xp: Any, S: Any, X: Any, over_rows: Callable) -> None:
    """Set S to the similarities, squared in float64 as by scikit-learn, then rounded once."""
    X = gram.centred(xp, xp.astype(X, xp.float64))
    if array_api_compat.is_numpy_namespace(xp):
        _compiled().fill(S, X, over_rows)
        return
    squared = gram.squared_blocks(xp, X)
    for a, b in row_ranges(xp, S.shape[0], columns=2 * S.shape[1]):
        S[a:b, :] = xp.astype(-gram.fill_diagonal(xp, squared(a, b), a, value=0.0), xp.float32)


def _compiled() -> Any:
    from . import numpy_engine  # numba takes half a second, for NumPy arrays only

    return numpy_engine


def _messages(xp: Any) -> type:
    if not array_api_compat.is_numpy_namespace(xp):
        return _Messages
    from .messages import Messages

    return Messages


def _all_equal(xp: Any, S: Any) -> bool:
    """Tell whether all similarities but those to itself are equal."""
    blocks = row_ranges(xp, S.shape[0])
    return all(bool(xp.all((S[a:b, :] == S[0, 1]) | diagonal_mask(xp, S, a, b))) for a, b in blocks)


def _arbitrary(n: int, *, alone: bool) -> tuple[np.ndarray, np.ndarray, int]:
    warnings.warn(
        "All samples have mutually equal similarities. Returning arbitrary cluster center(s).",
        stacklevel=4,
    )
    labels = np.arange(n) * alone
    return np.unique(labels), labels, 0


@contextlib.contextmanager
def _noise(xp: Any, S: Any, random_state: Any, order: np.ndarray) -> Iterator[Callable]:
    """Give ``add_noise(preference, over_rows)``, which sets the diagonal, then adds the noise.

    On NumPy numbers are drawn meanwhile: one after the other, they take as long as the rest.
    """
    from sklearn.utils import check_random_state

    random, n = check_random_state(random_state), S.shape[0]
    if array_api_compat.is_numpy_namespace(xp):
        with _compiled().drawn_aside(random, n) as blocks:
            yield lambda preference, _: _compiled().add_noise(S, order, preference, blocks())
        return
    # n^2 numbers from the host would cost more than all iterations
    parts = to_device(xp, random.standard_normal((2, n)).astype(np.float32), S)

    def add_noise(preference: np.ndarray, over_rows: Callable) -> None:
        diagonal, limits = to_device(xp, preference, S)[:, None], xp.finfo(S.dtype)

        def add(a: int, b: int) -> None:
            block = xp.where(diagonal_mask(xp, S, a, b), diagonal[a:b, :], S[a:b, :])
            noise = parts[0, a:b][:, None] * parts[1, :][None, :]
            S[a:b, :] = block + (block * limits.eps + 100 * limits.smallest_normal) * noise

        over_rows(add)

    yield add_noise


class _Messages:
    """What `affinity_messages.Messages` does, on any namespace, with R in a matrix of its own."""

    def __init__(self, S: Any, damping: float):
        xp = self._xp = array_api_compat.array_namespace(S)
        self._matrices, self._damping = (S, xp.zeros_like(S), xp.zeros_like(S)), damping

    @property
    def own(self) -> Any:
        """The responsibility of each sample for itself, (n,)."""
        return self._xp.linalg.diagonal(self._matrices[1])

    def given(self, total: Any) -> Callable:
        """Return the function that updates the rows a:b of A and R and sums max(R, 0) by column."""
        parts = self._xp, self._matrices, self._damping
        return functools.partial(_step_of_arrays, *parts, total=total)

    def restore(self) -> None:
        """Leave S, which is only read."""


def _step_of_arrays(xp: Any, matrices: Any, damping: float, a: int, b: int, *, total: Any) -> Any:
    S, R, A = (matrix[a:b, :] for matrix in matrices)
    own = diagonal_mask(xp, matrices[0], a, b)
    zeros = xp.zeros_like(R)
    # A sample's availability to itself is not capped at 0.
    available = total[None, :] - xp.where(own, R, xp.maximum(R, zeros))
    available = xp.where(own, available, xp.minimum(available, zeros))
    available = damping * A + (1 - damping) * available
    matrices[2][a:b, :] = available
    sums = available + S
    columns = xp.arange(S.shape[1], device=array_api_compat.device(S))
    best = xp.argmax(sums, axis=1, keepdims=True) == columns[None, :]
    first = xp.max(sums, axis=1, keepdims=True)
    sums = xp.where(best, xp.full_like(sums, float("-inf")), sums)
    second = xp.max(sums, axis=1, keepdims=True)
    R = damping * R + (1 - damping) * (S - xp.where(best, second, first))
    matrices[1][a:b, :] = R
    positive = xp.where(own, R, xp.maximum(R, zeros))
    return xp.astype(xp.sum(positive, axis=0, dtype=xp.float64), S.dtype)


def _refine(
    xp: Any, S: Any, order: np.ndarray, exemplars: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Move every exemplar to the best member of its cluster and assign the samples anew."""
    clusters = _assign(xp, S, order, exemplars)
    refined, place = exemplars.copy(), np.argsort(order)
    for k in range(exemplars.size):
        members = np.flatnonzero(clusters == k)
        refined[k] = members[np.argmax(_sums_within(xp, S, place[members]))]
    labels = refined[_assign(xp, S, order, refined)]
    centers, labels = np.unique(labels, return_inverse=True)
    return centers, labels


def _assign(xp: Any, S: Any, order: np.ndarray, exemplars: np.ndarray) -> np.ndarray:
    """Give every sample its most similar exemplar, and every exemplar itself."""
    columns = to_device(xp, np.argsort(order)[exemplars], S)
    with row_mapper(xp, S.shape[0]) as over_rows:
        nearest = over_rows(lambda a, b: xp.argmax(xp.take(S[a:b, :], columns, axis=1), axis=1))
    clusters = np.empty_like(order)
    clusters[order] = to_host(xp.concat(nearest))
    clusters[exemplars] = np.arange(exemplars.size)
    return clusters


def _sums_within(xp: Any, S: Any, members: np.ndarray) -> np.ndarray:
    """Sum, for each member, the similarities of all members to it, in float64."""
    columns = to_device(xp, members, S)
    sums = xp.zeros(members.size, dtype=xp.float64, device=array_api_compat.device(S))
    for start, stop in row_ranges(xp, members.size, columns=S.shape[1]):
        rows = take_rows(xp, S, members[start:stop])
        sums += xp.sum(xp.take(rows, columns, axis=1), axis=0, dtype=xp.float64)
    return to_host(sums)

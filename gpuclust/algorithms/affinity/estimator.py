"""Affinity propagation (Frey and Dueck, 2007) with scikit-learn's results, on any array namespace.

Each row's availabilities and next responsibilities are computed in one step, while the row is in
the cache.  NumPy arrays need no matrices of messages, see `sparse_messages`; other namespaces store
them, see `array_messages`.
"""

from __future__ import annotations

import contextlib
import numbers
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import array_api_compat
import numpy as np

from ...arrays import accept, distances, gram, parameters
from ...arrays.indexing import diagonal_mask, median, row_mapper, row_ranges
from ...arrays.transfer import to_device, to_host
from ...arrays.unit import SQUARES32
from ...errors import InputError
from ..surface import Clusterer
from .array_messages import ArrayMessages
from .exemplars import refine

# Largest preference, in the unit of the similarities.
_LARGEST_PREFERENCE = 1e30

# Modules with compiled code are imported where they are used: numba takes half a second to import,
# and only NumPy arrays need it.


class AffinityPropagation(Clusterer):
    """Affinity propagation with the interface of `sklearn.cluster.AffinityPropagation`.

    The similarity of two samples is minus their squared euclidean distance.  Labels and number of
    iterations equal scikit-learn's unless a decision depends on float32 rounding.

    Time: O(n^2 d) for the similarities and at most O(n^2) per iteration; on NumPy an iteration
    reads the pairs within clusters and few others.  Memory on NumPy: 4 n^2 bytes of similarities,
    1.4 n^2 bytes of noise at the start, and availabilities of the pairs within clusters, at most
    4 n^2 bytes.  Memory elsewhere: 12 n^2 bytes.

    Parameters
    ----------
    damping : float
        Weight of the old message in an update, in [0.5, 1).
    max_iter : int
        Largest number of iterations.
    convergence_iter : int
        Number of iterations with the same exemplars that counts as convergence.
    preference : float or array-like (n,), optional
        Similarity of a sample to itself; a larger one makes it more likely an exemplar.  The
        default is the median of all n^2 similarities, with zeros on the diagonal.
    random_state : int, RandomState or None
        Seed of the tie-breaking noise, which has the size of float32 rounding errors.  NumPy arrays
        get scikit-learn's numbers, other namespaces products of two random vectors.  More numbers
        may be drawn from a RandomState than by scikit-learn.

    Attributes
    ----------
    labels_ : array (n,), int64
        In the array type and on the device of X; all -1 when no exemplar was found.
    cluster_centers_indices_ : array (k,), int64
        Sorted exemplars, in the array type and on the device of X.
    n_iter_ : int
        Number of iterations; 0 when all similarities are equal.

    References
    ----------
    Frey, Dueck: Clustering by passing messages between data points, Science 315, 2007.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[1, 2], [1, 4], [1, 0], [4, 2], [4, 4], [4, 0]])
    >>> AffinityPropagation(random_state=5).fit(X).labels_
    array([0, 0, 0, 1, 1, 1])
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

    def fit(self, X: Any, y: Any = None) -> AffinityPropagation:
        """Cluster the samples `X` (n, d), see `gpuclust.arrays.accept.samples`; `y` is ignored.

        Raises
        ------
        InputError
            For a parameter out of range or of another type, and for an `X` that is empty or not a
            finite matrix.

        Warns
        -----
        ConvergenceWarning
            When the exemplars still change after `max_iter` iterations, as in scikit-learn.
        UserWarning
            When all similarities are equal, as in scikit-learn.
        """
        del y
        parameters.number("damping", self.damping, low=0.5, high=1, below=True)
        parameters.whole("max_iter", self.max_iter)
        parameters.whole("convergence_iter", self.convergence_iter)
        parameters.seed(self.random_state)
        samples = accept.samples(X)
        xp = array_api_compat.array_namespace(samples)
        exemplars, labels, self.n_iter_ = self._cluster(xp, samples)
        self.labels_ = accept.returned(labels, X)
        self.cluster_centers_indices_ = accept.returned(exemplars, X)
        return self

    def _cluster(self, xp: Any, X: Any) -> tuple[np.ndarray, np.ndarray, int]:
        """Return exemplars (k,), labels (n,), both int64 on the host, and number of iterations."""
        X, unit = distances.check_and_scale(xp, X, "euclidean", limits=SQUARES32)
        n = X.shape[0]
        order, X = _ordered(xp, X)
        S = _empty_matrix(xp, X)
        with _noise(xp, S, self.random_state, order) as add_noise, row_mapper(xp, n) as over_rows:
            _fill(xp, S, X, over_rows)
            preference = self._preferences(xp, S, unit)[order]
            if n == 1 or (np.all(preference == preference[0]) and _all_equal(xp, S)):
                return _arbitrary(n, alone=preference[0] > float(S[0, n - 1]))
            add_noise(preference, over_rows)
            exemplar, n_iter, converged = self._propagate(xp, S, over_rows)
        exemplars = np.sort(order[exemplar])
        if not converged:
            _warn_not_converged(found=exemplars.size > 0)
        if exemplars.size == 0:
            return exemplars, np.full(n, -1), n_iter
        return *refine(xp, S, order, exemplars), n_iter

    def _preferences(self, xp: Any, S: Any, unit: float) -> np.ndarray:
        """Return the preference of each sample (n,), float32, in the order of X.

        `unit` is that of the samples; similarities, and so preferences, are divided by its square.
        """
        n = S.shape[0]
        if self.preference is None:
            return np.full(n, median(xp, S), np.float32)
        with np.errstate(over="ignore"):
            scaled = _as_preference(self.preference, n) / unit / unit
        # Beyond these limits a preference has the same effect, and sums of messages overflow.
        return np.clip(scaled, -_LARGEST_PREFERENCE, _LARGEST_PREFERENCE).astype(np.float32)

    def _propagate(self, xp: Any, S: Any, over_rows: Callable) -> tuple[np.ndarray, int, bool]:
        """Pass messages until the exemplars stay the same.

        Returns a mask of the exemplars (n,), the number of iterations, and whether they converged.
        """
        damping = float(self.damping)  # a float64 of NumPy would make float32 messages float64
        messages = _messages(xp, S, damping)
        total = self_availability = xp.zeros_like(S[0, :])
        exemplar: Any = None
        unchanged, iteration, converged = 0, 0, False
        while not converged and iteration < self.max_iter:
            iteration += 1
            sums = over_rows(messages.iteration(total))
            total = xp.astype(xp.sum(xp.stack(sums), axis=0, dtype=xp.float64), S.dtype)
            own = messages.self_responsibility
            # An iteration updates availabilities first, so its own come from the sums just made.
            self_availability = damping * self_availability + (1 - damping) * (total - own)
            last, exemplar = exemplar, self_availability + own > 0
            same = last is not None and bool(xp.all(last == exemplar))
            unchanged = unchanged + 1 if same else 1
            settled = unchanged >= self.convergence_iter and iteration > self.convergence_iter
            converged = settled and bool(xp.any(exemplar))
        messages.restore()
        return to_host(exemplar), iteration, converged


def _as_preference(preference: Any, n: int) -> np.ndarray:
    """Return a preference given by the user for each of the n samples, float64."""
    if isinstance(preference, numbers.Number):
        value = parameters.number("preference", preference)
        return np.full(n, value, np.float64)
    values = to_host(accept.labels(preference, name="preference"))
    if values.dtype.kind not in "iuf" or values.shape != (n,):
        raise InputError(
            f"preference has shape {values.shape} and dtype {values.dtype}; give one number, or "
            f"one for each of the {n} samples."
        )
    return values.astype(np.float64)


def _warn_not_converged(*, found: bool) -> None:
    from sklearn.exceptions import ConvergenceWarning

    outcome = "labels may be degenerate" if found else "no cluster has a center: all labels are -1"
    warnings.warn(
        f"Affinity propagation did not converge; {outcome}. Raise max_iter or damping.",
        ConvergenceWarning,
        stacklevel=5,
    )


def _empty_matrix(xp: Any, X: Any) -> Any:
    n = X.shape[0]
    if array_api_compat.is_numpy_namespace(xp):
        from . import similarity

        return similarity.empty_matrix(n)
    return xp.empty((n, n), dtype=xp.float32, device=array_api_compat.device(X))


def _ordered(xp: Any, X: Any) -> tuple[np.ndarray, Any]:
    """Choose the order (n,) of the samples in S, and sort X.

    NumPy arrays get neighbors with adjacent numbers; on other namespaces samples stay in order.
    """
    if not array_api_compat.is_numpy_namespace(xp):
        return np.arange(X.shape[0]), X
    from . import similarity

    order = similarity.locality_order(X)
    return order, X[order]


def _fill(xp: Any, S: Any, X: Any, over_rows: Callable) -> None:
    """Set S to the similarities, squared in float64 as in scikit-learn, then rounded once."""
    X = gram.centered(xp, xp.astype(X, xp.float64))
    if array_api_compat.is_numpy_namespace(xp):
        from . import similarity

        similarity.fill(S, X, over_rows)
        return
    squared = gram.squared_blocks(xp, X)
    for a, b in row_ranges(xp, S.shape[0], columns=2 * S.shape[1]):
        S[a:b, :] = xp.astype(-gram.fill_diagonal(xp, squared(a, b), a, value=0.0), xp.float32)


def _messages(xp: Any, S: Any, damping: float) -> Any:
    if not array_api_compat.is_numpy_namespace(xp):
        return ArrayMessages(S, damping)
    from .sparse_messages import SparseMessages

    return SparseMessages(S, damping)


def _all_equal(xp: Any, S: Any) -> bool:
    """Return whether all similarities off the diagonal are equal."""
    blocks = row_ranges(xp, S.shape[0])
    return all(bool(xp.all((S[a:b, :] == S[0, 1]) | diagonal_mask(xp, S, a, b))) for a, b in blocks)


def _arbitrary(n: int, *, alone: bool) -> tuple[np.ndarray, np.ndarray, int]:
    """Warn, and return a cluster for each sample, or a single cluster."""
    warnings.warn(
        "All samples have mutually equal similarities. Returning arbitrary cluster center(s).",
        stacklevel=4,
    )
    labels = np.arange(n) if alone else np.zeros(n, np.int64)
    return np.unique(labels), labels, 0


@contextlib.contextmanager
def _noise(xp: Any, S: Any, random_state: Any, order: np.ndarray) -> Iterator[Callable]:
    """Give ``add_noise(preference, over_rows)``: it sets the diagonal of S, then adds noise.

    On NumPy a second thread draws the numbers meanwhile, because drawing takes as long as
    everything else together.
    """
    from sklearn.utils import check_random_state

    random, n = check_random_state(random_state), S.shape[0]
    if array_api_compat.is_numpy_namespace(xp):
        from . import noise

        with noise.drawn_ahead(random, n) as blocks:
            yield lambda preference, _: noise.add_noise(S, order, preference, blocks())
        return
    # Copying n^2 numbers from the host would cost more than all iterations.
    factors = to_device(xp, random.standard_normal((2, n)).astype(np.float32), S)

    def add_noise(preference: np.ndarray, over_rows: Callable) -> None:
        diagonal, limits = to_device(xp, preference, S)[:, None], xp.finfo(S.dtype)

        def add(a: int, b: int) -> None:
            block = xp.where(diagonal_mask(xp, S, a, b), diagonal[a:b, :], S[a:b, :])
            product = factors[0, a:b][:, None] * factors[1, :][None, :]
            S[a:b, :] = block + (block * limits.eps + 100 * limits.smallest_normal) * product

        over_rows(add)

    yield add_noise

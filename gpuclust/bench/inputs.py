"""Load the samples of a benchmark and make label sets to score."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import InputError

# Few clusters, as many as a dataset has classes, and many, as a density clusterer finds.
KMEANS = "kmeans:10,100"


class Samples(NamedTuple):
    """Input of one piece of work, on the host.

    Attributes
    ----------
    X : (n, d) float32
        Samples.
    y : (n,) int64
        Classes.
    sets : tuple of (n,) int64
        Clusterings to score; empty for methods.
    """

    X: np.ndarray
    y: np.ndarray
    sets: tuple[np.ndarray, ...] = ()

    def first(self, n: int) -> Samples:
        """Return the first `n` samples with at most n / 4 labels, so all scores are defined."""
        labels = max(n // 4, 2)
        return Samples(self.X[:n], self.y[:n], tuple(one[:n] % labels for one in self.sets))


def load(data: str, n: int | None = None, labels: str | None = None) -> Samples:
    """Load samples and classes, and make label sets where `labels` describes them.

    Parameters
    ----------
    data : str
        Path of an .npz file with X and y, or ``digits``.
    n : int, optional
        Number of samples; see `enlarged`.
    labels : str, optional
        ``kmeans:10,100`` scores K-Means with 10 and with 100 clusters against the classes;
        ``balanced:K`` and ``zipf:K`` score one random labeling with K labels against another.

    Raises
    ------
    InputError
        When the file cannot be read or has no X and y.
    """
    X, y = read(data)
    kind, _, text = (labels or "").partition(":")
    rows = n or len(X)
    sets: tuple[np.ndarray, ...] = ()
    if kind == "kmeans":
        counts = text.split(",")
        seeds = [counts[:i].count(k) for i, k in enumerate(counts)]
        found = [kmeans(X[:rows], int(k), seed) for k, seed in zip(counts, seeds, strict=True)]
        # Copies of a sample keep its label, so the cost does not grow with n.
        sets = tuple(np.resize(one, rows) for one in found)
    X, y = enlarged(X, rows), np.resize(y, rows)
    if kind in ("balanced", "zipf"):
        y, other = random_labels(rows, int(text), zipf=kind == "zipf")
        sets = (other,)
    return Samples(X, y, sets)


@functools.lru_cache(maxsize=1)
def read(data: str) -> tuple[np.ndarray, np.ndarray]:
    """Read X (n, d) float32 and y (n,) int64."""
    if data == "digits":
        from sklearn.datasets import load_digits

        X, y = load_digits(return_X_y=True)
        return X.astype(np.float32), y.astype(np.int64)
    from ..embeddings.vector_files import read_vectors

    found = read_vectors(Path(data))
    if found.y is None:
        raise InputError(f"{data} has no classes y; agreement and AMI need them. Add an array y.")
    return found.X.astype(np.float32), found.y.astype(np.int64)


def enlarged(X: np.ndarray, n: int) -> np.ndarray:
    """Return the first `n` samples; beyond these of the file, noisy copies of them.

    The noise is normal, a tenth of the standard deviation of each dimension.
    """
    if n <= len(X):
        return np.ascontiguousarray(X[:n])
    noise = np.random.default_rng(0).normal(size=(n, X.shape[1])).astype(np.float32)
    noise[: len(X)] = 0
    copies = np.resize(X, (n, X.shape[1]))
    return (copies + 0.1 * X.std(axis=0) * noise).astype(np.float32)


def components(data: str, d: int, folder: Path) -> str:
    """Write the first `d` principal components of a file, and its classes, to another file."""
    from sklearn.decomposition import PCA

    X, y = read(data)
    path = folder / f"pca{d}.npz"
    Z = PCA(min(d, *X.shape), random_state=0).fit_transform(X)
    np.savez(path, X=np.ascontiguousarray(Z), y=y)
    return str(path)


def kmeans(X: np.ndarray, k: int, seed: int) -> np.ndarray:
    """Cluster with K-Means into at most n / 2 clusters; labels (n,) int64.

    Every implementation makes its own label sets, so they must not depend on the implementation:
    one thread, one seed, on the host.  O(n d k).
    """
    from sklearn.cluster import MiniBatchKMeans
    from threadpoolctl import threadpool_limits

    k = min(k, max(len(X) // 2, 1))
    with threadpool_limits(1):
        labels = MiniBatchKMeans(k, n_init=1, random_state=seed).fit_predict(X)
    return np.asarray(labels, np.int64)


def random_labels(n: int, k: int, *, zipf: bool) -> tuple[np.ndarray, np.ndarray]:
    """Draw two independent labelings (n,) with `k` labels, of equal sizes or of Zipf's."""
    rng = np.random.default_rng(0)
    if not zipf:
        return rng.permutation(n) % k, rng.permutation(n) % k
    weight = 1 / np.arange(1, k + 1)
    p = weight / weight.sum()
    return rng.choice(k, n, p=p), rng.choice(k, n, p=p)

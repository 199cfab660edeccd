import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.cluster import hierarchy
from scipy.spatial.distance import cdist
from sklearn.metrics import adjusted_rand_score

from gpuclust.algorithms import linkage
from gpuclust.device import block_size
from gpuclust.errors import InputError, UnknownNameError

# The array libraries keep no state between examples.
EACH_LIBRARY = [HealthCheck.function_scoped_fixture]
METHODS = ["average", "complete", "weighted"]
METRICS = {"euclidean": "euclidean", "l1": "cityblock", "chebyshev": "chebyshev"} | {
    "cosine": "cosine"
}


def noisy(X):
    """Add a little noise: integer pixels have tied heights, and the tree is not unique."""
    return X + np.random.default_rng(0).normal(scale=1e-3, size=X.shape)


def scipys(X, method, metric="euclidean"):
    return hierarchy.linkage(np.asarray(X, np.float64), method, METRICS[metric])


def assert_greedy(X, Z, method, metric="euclidean"):
    """Replay the tree: each merge has the distance of its clusters, the smallest of all."""
    n = len(X)
    D = np.full((2 * n - 1, 2 * n - 1), np.inf)
    D[:n, :n] = cdist(X, X, METRICS[metric]) + np.diag(np.full(n, np.inf))
    size = np.concatenate([np.ones(n), Z[:, 3]])
    tolerance = 1e-6 * Z[-1, 2]
    for new, (i, j, height, _) in enumerate(Z, n):
        i, j = int(i), int(j)
        assert abs(D[i, j] - height) <= tolerance
        assert D.min() >= height - tolerance
        a, b, m = D[i], D[j], size[:, None].T[0]
        if method == "complete":
            row = np.maximum(a, b)
        elif method == "ward":
            total = (m + size[i]) * a**2 + (m + size[j]) * b**2 - m * D[i, j] ** 2
            row = np.sqrt(np.maximum(total, 0) / (m + size[new]))
        else:
            share = 0.5 if method == "weighted" else size[j] / size[new]
            row = a * (1 - share) + b * share
        row[[i, j, new]] = np.inf
        D[new], D[:, new] = row, row
        D[[i, j]] = D[:, [i, j]] = np.inf


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("method", METHODS)
def test_float64_gives_scipys_tree(xp, digits, method, metric):
    # The strict namespace sets rows and columns one by one, which is slow.
    X = noisy(digits.X[:100] if xp.name == "strict" else digits.X)
    ours = linkage(xp.put(X), method, metric=metric, dtype=xp.namespace.float64).Z
    theirs = scipys(X, method, metric)
    assert type(ours) is np.ndarray
    np.testing.assert_array_equal(ours[:, [0, 1, 3]], theirs[:, [0, 1, 3]])
    np.testing.assert_allclose(ours[:, 2], theirs[:, 2], rtol=0, atol=1e-12 * theirs[-1, 2])


@pytest.mark.parametrize(
    # No offset for cosine: SciPy's formula cancels for samples of nearly one direction.
    ("metric", "offset"),
    [*((metric, 0.0) for metric in METRICS), ("euclidean", 1e4), ("l1", 1e4), ("chebyshev", 1e4)],
)
@pytest.mark.parametrize("method", METHODS)
def test_float32_gives_scipys_heights_and_clusters(xp, digits, method, metric, offset):
    X = np.random.default_rng(1).normal(size=digits.X.shape) + digits.X
    X = (X + offset).astype(np.float32)[: 100 if xp.name == "strict" else None]
    ours, theirs = linkage(xp.put(X), method, metric=metric), scipys(X, method, metric)
    np.testing.assert_allclose(ours.Z[:, 2], theirs[:, 2], rtol=0, atol=1e-6 * theirs[-1, 2])
    for k in (2, 10):
        labels = hierarchy.fcluster(theirs, k, "maxclust")
        assert adjusted_rand_score(ours.cut(n_clusters=k), labels) == 1.0


@pytest.mark.parametrize("method", METHODS)
def test_a_cluster_joined_by_samples_one_by_one_keeps_its_height(xp, method):
    # Each sample joins the cluster alone, so the mean is rounded once per sample.
    X = np.diag(1 + np.linspace(0, 0.5, 150 if xp.name == "strict" else 800))
    ours, theirs = linkage(xp.put(X), method).Z[:, 2], scipys(X, method)[:, 2]
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6 * theirs[-1])


@pytest.mark.parametrize(
    ("method", "metric"),
    [("ward", "euclidean"), *itertools.product(METHODS, ["euclidean", "l1", "chebyshev"])],
)
def test_on_a_grid_full_of_ties_the_tree_is_a_valid_one(xp, method, metric):
    X = np.stack(np.meshgrid(np.arange(7.0), np.arange(6.0)), axis=-1).reshape(-1, 2)
    X = np.vstack([X, X[:5]])
    Z = linkage(xp.put(X), method, metric=metric).Z
    assert hierarchy.is_valid_linkage(Z)
    assert_greedy(X, Z, method, metric)
    np.testing.assert_array_equal(linkage(xp.put(X), method, metric=metric).Z, Z)
    # The order of ties is arbitrary, the number of duplicates at height 0 is not.
    assert (Z[:5, 2] == 0).all()
    assert Z[5, 2] == 1.0


@pytest.mark.parametrize("method", METHODS)
def test_equal_rows_and_duplicates(xp, digits, method):
    assert not linkage(xp.put(np.ones((500, 3))), method).Z[:, 2].any()
    X = noisy(digits.X[:60])[np.random.default_rng(0).integers(0, 60, size=200)]
    ours = linkage(xp.put(X), method, dtype=xp.namespace.float64).Z
    theirs = scipys(X, method)
    assert hierarchy.is_valid_linkage(ours)
    np.testing.assert_allclose(ours[:, 2], theirs[:, 2], rtol=0, atol=1e-12 * theirs[-1, 2])


@pytest.mark.parametrize("method", METHODS)
def test_near_duplicates_merge_at_their_own_distance(xp, digits, method):
    X = np.repeat(noisy(digits.X[:50]), 2, axis=0)
    X[::2, 0] += np.linspace(1e-6, 1e-5, 50)
    heights = linkage(xp.put(X), method).Z[:50, 2]
    np.testing.assert_allclose(heights, np.linspace(1e-6, 1e-5, 50), rtol=1e-6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [1, 2, 3])
def test_very_few_samples(xp, method, n):
    X = np.asarray([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]], dtype=np.float32)[:n]
    expected = scipys(X, method) if n > 1 else np.empty((0, 4))
    np.testing.assert_allclose(linkage(xp.put(X), method).Z, expected, rtol=1e-7)


@given(st.integers(2, 40), st.integers(0, 1000), st.sampled_from(METHODS))
@settings(max_examples=60, deadline=None, suppress_health_check=EACH_LIBRARY)
def test_every_merge_is_the_nearest_and_the_order_of_rows_does_not_matter(xp, n, seed, method):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 2))
    Z = linkage(xp.put(X), method).Z
    assert (np.diff(Z[:, 2]) >= 0).all()
    assert_greedy(X, Z, method)
    shuffled = linkage(xp.put(X[rng.permutation(n)]), method).Z
    np.testing.assert_allclose(shuffled[:, 2], Z[:, 2], rtol=0, atol=1e-6 * Z[-1, 2])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("method", METHODS)
def test_small_blocks_give_the_same_tree(xp, digits, method, metric):
    X = noisy(digits.X[:40]).astype(np.float32)
    expected = linkage(X, method, metric=metric).Z
    with block_size.smaller_blocks(1e-4):
        ours = linkage(xp.put(X), method, metric=metric).Z
    np.testing.assert_allclose(ours[:, 2], expected[:, 2], rtol=0, atol=1e-6 * expected[-1, 2])


def test_memory_is_one_float32_matrix_and_a_few_blocks():
    X = np.random.default_rng(0).normal(size=(3500, 4)).astype(np.float32)
    tracemalloc.start()
    linkage(X, "average")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.7 * 4 * 3500**2


def test_integers_and_float16_are_accepted(digits):
    X = digits.X[:30]
    expected = linkage(X, "complete").Z
    np.testing.assert_array_equal(linkage(X.astype(np.int32), "complete").Z, expected)
    np.testing.assert_array_equal(linkage(X.astype(np.float16), "complete").Z, expected)


@pytest.mark.parametrize(
    ("X", "options", "error", "words"),
    [
        (np.ones(3), {}, InputError, "must be .n samples"),
        (np.empty((0, 3)), {}, InputError, "at least one sample"),
        (np.full((3, 2), np.nan), {}, InputError, "NaN or infinity"),
        (np.ones((3, 2)), {"dtype": np.int32}, InputError, "must be float32 or float64"),
        (np.ones((3, 2)), {"metric": "l1"}, InputError, "ward is defined for metric=euclidean"),
        (np.ones((3, 2)), {"method": "averge"}, UnknownNameError, "Did you mean 'average'"),
        (np.ones((3, 2)), {"method": "single", "metric": "l2"}, UnknownNameError, "metric 'l2'"),
    ],
)
def test_invalid_options_raise(X, options, error, words):
    with pytest.raises(error, match=words):
        linkage(X, **options)

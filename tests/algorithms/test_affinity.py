import warnings

import numpy as np
import pytest
import sklearn.cluster
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.datasets import make_blobs
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score

from gpuclust.algorithms import AffinityPropagation
from gpuclust.algorithms.affinity.array_messages import ArrayMessages
from gpuclust.algorithms.affinity.sparse_messages import SparseMessages
from gpuclust.arrays.indexing import row_mapper
from gpuclust.device import block_size
from gpuclust.errors import InputError

# The array libraries keep no state between examples.
EACH_LIBRARY = [HealthCheck.function_scoped_fixture]


def blobs(n=150, d=6, centers=5, seed=1):
    return make_blobs(n, d, centers=centers, random_state=seed)[0]


def same_as_scikit_learn(xp, X, **params):
    """Fit both estimators and compare all attributes; return ours."""
    ours = AffinityPropagation(random_state=0, **params).fit(xp.put(X))
    theirs = sklearn.cluster.AffinityPropagation(random_state=0, **params).fit(X)
    np.testing.assert_array_equal(xp.get(ours.labels_), theirs.labels_)
    np.testing.assert_array_equal(
        xp.get(ours.cluster_centers_indices_), theirs.cluster_centers_indices_
    )
    assert ours.n_iter_ == theirs.n_iter_
    return ours


@pytest.mark.parametrize("damping", [0.5, 0.9])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_digits_give_scikit_learns_clusters_and_number_of_iterations(xp, digits, damping, dtype):
    X = digits.X.astype(dtype)
    ours = same_as_scikit_learn(xp, X, damping=damping, max_iter=1000)
    labels = xp.get(ours.labels_)
    assert labels.dtype == np.int64
    assert 20 < labels.max() < 100


def test_blobs_give_scikit_learns_clusters(xp):
    ours = same_as_scikit_learn(xp, blobs(), damping=0.7)
    assert len(np.unique(xp.get(ours.labels_))) == 5


@pytest.mark.parametrize("preference", [-50.0, np.linspace(-3000, -10, 150)])
def test_preferences_steer_the_number_of_clusters_as_in_scikit_learn(xp, preference):
    X = blobs()
    theirs = sklearn.cluster.AffinityPropagation(preference=preference, random_state=0, damping=0.8)
    ours = AffinityPropagation(preference=preference, random_state=0, damping=0.8)
    assert adjusted_rand_score(xp.get(ours.fit_predict(xp.put(X))), theirs.fit_predict(X)) == 1


def test_too_few_iterations_warn_and_give_scikit_learns_labels(xp):
    with pytest.warns(ConvergenceWarning):
        ours = same_as_scikit_learn(xp, blobs(), max_iter=25)
    assert ours.n_iter_ == 25
    assert xp.get(ours.labels_).min() == 0


def test_without_an_exemplar_all_labels_are_minus_one(xp):
    with pytest.warns(ConvergenceWarning):
        ours = same_as_scikit_learn(xp, blobs(), max_iter=1, preference=-1e6)
    assert set(xp.get(ours.labels_).tolist()) == {-1}
    assert ours.cluster_centers_indices_.shape == (0,)


@pytest.mark.parametrize("preference", [None, -10.0, 10.0])
@pytest.mark.parametrize(
    "X",
    [np.ones((1, 2)), np.array([[0.0], [3.0]]), np.ones((6, 2)), np.eye(5)],
    ids=["one", "two", "equal rows", "simplex"],
)
@pytest.mark.filterwarnings("ignore:All samples have mutually equal similarities")
def test_equal_similarities_give_scikit_learns_arbitrary_answer(xp, X, preference):
    assert same_as_scikit_learn(xp, X, preference=preference).n_iter_ == 0


def test_equal_similarities_are_warned_about(xp):
    with pytest.warns(UserWarning, match="mutually equal similarities"):
        AffinityPropagation().fit(xp.put(np.ones((3, 1))))


def test_preferences_may_lie_on_the_device(xp):
    X, preference = blobs(), np.linspace(-3000, -10, 150)
    options = {"random_state": 0, "damping": 0.8}
    expected = AffinityPropagation(preference=preference, **options).fit_predict(X)
    ours = AffinityPropagation(preference=xp.put(preference), **options).fit_predict(xp.put(X))
    np.testing.assert_array_equal(xp.get(ours), expected)


def test_small_blocks_give_the_same_clusters(xp):
    options = {"random_state": 0, "damping": 0.8}
    expected = AffinityPropagation(**options).fit(blobs())
    with block_size.smaller_blocks(1e-4 if xp.name != "numpy" else 0.02):
        ours = AffinityPropagation(**options).fit(xp.put(blobs()))
    np.testing.assert_array_equal(xp.get(ours.labels_), expected.labels_)
    assert ours.n_iter_ == expected.n_iter_


def test_three_samples(xp):
    ours = same_as_scikit_learn(xp, np.array([[0.0], [1.0], [9.0]]), damping=0.6)
    assert xp.get(ours.labels_).tolist() == [0, 0, 1]


def test_the_same_seed_gives_the_same_labels(xp, digits):
    X = xp.put(digits.X[:200])
    first, second = (xp.get(AffinityPropagation(random_state=3).fit_predict(X)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_the_number_of_threads_changes_nothing(digits, monkeypatch):
    X = digits.X[:400]
    many = AffinityPropagation(random_state=0).fit(X)
    monkeypatch.setattr("gpuclust.arrays.indexing.cores", lambda: 1)
    one = AffinityPropagation(random_state=0).fit(X)
    np.testing.assert_array_equal(one.labels_, many.labels_)
    assert one.n_iter_ == many.n_iter_


def test_the_number_of_threads_changes_no_bit(monkeypatch):
    S = -(np.random.default_rng(0).exponential(size=(500, 500)).astype(np.float32))

    def bits():
        sparse, total = SparseMessages(S.copy(), 0.7), np.zeros(500, np.float32)
        with row_mapper(np, 500) as over_rows:
            for _ in range(5):
                total = np.sum(over_rows(sparse.iteration(total)), axis=0)
        return total.tobytes() + availabilities(sparse).tobytes()

    many = bits()
    monkeypatch.setattr("gpuclust.arrays.indexing.cores", lambda: 1)
    assert bits() == many


def iterate(messages, n, iterations):
    """Iterate from random column sums; return the last sums and self-responsibilities."""
    rng = np.random.default_rng(0)
    for _ in range(iterations):
        sums = messages.iteration(rng.standard_normal(n).astype(np.float32))(0, n)
    return sums, messages.self_responsibility


def availabilities(sparse):
    """Assemble the matrix (n, n) of availabilities from its three stores."""
    state = sparse._state
    n = len(state.similarity)
    full = np.repeat(sparse._common[None, :], n, axis=0)
    for i in range(n):
        for q in state.stored[i, : state.stored_count[i]]:
            full[i, q * 64 : q * 64 + 64] = state.availability[i, q * 64 : q * 64 + 64]
        used = state.tracked_count[i]
        full[i, state.tracked[i, :used]] = state.tracked_availability[i, :used]
    return full


# More columns than a segment has, and more columns with the maximum of a row than there are slots.
# The smaller the similarities, the more segments are stored: none, a few in a row, all.
@pytest.mark.parametrize("scale", [10, 1, 0.1, 0.01])
@pytest.mark.parametrize(
    ("n", "iterations", "damping"), [(2, 9, 0.5), (40, 60, 0.5), (1100, 9, 0.8)]
)
def test_sparse_messages_equal_the_matrices_of_array_messages(n, iterations, damping, scale):
    S = -np.random.default_rng(n).exponential(scale, size=(n, n)).astype(np.float32)
    sparse, dense = SparseMessages(S.copy(), damping), ArrayMessages(S, damping)
    ours, theirs = iterate(sparse, n, iterations), iterate(dense, n, iterations)
    for values, expected in zip(
        (*ours, availabilities(sparse)), (*theirs, dense._availability), strict=True
    ):
        np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-5 * np.abs(S).max())
    assert sparse._state.tracked_count.max() > 8 or n == 2 or scale == 10
    sparse.restore()
    np.testing.assert_array_equal(sparse._state.similarity, S)


def test_segments_without_exceptions_are_dropped_again():
    S = -np.random.default_rng(0).exponential(size=(200, 200)).astype(np.float32)
    sparse, total = SparseMessages(S, 0.5), np.zeros(200, np.float32)
    stored = []
    for iteration in range(60):
        # A large total has no responsibility above it; older exceptions fade by damping.
        total = sparse.iteration(total if iteration < 5 else np.full(200, 1e3, np.float32))(0, 200)
        stored.append(sparse._state.stored_count.sum())
    assert max(stored) > 0
    assert stored[-1] == 0


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_permuting_the_rows_permutes_the_clusters(seed):
    X = blobs(80)
    order = np.random.default_rng(seed).permutation(80)
    clusterer = AffinityPropagation(random_state=0, damping=0.8)
    labels, permuted = clusterer.fit_predict(X), clusterer.fit_predict(X[order])
    assert adjusted_rand_score(labels[order], permuted) == 1


@settings(max_examples=25, deadline=None, suppress_health_check=EACH_LIBRARY)
@given(n=st.integers(2, 30), copies=st.integers(2, 4), seed=st.integers(0, 10**6))
def test_duplicates_give_gapless_labels_and_centers_of_their_own_cluster(xp, n, copies, seed):
    X = np.repeat(np.random.default_rng(seed).standard_normal((n, 2)), copies, axis=0)
    clusterer = AffinityPropagation(random_state=0, damping=0.8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        labels = xp.get(clusterer.fit_predict(xp.put(X)))
    centers = xp.get(clusterer.cluster_centers_indices_)
    if centers.size:
        np.testing.assert_array_equal(np.unique(labels), np.arange(centers.size))
        np.testing.assert_array_equal(labels[centers], np.arange(centers.size))
    else:
        assert set(labels.tolist()) == {-1}


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"damping": 0.4}, "damping"),
        ({"damping": 1.0}, "damping"),
        ({"max_iter": 0}, "max_iter"),
        ({"convergence_iter": 0}, "convergence_iter"),
    ],
)
def test_parameters_out_of_range_are_refused(params, message):
    with pytest.raises(InputError, match=message):
        AffinityPropagation(**params).fit(blobs(10))


@pytest.mark.parametrize("X", [np.ones((0, 3)), np.ones(4), np.full((3, 2), np.nan)])
def test_an_input_that_is_not_a_finite_matrix_is_refused(xp, X):
    with pytest.raises(InputError, match="X"):
        AffinityPropagation().fit(xp.put(X))

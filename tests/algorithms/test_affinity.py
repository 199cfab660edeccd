import os
import subprocess
import sys
import tracemalloc
import warnings

import numba.core.caching
import numpy as np
import pytest
import sklearn.cluster
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.datasets import make_blobs
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score

from gpuclust.algorithms.affinity import messages, numpy_engine, propagation
from gpuclust.algorithms.affinity.propagation import AffinityPropagation
from gpuclust.arrays.indexing import row_mapper
from gpuclust.device import block_size
from gpuclust.errors import InputError

# A library has no state that an example could leave behind.
EACH_LIBRARY = [HealthCheck.function_scoped_fixture]


def blobs(n=150, d=6, centers=5, seed=1):
    return make_blobs(n, d, centers=centers, random_state=seed)[0]


def same_as_scikit_learn(xp, X, **params):
    """Fit both and compare all attributes; return ours."""
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
def test_digits_are_clustered_as_by_scikit_learn_in_as_many_iterations(xp, digits, damping, dtype):
    X = digits.X.astype(dtype)
    ours = same_as_scikit_learn(xp, X, damping=damping, max_iter=1000)
    labels = xp.get(ours.labels_)
    assert labels.dtype == np.int64
    assert 20 < labels.max() < 100


def test_blobs_are_clustered_as_by_scikit_learn(xp):
    ours = same_as_scikit_learn(xp, blobs(), damping=0.7)
    assert len(np.unique(xp.get(ours.labels_))) == 5


@pytest.mark.parametrize("preference", [-50.0, np.linspace(-3000, -10, 150)])
def test_preferences_steer_the_number_of_clusters_as_in_scikit_learn(xp, preference):
    X = blobs()
    theirs = sklearn.cluster.AffinityPropagation(preference=preference, random_state=0, damping=0.8)
    ours = AffinityPropagation(preference=preference, random_state=0, damping=0.8)
    assert adjusted_rand_score(xp.get(ours.fit_predict(xp.put(X))), theirs.fit_predict(X)) == 1


def test_too_few_iterations_warn_and_leave_the_labels_of_scikit_learn(xp):
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
        sparse, total = messages.Messages(S.copy(), 0.7), np.zeros(500, np.float32)
        with row_mapper(np, 500) as over_rows:
            for _ in range(5):
                total = np.sum(over_rows(sparse.given(total)), axis=0)
        return total.tobytes() + availabilities(sparse).tobytes()

    many = bits()
    monkeypatch.setattr("gpuclust.arrays.indexing.cores", lambda: 1)
    assert bits() == many


def passed(messages, n, iterations):
    """Pass messages that follow from any totals; give the last sums and own responsibilities."""
    rng = np.random.default_rng(0)
    for _ in range(iterations):
        sums = messages.given(rng.standard_normal(n).astype(np.float32))(0, n)
    return sums, messages.own


def availabilities(sparse):
    """Put together what the messages keep in several places."""
    S, A = sparse._matrices
    full = np.repeat(sparse._common[None, :], len(S), axis=0)
    for i in range(len(S)):
        for q in sparse._runs[i, : sparse._kept[i]]:
            full[i, q * 64 : q * 64 + 64] = A[i, q * 64 : q * 64 + 64]
        used = sparse._used[i]
        full[i, sparse._columns[i, :used]] = sparse._chosen[2][i, :used]
    return full


# More columns than in a run, and more best ones in a row than there are slots.  The smaller the
# similarities, the more exceptions: none, a few runs of a row, all.
@pytest.mark.parametrize("scale", [10, 1, 0.1, 0.01])
@pytest.mark.parametrize(
    ("n", "iterations", "damping"), [(2, 9, 0.5), (40, 60, 0.5), (1100, 9, 0.8)]
)
def test_the_compiled_messages_are_those_of_the_array_verbs(n, iterations, damping, scale):
    S = -np.random.default_rng(n).exponential(scale, size=(n, n)).astype(np.float32)
    compiled = messages.Messages(S.copy(), damping)
    plain = propagation._Messages(S, damping)
    ours, theirs = passed(compiled, n, iterations), passed(plain, n, iterations)
    for values, expected in zip(
        (*ours, availabilities(compiled)), (*theirs, plain._matrices[2]), strict=True
    ):
        np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-5 * np.abs(S).max())
    assert compiled._used.max() > 8 or n == 2 or scale == 10
    compiled.restore()
    np.testing.assert_array_equal(compiled._matrices[0], S)


def test_runs_that_are_common_again_are_kept_no_longer():
    S = -np.random.default_rng(0).exponential(size=(200, 200)).astype(np.float32)
    sparse, total = messages.Messages(S, 0.5), np.zeros(200, np.float32)
    kept = []
    for iteration in range(60):
        # Columns that nobody wishes for have no exceptions, and the others are forgotten.
        total = sparse.given(total if iteration < 5 else np.full(200, 1e3, np.float32))(0, 200)
        kept.append(sparse._kept.sum())
    assert max(kept) > 0
    assert kept[-1] == 0


def test_an_order_has_all_rows_and_neighbours_side_by_side():
    X = make_blobs(1000, 3, centers=12, random_state=0)[0]
    order = numpy_engine.neighbours_side_by_side(X)
    np.testing.assert_array_equal(np.sort(order), np.arange(1000))
    apart, beside = (np.linalg.norm(np.diff(Z, axis=0), axis=1).mean() for Z in (X, X[order]))
    assert beside < 0.5 * apart
    assert numpy_engine.neighbours_side_by_side(np.empty((70, 0))).shape == (70,)


def test_similarities_keep_their_digits_far_from_the_origin_and_close_together():
    X = np.random.default_rng(0).standard_normal((300, 7)) + 100
    X[200:] = X[:100] + 1e-7 * X[100:200]
    S = np.empty((300, 300), np.float32)
    with row_mapper(np, 300) as over_rows:
        numpy_engine.fill(S, X - X.mean(axis=0), over_rows)
    exact = ((X[:, None, :] - X[None, :, :]) ** 2).sum(axis=2)
    np.testing.assert_allclose(S, -exact, rtol=1e-6)


@pytest.mark.parametrize("drawn", [0, 1, 2])
def test_the_noise_is_that_of_scikit_learn(drawn):
    ours, theirs = (np.random.RandomState(3) for _ in range(2))
    for random in (ours, theirs):
        random.standard_normal(drawn)  # the polar method keeps the second of a pair
    draw = numpy_engine._drawing(ours)
    rows = np.concatenate([draw((100, 411)), draw((200, 411))])
    np.testing.assert_allclose(rows, theirs.standard_normal(rows.shape), rtol=1e-6)


def test_noise_is_added_by_sample_whatever_their_order():
    order, preference = np.random.default_rng(0).permutation(300), np.arange(300, dtype=np.float32)
    similar = -np.random.default_rng(1).exponential(size=(300, 300)).astype(np.float32)
    S = similar[order][:, order]
    with numpy_engine.drawn_aside(np.random.RandomState(3), 300) as blocks:
        numpy_engine.add_noise(S, order, preference[order], blocks())
    limits = np.finfo(np.float32)
    np.fill_diagonal(similar, preference)
    noise = np.random.RandomState(3).standard_normal((300, 300))
    similar += ((limits.eps * similar + 100 * limits.tiny) * noise).astype(np.float32)
    ulps = np.abs(S.view(np.int32) - similar[order][:, order].view(np.int32))
    assert ulps.max() <= 1


def test_some_of_the_noise_is_all_that_is_held_beside_the_similarities():
    X = blobs(3000)
    AffinityPropagation().fit(X[:50])  # imports and compiled code are no matrices
    tracemalloc.start()  # does not count `untouched`
    with pytest.warns(ConvergenceWarning):
        AffinityPropagation(max_iter=2).fit(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.5 * 3000**2


def test_memory_for_availabilities_is_taken_where_they_are_kept():
    code = (
        "import resource; from gpuclust.algorithms.affinity.numpy_engine import untouched;"
        "rss = lambda: int(open('/proc/self/statm').read().split()[1]) * resource.getpagesize();"
        "before = rss(); A = untouched(10_000); A[::100, :64] = 1; print(rss() - before)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(run.stdout) < 8 << 20


def test_a_matrix_that_does_not_fit_is_out_of_memory():
    with pytest.raises(MemoryError, match="similarities of 1000000000 samples"):
        numpy_engine.untouched(10**9)


def test_compiled_code_is_found_again_by_the_next_process(tmp_path):
    code = (
        "import numpy as np; from gpuclust.algorithms.affinity import messages as a;"
        "S = np.zeros((3, 3), np.float32);"
        "a.Messages(S, 0.5).given(S[0].copy())(0, 3);"
        "print(sum(a._pass_rows.stats.cache_hits.values()))"
    )
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    run = [sys.executable, "-c", code]
    options = {"env": environment, "capture_output": True, "text": True, "check": True}
    assert [subprocess.run(run, **options).stdout.strip() for _ in range(2)] == ["0", "1"]


def test_where_nothing_can_be_written_code_is_compiled_all_the_same(monkeypatch):
    monkeypatch.setattr(numba.core.caching.CacheImpl, "_locator_classes", [])
    assert numpy_engine.compiled(lambda x: x + 1)(1) == 2


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
def test_an_input_that_is_no_finite_matrix_is_refused(xp, X):
    with pytest.raises(InputError, match="X"):
        AffinityPropagation().fit(xp.put(X))

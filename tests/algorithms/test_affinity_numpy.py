import os
import subprocess
import sys
import tracemalloc

import numba.core.caching
import numpy as np
import pytest
from sklearn.datasets import make_blobs
from sklearn.exceptions import ConvergenceWarning

from gpuclust.algorithms import AffinityPropagation
from gpuclust.algorithms.affinity import jit, noise, similarity
from gpuclust.arrays.indexing import row_mapper


def test_locality_order_holds_all_rows_with_near_ones_adjacent():
    X = make_blobs(1000, 3, centers=12, random_state=0)[0]
    order = similarity.locality_order(X)
    np.testing.assert_array_equal(np.sort(order), np.arange(1000))
    steps = [np.linalg.norm(np.diff(Z, axis=0), axis=1).mean() for Z in (X, X[order])]
    assert steps[1] < 0.5 * steps[0]
    assert similarity.locality_order(np.empty((70, 0))).shape == (70,)


def test_similarities_keep_their_digits_far_from_the_origin_and_close_together():
    X = np.random.default_rng(0).standard_normal((300, 7)) + 100
    X[200:] = X[:100] + 1e-7 * X[100:200]
    S = np.empty((300, 300), np.float32)
    with row_mapper(np, 300) as over_rows:
        similarity.fill(S, X - X.mean(axis=0), over_rows)
    exact = ((X[:, None, :] - X[None, :, :]) ** 2).sum(axis=2)
    np.testing.assert_allclose(S, -exact, rtol=1e-6)


@pytest.mark.parametrize("drawn", [0, 1, 2])
def test_the_noise_is_that_of_scikit_learn(drawn):
    ours, theirs = (np.random.RandomState(3) for _ in range(2))
    for random in (ours, theirs):
        random.standard_normal(drawn)  # the polar method holds the second number of a pair
    draw = noise.normal_sampler(ours)
    rows = np.concatenate([draw((100, 411)), draw((200, 411))])
    np.testing.assert_allclose(rows, theirs.standard_normal(rows.shape), rtol=1e-6)


def test_noise_belongs_to_the_pair_of_samples_in_any_order():
    order, preference = np.random.default_rng(0).permutation(300), np.arange(300, dtype=np.float32)
    expected = -np.random.default_rng(1).exponential(size=(300, 300)).astype(np.float32)
    S = expected[order][:, order]
    with noise.drawn_ahead(np.random.RandomState(3), 300) as blocks:
        noise.add_noise(S, order, preference[order], blocks())
    limits = np.finfo(np.float32)
    np.fill_diagonal(expected, preference)
    numbers = np.random.RandomState(3).standard_normal((300, 300))
    expected += ((limits.eps * expected + 100 * limits.tiny) * numbers).astype(np.float32)
    ulps = np.abs(S.view(np.int32) - expected[order][:, order].view(np.int32))
    assert ulps.max() <= 1


def test_less_than_the_whole_noise_is_in_memory_beside_the_similarities():
    X = make_blobs(3000, 6, centers=5, random_state=1)[0]
    AffinityPropagation().fit(X[:50])  # imports and compiled code take memory too
    tracemalloc.start()  # does not count memory mappings
    with pytest.warns(ConvergenceWarning):
        AffinityPropagation(max_iter=2).fit(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.5 * 3000**2


def test_an_empty_matrix_takes_memory_only_where_it_is_written():
    code = (
        "import resource; from gpuclust.algorithms.affinity.similarity import empty_matrix;"
        "rss = lambda: int(open('/proc/self/statm').read().split()[1]) * resource.getpagesize();"
        "before = rss(); A = empty_matrix(10_000); A[::100, :64] = 1; print(rss() - before)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(run.stdout) < 8 << 20


def test_a_matrix_that_does_not_fit_raises_memory_error():
    with pytest.raises(MemoryError, match="similarities of 1000000000 samples"):
        similarity.empty_matrix(10**9)


def test_compiled_code_is_found_again_by_the_next_process(tmp_path):
    code = (
        "import numpy as np; from gpuclust.algorithms.affinity import kernels, sparse_messages;"
        "S = np.zeros((3, 3), np.float32);"
        "sparse_messages.SparseMessages(S, 0.5).iteration(S[0].copy())(0, 3);"
        "print(sum(kernels.update_rows.stats.cache_hits.values()))"
    )
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    run = [sys.executable, "-c", code]
    options = {"env": environment, "capture_output": True, "text": True, "check": True}
    assert [subprocess.run(run, **options).stdout.strip() for _ in range(2)] == ["0", "1"]


def test_code_is_compiled_where_no_cache_can_be_written(monkeypatch):
    monkeypatch.setattr(numba.core.caching.CacheImpl, "_locator_classes", [])
    assert jit.compiled(lambda x: x + 1)(1) == 2

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse
import umap
from sklearn.datasets import load_digits, make_blobs
from sklearn.manifold import trustworthiness
from umap.layouts import optimize_layout_euclidean
from umap.umap_ import find_ab_params, make_epochs_per_sample

from gpuclust.algorithms.umap import UMAP, kernels, layout
from gpuclust.arrays.neighbors import kneighbors
from gpuclust.device import threads as device_threads
from gpuclust.errors import InputError

CURVE = find_ab_params(1.0, 0.0)


def fitted(X, n_components=2, *, n_neighbors=15, seed=0):
    reducer = UMAP(
        neighbors=kneighbors(X, n_neighbors, include_self=True),
        n_components=n_components,
        n_neighbors=n_neighbors,
        min_dist=0.0,
        metric="euclidean",
        random_state=seed,
    )
    return reducer.fit_transform(X)


def weighted_graph(n, seed=0, d=7):
    """Draw symmetric weights, the largest 1, and starting positions."""
    random = np.random.default_rng(seed)
    graph = scipy.sparse.random_array((n, n), density=0.2, rng=random, format="csr")
    graph = graph.maximum(graph.T).tocsr().astype(np.float32)
    graph.setdiag(0)
    graph.eliminate_zeros()
    graph.data /= graph.data.max()
    return graph, random.uniform(0, 10, (n, d)).astype(np.float32)


def in_blocks(monkeypatch, blocks):
    monkeypatch.setattr(layout, "_blocks", lambda n: blocks)


def on_threads(monkeypatch, threads):
    monkeypatch.setattr(device_threads, "cores", lambda: threads)
    monkeypatch.setattr(layout, "cores", lambda: threads)


# ---- the rule -----------------------------------------------------------------------------------


def test_without_pushes_one_block_moves_as_umap_learn_does(monkeypatch):
    graph, Z = weighted_graph(60)
    tabulate = kernels.tabulate

    def only_pulls(curve, alpha):
        forces = tabulate(curve, alpha)
        return forces._replace(push=0 * forces.push, near=np.float32(0), limit=np.float32(0))

    monkeypatch.setattr(kernels, "tabulate", only_pulls)
    in_blocks(monkeypatch, 1)
    n_epochs, edges = 6, graph.tocoo()
    due = make_epochs_per_sample(edges.data, n_epochs)
    # A rate at which no negative sample is due.
    how = {"negative_sample_rate": 1e-9, "move_other": True}
    state, theirs = np.arange(3, dtype=np.int64), Z.copy()
    ends = edges.row.astype(np.int32), edges.col.astype(np.int32)
    optimize_layout_euclidean(theirs, theirs, *ends, n_epochs, len(Z), due, *CURVE, state, **how)
    ours = layout.lay_out(Z, graph, curve=CURVE, n_epochs=n_epochs, seed=0)
    assert np.abs(theirs - Z).max() > 1
    # Tables are right to 3e-4, five times.
    np.testing.assert_allclose(ours, theirs, atol=0.01)


def drawn(seed, epoch, task, samples):
    """Yield the random numbers of a task, five at a time, computed with Python's integers."""
    top = 2**64 - 1
    state = seed + epoch * 0x9E3779B97F4A7C15 + task * 0xD1B54A32D192ED03 & top
    state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & top
    state = (state ^ state >> 27) * 0x94D049BB133111EB & top
    state ^= state >> 31
    while True:
        five = []
        for _ in range(5):
            state = state * 6364136223846793005 + 1442695040888963407 & top
            five.append((state >> 32) * samples >> 32)
        yield five


def moved(Z, i, j, five, old, push_in_turn):
    """Move Z for one edge, in float64 and with powers instead of tables."""
    a, b = CURVE

    def push(x, k):
        squared = ((x - old[k]) ** 2).sum()
        step = 2 * b / ((0.001 + squared) * (1 + a * squared**b)) * (x - old[k])
        return np.clip(step, -4, 4) if k != i else 0 * step

    squared = ((Z[i] - Z[j]) ** 2).sum()
    pull = 2 * a * b * squared ** (b - 1) / (1 + a * squared**b) * (Z[j] - Z[i])
    at_once = sum(push(Z[i], k) for k in five)
    in_turn = push_in_turn(min(np.linalg.norm(Z[i] - old[k]) if k != i else 0 for k in five))
    Z[i] += pull
    Z[j] -= pull
    if not in_turn:
        Z[i] += at_once
        return
    for k in five:
        Z[i] += push(Z[i], k)


# So near that some pushes are made in turn: in two dimensions, and in twenty, padded to 32.
@pytest.mark.parametrize(("blocks", "d", "spread"), [(1, 2, 1.0), (4, 20, 0.2)])
def test_an_epoch_moves_every_sample_by_the_rule(monkeypatch, blocks, d, spread):
    n, in_turn = 60, []
    # Pairs, because errors grow with every move that depends on others.
    graph = scipy.sparse.csr_array(np.roll(np.eye(n, dtype=np.float32), n // 2, axis=0))
    start = np.random.default_rng(0).uniform(0, spread, (n, d)).astype(np.float32)
    in_blocks(monkeypatch, blocks)
    # Of two epochs one moves samples, at learning rate 1, and all edges are due.
    ours = layout.lay_out(start, graph, curve=CURVE, n_epochs=2, seed=7)

    order, (bounds, heads, tails, _), _ = layout._scheduled(graph, blocks)
    Z = start[order].astype(np.float64)
    old, near = (
        (Z if blocks == 1 else Z.copy()),
        np.sqrt(float(kernels.tabulate(CURVE, 1.0).near)),
    )

    def push_in_turn(nearest):
        in_turn.append(nearest < near)
        return in_turn[-1]

    for task, (first, last) in enumerate(itertools.pairwise(bounds)):
        draws = drawn(7, 1, task, n)
        for e in range(first, last):
            moved(Z, heads[e], tails[e], next(draws), old, push_in_turn)
    assert 5 < sum(in_turn) < len(in_turn) - 5
    np.testing.assert_allclose(ours[order], Z, atol=0.01)


@pytest.mark.parametrize("blocks", [1, 8])
def test_edges_are_passed_once_and_no_sample_has_two_tasks_in_a_round(blocks):
    graph, _ = weighted_graph(90)
    order, (bounds, heads, tails, rates), rounds = layout._scheduled(graph, blocks)
    passed = scipy.sparse.coo_array((rates, (order[heads], order[tails])), shape=graph.shape)
    assert abs(passed.tocsr() - graph).max() == 0 and len(rates) == graph.nnz
    assert [first for first, _ in rounds] == [0, *(last for _, last in rounds[:-1])]
    assert rounds[-1][1] == len(bounds) - 1 and len(rounds) == blocks
    for first, last in rounds:
        tasks = [slice(bounds[t], bounds[t + 1]) for t in range(first, last)]
        samples = [np.union1d(heads[task], tails[task]) for task in tasks]
        assert len(np.unique(np.concatenate(samples))) == sum(map(len, samples))


def test_an_edge_is_due_in_the_epochs_in_which_umap_learn_takes_it():
    rates = np.random.default_rng(0).uniform(0.002, 1, 500).astype(np.float32)
    every, n_epochs = 1 / rates.astype(np.float64), 500
    upcoming, same = every.copy(), 0
    due = np.empty(len(rates) + 1, np.int64)
    for epoch in range(1, n_epochs):
        count = kernels.list_due(rates, (0, len(rates)), epoch, due)
        theirs = np.flatnonzero(upcoming <= epoch)
        upcoming[theirs] += every[theirs]
        same += np.array_equal(due[:count], theirs)
    # Where a float32 rounds over a whole number, the edge is due one epoch earlier or later.
    assert same > 0.98 * (n_epochs - 1)


@pytest.mark.parametrize("min_dist", [0.0, 0.1, 0.5, 1.0])
def test_tables_give_the_strengths_and_pulls_need_no_limit(min_dist):
    a, b = find_ab_params(1.0, min_dist)
    squared = np.geomspace(1e-6, 1e4, 300).astype(np.float32)
    forces = kernels.tabulate((a, b), 0.5)
    far, exact = a * squared.astype(np.float64) ** b, squared.astype(np.float64)
    pulls = np.array([kernels.look_up(forces.pull, value) for value in squared])
    pushes = np.array([kernels.look_up(forces.push, value) for value in squared])
    np.testing.assert_allclose(pulls, -b * far / exact / (1 + far), rtol=3e-4)
    np.testing.assert_allclose(pushes, b / (0.001 + exact) / (1 + far), rtol=3e-4)
    assert np.abs(2 * pulls * np.sqrt(exact)).max() < 1.3
    assert (2 * pushes * np.sqrt(exact))[exact > forces.near].max() < 4.001


# ---- the layout ---------------------------------------------------------------------------------


@pytest.mark.parametrize("n_components", [2, 20])
def test_one_seed_gives_the_same_bits_on_one_two_and_four_threads(
    monkeypatch, digits, n_components
):
    in_blocks(monkeypatch, 8)
    found = []
    for threads in (1, 2, 4):
        on_threads(monkeypatch, threads)
        found.append(fitted(digits.X, n_components))
    assert found[0].shape == (600, n_components) and found[0].dtype == np.float32
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_another_seed_gives_another_layout_and_so_does_none(digits):
    X = digits.X[:100]
    layouts = [fitted(X, seed=seed) for seed in (0, 1, None, None)]
    for k, one in enumerate(layouts):
        assert not any(np.array_equal(one, other) for other in layouts[:k])


@pytest.mark.parametrize(("n_components", "blocks"), [(2, 1), (2, 8), (50, 8)])
def test_digits_keep_their_neighbors_as_well_as_in_umap_learn(monkeypatch, n_components, blocks):
    X = load_digits().data[:900].astype(np.float32)
    in_blocks(monkeypatch, blocks)
    how = {"n_neighbors": 15, "min_dist": 0.0, "random_state": 0, "n_jobs": 1}
    theirs = umap.UMAP(n_components=n_components, **how).fit_transform(X)
    ours = fitted(X, n_components)
    kept = [trustworthiness(X, Z, n_neighbors=15) for Z in (ours, theirs)]
    assert kept[0] > kept[1] - 0.01
    # Of the size of umap-learn's layout: thresholds on heights depend on it.
    assert 0.7 < np.linalg.norm(ours.std(axis=0)) / np.linalg.norm(theirs.std(axis=0)) < 1.4


def test_duplicates_and_far_apart_groups_give_finite_layouts_that_keep_the_groups():
    X = make_blobs(60, 5, centers=1, random_state=0)[0].astype(np.float32)
    X = np.concatenate([X, X + 1000, np.repeat(X[:1], 30, axis=0)])
    for n_components in (2, 8):
        Z = fitted(X, n_components, n_neighbors=10)
        assert np.isfinite(Z).all()
        near = kneighbors(Z, 5)[1][60:120]
        assert ((near >= 60) & (near < 120)).mean() > 0.95


@pytest.mark.parametrize(("n_components", "start"), [(2, "pca"), (8, "random")])
def test_a_graph_in_many_parts_starts_without_eigenvectors(
    monkeypatch, caplog, n_components, start
):
    monkeypatch.setattr("gpuclust.algorithms.umap.start._MOST_COMPONENTS", 10)
    X, y = make_blobs(300, centers=30, n_features=6, cluster_std=0.01, random_state=0)
    X = X.astype(np.float32)
    with caplog.at_level("WARNING", logger="gpuclust"):
        Z = fitted(X, n_components, n_neighbors=5)
    assert f"connected components: UMAP starts from {start}" in caplog.text
    nearest = kneighbors(Z, 2, include_self=True)[1][:, 1]
    assert (y[nearest] == y).all()
    np.testing.assert_array_equal(Z, fitted(X, n_components, n_neighbors=5))


@pytest.mark.parametrize("n", [4, 5, 12])
def test_a_few_samples_have_a_finite_layout(n):
    X = np.random.default_rng(n).normal(size=(n, 3)).astype(np.float32)
    Z = fitted(X, 2, n_neighbors=3)
    assert Z.shape == (n, 2) and np.isfinite(Z).all()


def test_one_sample_stays_at_the_origin():
    reducer = UMAP(
        neighbors=(np.zeros((1, 1)), np.zeros((1, 1), np.int64)),
        n_components=3,
        n_neighbors=1,
        min_dist=0.0,
        metric="euclidean",
        random_state=0,
    )
    np.testing.assert_array_equal(reducer.fit_transform(np.ones((1, 4))), np.zeros((1, 3)))


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        (20, 10, r"n_neighbors=15 needs .* got 10\. Give more"),
        (19, 15, r"of 20 samples.*\(19, 15\)"),
    ],
)
def test_neighbors_that_do_not_fit_are_refused(rows, columns, message):
    X = np.random.default_rng(0).normal(size=(20, 3))
    distances, indices = kneighbors(X, columns, include_self=True)
    how = {"n_components": 2, "n_neighbors": 15, "min_dist": 0.0, "metric": "euclidean"}
    with pytest.raises(InputError, match=message):
        UMAP(neighbors=(distances[:rows], indices[:rows]), random_state=0, **how).fit_transform(X)


def test_a_new_process_finds_the_compiled_layout(tmp_path):
    code = """
import numpy as np, scipy.sparse
from gpuclust.algorithms.umap import kernels, layout
graph = scipy.sparse.csr_array(np.ones((9, 9), np.float32) - np.eye(9, dtype=np.float32))
Z = np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32)
layout.lay_out(Z, graph, curve=(1.9, 0.8), n_epochs=3, seed=0)
print(sum(kernels.move.stats.cache_hits.values()))
"""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    run = [sys.executable, "-c", code]
    options = {"env": environment, "capture_output": True, "text": True, "check": True}
    assert [subprocess.run(run, **options).stdout.strip() for _ in range(2)] == ["0", "1"]

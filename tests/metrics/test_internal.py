import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle
from sklearn.cluster import DBSCAN, KMeans
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from gpuclust import metrics
from gpuclust.arrays import METRICS
from gpuclust.errors import InputError, UnknownNameError


@pytest.fixture(scope="module")
def digits():
    X = load_digits(return_X_y=True)[0][:900]
    Z = PCA(8, random_state=0).fit_transform(X)
    label_sets = [
        KMeans(10, n_init=1, random_state=0).fit_predict(Z),
        KMeans(120, n_init=1, random_state=0).fit_predict(Z),
        DBSCAN(eps=9, min_samples=5).fit_predict(Z),
    ]
    assert (label_sets[2] == -1).any()
    return X, label_sets


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("dtype", "atol"), [(np.float64, 1e-9), (np.float32, 1e-5)])
def test_silhouettes_equal_scikit_learn_on_digits(digits, metric, dtype, atol):
    X, label_sets = digits
    ours = metrics.silhouette_scores(X.astype(dtype), label_sets, metric=metric)
    theirs = [oracle.silhouette_score(X, labels, metric=metric) for labels in label_sets]
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=atol)


def test_silhouettes_of_samples_equal_scikit_learn(digits):
    X, label_sets = digits
    ours = metrics.silhouette_scores(X, label_sets, samples=True)
    for s, labels in zip(ours, label_sets, strict=True):
        np.testing.assert_allclose(s, oracle.silhouette_samples(X, labels), rtol=0, atol=1e-9)


def test_block_size_does_not_change_the_silhouettes(digits):
    X, label_sets = digits
    whole = metrics.silhouette_scores(X, label_sets)
    blocked = metrics.silhouette_scores(X, label_sets, block_bytes=8 * 900 * 7)
    np.testing.assert_allclose(blocked, whole, rtol=1e-12)


@pytest.mark.parametrize("metric", METRICS)
def test_mask_drops_samples_as_if_they_were_not_there(digits, metric):
    X, label_sets = digits
    keep = label_sets[2] != -1
    masks = [None, keep, keep]
    ours = metrics.silhouette_scores(X, label_sets, metric=metric, masks=masks, samples=True)
    assert len(ours[0]) == len(X)
    for s, labels in zip(ours[1:], label_sets[1:], strict=True):
        theirs = oracle.silhouette_samples(X[keep], labels[keep], metric=metric)
        np.testing.assert_allclose(s, theirs, rtol=0, atol=1e-9)


def test_samples_dropped_by_all_label_sets_cost_no_distances(digits, monkeypatch):
    X, label_sets = digits
    keeps = [np.arange(len(X)) % 9 == 0, np.arange(len(X)) % 9 <= 1]
    seen = []
    blocks = metrics.internal.distances.distance_blocks

    def spy(X, **options):
        seen.append(X.shape[0])
        return blocks(X, **options)

    monkeypatch.setattr(metrics.internal.distances, "distance_blocks", spy)
    ours = metrics.silhouette_scores(X, [label_sets[0]] * 2, masks=keeps)
    assert seen == [200]
    theirs = [oracle.silhouette_score(X[keep], label_sets[0][keep]) for keep in keeps]
    np.testing.assert_allclose(ours, theirs, atol=1e-9)


def test_float32_far_from_the_origin_keeps_its_digits():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 100)
    X = (rng.normal(size=(300, 5)) + 3 * labels[:, None] + 1e4).astype(np.float32)
    # scikit-learn gets the same rounded points in float64.
    theirs = oracle.silhouette_score(X.astype(np.float64) - 1e4, labels)
    assert metrics.silhouette_scores(X, [labels])[0] == pytest.approx(theirs, abs=1e-5)


def test_long_float32_sums_do_not_lose_digits():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(9000, 2)).astype(np.float32)  # three runs of columns
    labels = (X[:, 0] > 0.5).astype(int)
    theirs = oracle.silhouette_score(X.astype(np.float64), labels)
    assert metrics.silhouette_scores(X, [labels])[0] == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize("labels", [[0] * 6, [-1] * 6, list(range(6))])
def test_undefined_silhouette_is_nan_and_spoils_no_other(labels):
    X = np.arange(12.0).reshape(6, 2) ** 2
    good = [0, 0, 0, 1, 1, 2]
    scores = metrics.silhouette_scores(X, [labels, good])
    assert math.isnan(scores[0])
    assert scores[1] == pytest.approx(oracle.silhouette_score(X, good), abs=1e-12)
    first, second = metrics.silhouette_scores(X, [labels, good], samples=True)
    assert first.shape == (6,) and np.isnan(first).all()
    assert np.isfinite(second).all()


@pytest.mark.parametrize("n", [0, 1])
def test_silhouette_of_no_or_one_sample_is_nan(n):
    assert np.isnan(metrics.silhouette_scores(np.zeros((n, 3)), [np.zeros(n, dtype=int)])).all()


def test_mask_that_keeps_nothing_gives_nan():
    keep = np.zeros(4, dtype=bool)
    scores = metrics.silhouette_scores(np.eye(4), [[0, 0, 1, 1]], masks=[keep], samples=True)
    assert scores[0].shape == (0,)
    assert math.isnan(metrics.silhouette_scores(np.eye(4), [[0, 0, 1, 1]], masks=[keep])[0])


def test_no_label_sets_give_no_scores():
    assert metrics.silhouette_scores(np.eye(4), []) == []


def test_singletons_and_duplicates_count_zero_as_in_scikit_learn():
    X = np.array([[0.0, 0], [0, 0], [0, 0], [0, 0], [3, 4]])
    labels = [0, 0, 1, 1, 2]
    s = metrics.silhouette_scores(X, [labels], samples=True)[0]
    np.testing.assert_array_equal(s, np.zeros(5))
    np.testing.assert_array_equal(oracle.silhouette_samples(X, labels), s)


@pytest.mark.parametrize("metric", METRICS)
def test_silhouettes_are_computed_on_the_device_of_x(device_xp, digits, metric):
    X, label_sets = digits[0][:150], [labels[:150] for labels in digits[1]]
    keep = label_sets[2] != -1
    expected = metrics.silhouette_scores(X, label_sets, metric=metric, masks=[None, None, keep])
    there, on_device = device_xp.put(X), [device_xp.put(labels) for labels in label_sets]
    masks = [None, None, on_device[2] != -1]
    ours = metrics.silhouette_scores(there, on_device, metric=metric, masks=masks)
    np.testing.assert_allclose(ours, expected, rtol=1e-9)
    from_host = metrics.silhouette_scores(there, label_sets[:2], metric=metric)
    np.testing.assert_allclose(from_host, expected[:2], rtol=1e-9)
    to_host = metrics.silhouette_scores(X, on_device, metric=metric, masks=masks)
    np.testing.assert_allclose(to_host, expected, rtol=1e-9)


def test_silhouettes_of_samples_stay_on_the_device(device_xp, digits):
    X, labels = digits[0][:150], digits[1][2][:150]
    keep = labels != -1
    there = (device_xp.put(X), [device_xp.put(labels)], device_xp.put(keep))
    ours = metrics.silhouette_scores(there[0], there[1], masks=[there[2]], samples=True)[0]
    theirs = oracle.silhouette_samples(X[keep], labels[keep])
    np.testing.assert_allclose(device_xp.get(ours), theirs, rtol=0, atol=1e-9)


def test_labels_from_the_host_may_be_strings_on_any_device(xp):
    X = xp.put(np.array([[0.0], [1], [5], [6]]))
    expected = oracle.silhouette_score([[0.0], [1], [5], [6]], [0, 0, 1, 1])
    ours = metrics.silhouette_scores(X, [["a", "a", "b", "b"]])
    assert ours == [pytest.approx(expected, rel=1e-12)]


def test_encoded_labels_score_as_the_labels(xp, digits):
    X, labels = digits[0][:150], digits[1][2][:150]
    keep = labels != -1
    encoded = metrics.label_set(xp.put(X), xp.put(labels), mask=xp.put(keep))
    np.testing.assert_array_equal(xp.get(encoded.labels)[~keep], -1)
    np.testing.assert_array_equal(xp.get(encoded.counts), np.unique_counts(labels[keep]).counts)
    assert (encoded.kept, encoded.k) == (keep.sum(), len(np.unique(labels[keep])))
    expected = metrics.silhouette_scores(X, [labels], masks=[keep])
    np.testing.assert_allclose(metrics.silhouette_scores(xp.put(X), [encoded]), expected, rtol=1e-9)


def test_encoded_labels_take_no_mask_and_no_other_representation():
    encoded = metrics.label_set(np.eye(4), [0, 0, 1, 1])
    with pytest.raises(InputError, match="encoded already"):
        metrics.silhouette_scores(np.eye(4), [encoded], masks=[np.ones(4, dtype=bool)])
    with pytest.raises(InputError, match=r"labels has shape \(4,\) and X has 5 rows"):
        metrics.silhouette_scores(np.eye(5), [encoded])


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(st.integers(-5, 5), st.integers(-5, 5), st.integers(-1, 3)),
        min_size=3,
        max_size=25,
    ),
    st.sampled_from(METRICS),
    st.randoms(use_true_random=False),
)
def test_order_of_samples_and_names_of_clusters_do_not_matter(rows, metric, random):
    X, labels = np.array(rows, dtype=float)[:, :2], np.array(rows)[:, 2]
    order = random.sample(range(len(X)), len(X))
    before = metrics.silhouette_scores(X, [labels], metric=metric)
    after = metrics.silhouette_scores(X[order], [7 - labels[order]], metric=metric)
    assert metrics.is_defined(labels) == np.isfinite(before[0])
    # Cosine distances of parallel vectors are 0 or 1e-16, and ratios of these are arbitrary.
    if metric != "cosine":
        np.testing.assert_allclose(after, before, atol=1e-9)
        if metrics.is_defined(labels):
            theirs = oracle.silhouette_score(X, labels, metric=metric)
            np.testing.assert_allclose(before[0], theirs, atol=1e-6)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [([], False), ([0], False), ([0, 0], False), ([0, 1], False), ([0, 1, 1], True)],
)
def test_scores_exist_from_two_clusters_to_one_less_than_samples(labels, expected):
    assert metrics.is_defined(labels) is expected


@pytest.mark.parametrize(
    ("X", "labels", "masks", "says"),
    [
        (np.eye(3), [0, 1], None, r"labels has shape \(2,\)"),
        (np.eye(3), [0, 0, 1], [[1, 1, 0]], "mask has dtype int64"),
        (np.eye(3), [0, 0, 1], [[True]], r"shape \(1,\)"),
        (np.eye(3), [0, 0, 1], [None, None], "2 masks for 1 label sets"),
        (np.ones(3), [0, 0, 1], None, r"X has shape \(3,\)"),
        (np.full((3, 1), np.nan), [0, 0, 1], None, "NaN"),
    ],
)
def test_bad_input_raises_and_the_error_shows_it(X, labels, masks, says):
    with pytest.raises(InputError, match=says):
        metrics.silhouette_scores(X, [labels], masks=masks)


def test_an_unknown_metric_raises_and_suggests_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'euclidean'"):
        metrics.silhouette_scores(np.eye(3), [[0, 0, 1]], metric="euclidian")


def test_import_of_metrics_brings_no_heavy_library():
    code = (
        "import sys, gpuclust.metrics;"
        "sys.exit(sum(m in sys.modules for m in ('sklearn', 'torch', 'pandas', 'scipy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn import metrics as oracle
from sklearn.cluster import DBSCAN, KMeans
from sklearn.datasets import load_digits

from gpuclust import metrics
from gpuclust.device import block_size
from gpuclust.errors import InputError, UnknownNameError

SCORES = ("calinski_harabasz", "davies_bouldin")


def theirs(X, labels):
    """Return scikit-learn's two scores of the same points in float64."""
    X = X.astype(np.float64)
    return [
        oracle.calinski_harabasz_score(X, labels),
        oracle.davies_bouldin_score(X, labels),
    ]


def ours(X, labels, **how):
    return [score[0] for score in metrics.dispersion_scores(X, [labels], **how).values()]


@pytest.fixture(scope="module")
def digits():
    X = load_digits(return_X_y=True)[0][:900]
    label_sets = [
        KMeans(10, n_init=1, random_state=0).fit_predict(X),
        KMeans(120, n_init=1, random_state=0).fit_predict(X),
        DBSCAN(eps=20, min_samples=5).fit_predict(X),
    ]
    assert (label_sets[2] == -1).any() and (label_sets[2] >= 0).any()
    return X, label_sets


@pytest.fixture(scope="module")
def fashion():
    with np.load(Path(__file__).parents[1] / "data" / "fashionmnist-300.npz") as data:
        return data["X"].astype(np.float64), data["y"].astype(np.int64)


def tolerance(dtype):
    return 1e-5 if dtype == np.float32 else 1e-9


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scores_are_scikit_learns_on_digits(xp, digits, dtype):
    X, label_sets = digits[0].astype(dtype), digits[1]
    found = metrics.dispersion_scores(xp.put(X), [xp.put(labels) for labels in label_sets])
    expected = np.array([theirs(X, labels) for labels in label_sets]).T
    np.testing.assert_allclose([found[score] for score in SCORES], expected, tolerance(dtype))
    assert {type(value) for values in found.values() for value in values} == {float}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k", [2, 10, 60])
def test_scores_are_scikit_learns_on_embeddings(xp, fashion, dtype, k):
    X, y = fashion[0].astype(dtype), fashion[1]
    labels = y if k == 10 else np.arange(300) % k
    found = ours(xp.put(X), xp.put(labels))
    np.testing.assert_allclose(found, theirs(X, labels), tolerance(dtype))


def test_a_mask_drops_samples_as_if_they_were_not_there(xp, digits):
    X, label_sets = digits
    keep = label_sets[2] != -1
    wild = X.copy()
    wild[~keep] = np.nan  # dropped by the only label set, so never read
    masks = [None, xp.put(keep), xp.put(keep)]
    found = metrics.dispersion_scores(
        xp.put(X), [xp.put(labels) for labels in label_sets], masks=masks
    )
    for i, keeps in enumerate([keep | True, keep, keep]):
        expected = theirs(X[keeps], label_sets[i][keeps])
        np.testing.assert_allclose([found[score][i] for score in SCORES], expected, 1e-9)
    alone = ours(xp.put(wild), xp.put(label_sets[2]), masks=[xp.put(keep)])
    np.testing.assert_allclose(alone, theirs(X[keep], label_sets[2][keep]), 1e-9)


@pytest.mark.parametrize("score", SCORES)
def test_a_single_score_is_that_of_the_pass_over_all(digits, score):
    X, label_sets = digits
    keep = label_sets[2] != -1
    found = getattr(metrics, f"{score}_score")(X, label_sets[2], mask=keep)
    assert found == metrics.dispersion_scores(X, [label_sets[2]], masks=[keep])[score][0]
    assert list(metrics.dispersion_scores(X, label_sets, scores=[score])) == [score]


def blobs(n=400, d=6, k=5, dtype=np.float64):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, k, n)
    return (rng.normal(size=(n, d)) + 3 * rng.normal(size=(k, d))[labels]).astype(dtype), labels


@pytest.mark.parametrize("offset", [1e4, 1e6])
def test_samples_far_from_the_origin_keep_their_digits(xp, offset):
    X, labels = blobs()
    X = (X + offset).astype(np.float32)
    # scikit-learn gets the same rounded points near the origin, because its distances between
    # centroids are matrix products and lose digits far away.
    expected = theirs(X.astype(np.float64) - offset, labels)
    np.testing.assert_allclose(ours(xp.put(X), xp.put(labels)), expected, 1e-8)


def test_features_of_very_different_scales_are_scikit_learns(xp):
    X, labels = blobs()
    X *= [1, 1, 1, 1, 1e3, 1e6]
    np.testing.assert_allclose(ours(xp.put(X), xp.put(labels)), theirs(X, labels), 1e-9)


def test_singletons_and_duplicates_are_scikit_learns(xp):
    X, labels = blobs(n=60)
    labels[:5] = np.arange(100, 105)  # singletons
    X = np.concatenate([X, X[:20], X[:20]])
    labels = np.concatenate([labels, labels[:20], labels[20:40]])
    np.testing.assert_allclose(ours(xp.put(X), xp.put(labels)), theirs(X, labels), 1e-9)


@pytest.mark.parametrize("value", [0.0, 1.0, 0.1, 1e4 + 1 / 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equal_rows_have_no_dispersion(xp, value, dtype):
    # Rounding makes scikit-learn's result for 0.1 differ from that for 1.0.
    X = xp.put(np.full((600, 3), value, dtype=dtype))
    assert ours(X, xp.put(np.arange(600) % 7)) == [1.0, 0.0]


@pytest.mark.parametrize("points", [[1.0, 3.0, 8.0], [0.1, 0.7, 1e3 / 3]])
def test_clusters_of_equal_rows_have_no_scatter(xp, points):
    labels = np.arange(700) % 3
    X = np.array(points)[labels][:, None] * [1.0, -2.0]
    assert ours(xp.put(X), xp.put(labels)) == [1.0, 0.0]


def test_coincident_centroids_are_ignored_as_in_scikit_learn(xp):
    # The first two clusters share their centroid, the third does not.
    X = np.array([[1.0, 0], [-1, 0], [0, 2], [0, -2], [9, 0], [9, 1]])
    labels = np.array([0, 0, 1, 1, 2, 2])
    np.testing.assert_allclose(ours(xp.put(X), xp.put(labels)), theirs(X, labels), 1e-12)


def test_centroids_that_coincide_but_for_rounding_coincide(xp):
    rng = np.random.default_rng(0)
    half = rng.normal(size=(150, 4))
    X = np.concatenate([half, half, half + 9, half - 9])
    labels = np.repeat([0, 1, 2, 3], 150)
    order = rng.permutation(600)  # sums in another order round differently
    found = metrics.davies_bouldin_score(xp.put(X[order]), xp.put(labels[order]))
    spread = np.linalg.norm(half - half.mean(axis=0), axis=1).mean()
    assert found == pytest.approx(2 * spread / np.linalg.norm([9] * 4), rel=1e-9)


def test_all_centroids_in_one_place_give_zero_as_in_scikit_learn(xp):
    X = np.array([[1.0, 0], [-1, 0], [0, 2], [0, -2]])
    labels = np.array([0, 0, 1, 1])
    assert theirs(X, labels)[1] == 0.0
    assert ours(xp.put(X), xp.put(labels)) == [0.0, 0.0]


@pytest.mark.parametrize("exponent", [-1060, -500, -40, 40, 500, 1010])
def test_dispersion_does_not_depend_on_the_unit(xp, exponent):
    X, labels = blobs()
    rtol = 1e-2 if exponent == -1060 else 1e-9  # denormal numbers have few digits
    found = ours(xp.put(np.ldexp(X, exponent)), xp.put(labels))
    # scikit-learn's score of Davies and Bouldin is 0 for all distances below 1e-8.
    np.testing.assert_allclose(found, theirs(X, labels), rtol)


def test_close_centroids_far_from_each_others_cluster_keep_their_digits(xp):
    # scikit-learn's products of centroids have a relative error of 1e-16 * 1e6 / 1e-6 here.
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(200, 3))
    X = np.concatenate([noise, noise + 1e-3, noise + 1e3])
    labels = np.repeat([0, 1, 2], 200)
    centroids = np.stack([X[labels == one].mean(axis=0) for one in range(3)])
    spreads = [np.linalg.norm(X[labels == one] - centroids[one], axis=1).mean() for one in range(3)]
    D = cdist(centroids, centroids) + np.diag([np.inf] * 3)
    expected = np.mean([(np.add.outer(spreads, spreads) / D).max(axis=1)])
    found = metrics.davies_bouldin_score(xp.put(X), xp.put(labels))
    assert found == pytest.approx(expected, rel=1e-9)


def test_blocks_do_not_change_the_scores(xp, digits):
    X, label_sets = digits[0][:200], [labels[:200] for labels in digits[1]]
    sets = [xp.put(labels) for labels in label_sets]
    whole = metrics.dispersion_scores(xp.put(X), sets)
    with block_size.smaller_blocks(1e-9):
        blocked = metrics.dispersion_scores(xp.put(X), sets)
    for score in SCORES:
        np.testing.assert_allclose(blocked[score], whole[score], 1e-12)


@pytest.mark.parametrize("labels", [[0, 0, 0, 0], [0, 1, 2, 3], [-1, -1, -1, -1]])
def test_an_undefined_score_is_nan_and_spoils_no_other(xp, labels):
    X, good = xp.put(np.eye(4)), xp.put(np.array([0, 0, 1, 1]))
    for values in metrics.dispersion_scores(X, [xp.put(np.array(labels)), good]).values():
        assert math.isnan(values[0]) and math.isfinite(values[1])


def test_no_label_sets_have_no_scores():
    assert metrics.dispersion_scores(np.eye(4), []) == {score: [] for score in SCORES}


def test_integer_points_and_string_labels_are_accepted():
    X, labels = np.array([[0], [1], [5], [6]]), ["a", "a", "b", "b"]
    np.testing.assert_allclose(ours(X, labels), theirs(X, labels), 1e-12)


@pytest.mark.parametrize(
    ("X", "labels", "mask", "says"),
    [
        (np.eye(3), [0, 1], None, r"labels has shape \(2,\)"),
        (np.eye(3), [0, 0, 1], [1, 1, 0], "mask has dtype int64"),
        (np.ones(3), [0, 0, 1], None, r"X has shape \(3,\)"),
        (np.full((3, 1), np.nan), [0, 0, 1], None, "NaN"),
    ],
)
def test_bad_input_raises_and_the_error_shows_it(X, labels, mask, says):
    with pytest.raises(InputError, match=says):
        metrics.davies_bouldin_score(X, labels, mask=mask)


def test_an_unknown_score_raises_and_suggests_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'davies_bouldin'"):
        metrics.dispersion_scores(np.eye(3), [[0, 0, 1]], scores=["davis_bouldin"])


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(-5, 5), st.integers(-5, 5), st.integers(-1, 3)),
        min_size=3,
        max_size=25,
    ),
    st.randoms(use_true_random=False),
)
def test_small_grids_are_scikit_learns_in_any_order(rows, random):
    X, labels = np.array(rows, dtype=float)[:, :2], np.array(rows)[:, 2]
    order = random.sample(range(len(X)), len(X))
    before, after = ours(X, labels), ours(X[order], 7 - labels[order])
    assert metrics.is_defined(labels) == np.isfinite(before).all()
    np.testing.assert_allclose(after, before, rtol=1e-9, atol=1e-12)
    if metrics.is_defined(labels):
        assert before[0] == pytest.approx(theirs(X, labels)[0], rel=1e-9, abs=1e-9)

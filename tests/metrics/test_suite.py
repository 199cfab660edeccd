import array_api_strict
import numpy as np
import pytest
from sklearn import metrics as oracle
from sklearn.cluster import HDBSCAN, KMeans

from gpuclust.errors import UnknownNameError
from gpuclust.metrics import suite


@pytest.fixture(scope="module")
def label_sets(digits):
    noisy = HDBSCAN(min_cluster_size=5, copy=True).fit_predict(digits.X)
    assert 0 < (noisy == -1).mean() < 1
    return [KMeans(10, n_init=1, random_state=0).fit_predict(digits.X), noisy]


def test_every_score_of_a_unit_is_scikit_learns(digits, label_sets):
    X, y = digits.X.astype(np.float64), digits.y
    Z = X[:, :10].copy()
    scored = suite.score_all(label_sets, X=X, Z=Z, y=y, names=suite.ALL)
    for labels, (scores, undefined) in zip(label_sets, scored, strict=True):
        assert not undefined
        for keep, suffix in ((labels == labels, ""), (labels != -1, "_clustered")):
            truth, found = y[keep], labels[keep]
            expected = {
                "ami": oracle.adjusted_mutual_info_score(truth, found),
                "nmi": oracle.normalized_mutual_info_score(truth, found),
                "ari": oracle.adjusted_rand_score(truth, found),
                "fmi": oracle.fowlkes_mallows_score(truth, found),
                "homogeneity": oracle.homogeneity_score(truth, found),
                "completeness": oracle.completeness_score(truth, found),
                "v_measure": oracle.v_measure_score(truth, found),
            }
            for name, array in (("original", X), ("reduced", Z), ("fitted", Z)):
                kept = array[keep]
                expected[f"calinski_harabasz_{name}"] = oracle.calinski_harabasz_score(kept, found)
                expected[f"davies_bouldin_{name}"] = oracle.davies_bouldin_score(kept, found)
                for metric in suite.SILHOUETTES:
                    expected[f"silhouette_{metric}_{name}"] = oracle.silhouette_score(
                        kept, found, metric={"l1": "manhattan"}.get(metric, metric)
                    )
            for name, value in expected.items():
                assert scores[name + suffix] == pytest.approx(value, rel=1e-9, abs=1e-9), name


@pytest.fixture(scope="module")
def unit(digits, label_sets):
    """A small unit with clusterings: plain, noisy, one cluster, all noise, all singletons."""
    X, n = digits.X[:150].astype(np.float64), 150
    sets = [labels[:n] for labels in label_sets]
    sets += [np.zeros(n, dtype=np.int64), np.full(n, -1), np.arange(n), np.arange(n) % 3 - 1]
    return {"X": X, "Z": X[:, :10].copy(), "y": digits.y[:n]}, sets


def assert_same(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        assert list(ours.scores) == list(theirs.scores)
        assert ours.undefined == theirs.undefined
        for name, value in theirs.scores.items():
            same = None if value is None else pytest.approx(value, rel=1e-9, abs=1e-12)
            assert ours.scores[name] == same, name
            assert type(ours.scores[name]) in (float, int, type(None)), "ready for JSON"


@pytest.mark.parametrize("names", ["DEFAULT", "ALL", "EXTERNAL"])
@pytest.mark.parametrize("without", [None, "truth", "reduction"])
def test_a_unit_on_a_device_gets_the_scores_of_numpy(device_xp, unit, names, without):
    arrays, sets = unit
    names = getattr(suite, names)
    there = {name: device_xp.put(array) for name, array in arrays.items()}
    if without == "truth":
        arrays, there = ({**given, "y": None} for given in (arrays, there))
    elif without == "reduction":
        arrays, there = ({**given, "Z": given["X"]} for given in (arrays, there))
    here = suite.score_all(sets, **arrays, names=names)
    found = suite.score_all([device_xp.put(one) for one in sets], **there, names=names)
    assert_same(found, here)


def test_labels_from_the_host_are_scored_on_the_device_of_the_embedding(device_xp, unit):
    arrays, sets = unit
    there = {name: device_xp.put(array) for name, array in arrays.items()}
    here = suite.score_all(sets, **arrays, names=suite.DEFAULT)
    found = suite.score_all(sets, **there, names=suite.DEFAULT)
    assert_same(found, here)


def test_the_host_waits_no_more_often_for_more_clusters(digits, monkeypatch):
    """The host waits for the device with each scalar or array copied to it."""
    there = {
        name: array_api_strict.asarray(array, device=array_api_strict.Device("device1"))
        for name, array in (("X", digits.X), ("Z", digits.X[:, :10].copy()), ("y", digits.y))
    }
    waits = []
    kind = type(there["X"])
    for name in ("__bool__", "__int__", "__float__", "__index__", "__dlpack__"):
        original = getattr(kind, name)
        monkeypatch.setattr(
            kind, name, lambda *a, f=original, **k: waits.append(f.__name__) or f(*a, **k)
        )
    counts = []
    for k in (4, 40):
        waits.clear()
        labels = array_api_strict.asarray(np.arange(600) % k - 1, device=there["X"].device)
        suite.score_all([labels], **there, names=suite.ALL)
        counts.append(len(waits))
    assert counts[0] == counts[1]
    assert counts[0] < 60, "84 scores, 7 passes over distances"


def test_a_clustered_score_is_not_computed_again_where_nothing_is_unclustered(
    digits, label_sets, monkeypatch
):
    seen = []
    original = suite.silhouette_scores

    def counting(X, sets, **how):
        seen.append(len(sets))
        return original(X, sets, **how)

    monkeypatch.setattr(suite, "silhouette_scores", counting)
    names = ("silhouette_euclidean_original",)
    suite.score_all(label_sets, X=digits.X, Z=digits.X, y=None, names=names)
    assert seen == [3], "one pass: two label sets, and the clustered part of the noisy one"


def test_the_same_representation_is_scored_once(digits, label_sets, monkeypatch):
    calls = []
    original = suite.silhouette_scores
    monkeypatch.setattr(
        suite, "silhouette_scores", lambda *a, **k: calls.append(1) or original(*a, **k)
    )
    names = suite.resolve(["silhouette_euclidean"])
    (first, _) = suite.score_all(label_sets, X=digits.X, Z=digits.X, y=None, names=names)
    assert len(calls) == 1
    assert first.scores["silhouette_euclidean_original"] == pytest.approx(
        first.scores["silhouette_euclidean_reduced"], abs=0
    )


def test_without_truth_the_external_scores_are_absent_not_zero(digits, label_sets):
    (first, _) = suite.score_all(label_sets, X=digits.X, Z=digits.X, y=None, names=suite.DEFAULT)
    assert "ami" not in first.scores
    assert first.scores["silhouette_euclidean_original"] > 0


def test_all_noise_has_no_clustered_scores_and_says_why(digits):
    labels = np.full(600, -1)
    (result,) = suite.score_all([labels], X=digits.X, Z=digits.X, y=digits.y, names=suite.DEFAULT)
    assert result.scores["n_clusters"] == 0
    assert result.scores["share_clustered"] == 0
    assert result.scores["ami"] == 0
    assert result.scores["ami_clustered"] is None
    assert result.undefined["ami_clustered"] == "no sample is clustered"
    assert result.scores["silhouette_euclidean_original"] is None
    assert "all 600 samples are unclustered" in result.undefined["silhouette_euclidean_original"]


@pytest.mark.parametrize(
    ("k", "reason"),
    [(1, "all 600 samples are in one cluster"), (600, "got 600 labels of 600 samples")],
)
def test_one_cluster_and_as_many_as_samples_have_no_internal_scores(digits, k, reason):
    labels = np.arange(600) % k
    (result,) = suite.score_all([labels], X=digits.X, Z=digits.X, y=digits.y, names=suite.DEFAULT)
    assert result.scores["calinski_harabasz_reduced"] is None
    assert reason in result.undefined["silhouette_cosine_reduced"]
    assert result.scores["ami"] == pytest.approx(0, abs=1e-12)


def test_the_reason_of_a_clustered_score_counts_clustered_samples_only(digits):
    labels = np.where(np.arange(600) < 590, -1, 3)
    names = ("davies_bouldin_original",)
    (result,) = suite.score_all([labels], X=digits.X, Z=digits.X, y=None, names=names)
    assert result.scores["davies_bouldin_original"] > 0
    reason = result.undefined["davies_bouldin_original_clustered"]
    assert reason.endswith("all 10 clustered samples are in one cluster")


def test_a_score_beyond_float64_is_not_blamed_on_the_number_of_clusters(digits, monkeypatch):
    monkeypatch.setattr(suite, "silhouette_scores", lambda X, sets, **how: [np.inf] * len(sets))
    names = ("silhouette_l1_original",)
    (result,) = suite.score_all([digits.y], X=digits.X, Z=digits.X, y=None, names=names)
    assert "not a finite number" in result.undefined["silhouette_l1_original"]


def test_groups_expand_in_a_fixed_order_and_slow_scores_are_opt_in():
    assert suite.resolve(["nmi", "ami"]) == ("ami", "nmi")
    assert set(suite.resolve(["default"])) == set(suite.DEFAULT)
    assert not any("l1" in name or "chebyshev" in name for name in suite.DEFAULT)
    assert suite.resolve(["silhouette_l1"]) == ("silhouette_l1_original", "silhouette_l1_reduced")


def test_an_unknown_metric_suggests_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'silhouette_cosine'"):
        suite.resolve(["silhouete_cosine"])


def test_names_of_scores_keep_their_order_because_result_keys_hash_it():
    measures = (
        "calinski_harabasz",
        "davies_bouldin",
        "silhouette_euclidean",
        "silhouette_cosine",
        "silhouette_l1",
        "silhouette_chebyshev",
    )
    external = (
        *("ami", "ami_true", "nmi", "ari", "fmi"),
        *("homogeneity", "completeness", "v_measure", "purity", "accuracy"),
    )
    every = [f"{one}_{where}" for one in measures for where in ("original", "reduced", "fitted")]
    usual = [f"{one}_{where}" for one in measures[:4] for where in ("original", "reduced")]
    assert list(suite.ALL) == [*external, *every]
    assert list(suite.DEFAULT) == [*external, *usual]


def test_the_table_of_scores_describes_each_name():
    assert suite.SCORES["ami"] == suite.Score("ami", "external")
    assert suite.SCORES["silhouette_l1_fitted"] == suite.Score(
        "silhouette_l1", "silhouette", metric="l1", representation="fitted"
    )
    smaller = {score.measure for score in suite.SCORES.values() if score.smaller_is_better}
    assert smaller == {"davies_bouldin"}


def test_the_score_of_a_column_is_found_for_both_variants():
    for column in ("davies_bouldin_reduced", "davies_bouldin_reduced_clustered"):
        assert suite.score_of(column) is suite.SCORES["davies_bouldin_reduced"]
    assert suite.score_of("n_clusters") is None


def test_external_scores_use_the_labelled_samples_only():
    X = np.arange(12.0).reshape(6, 2)
    y, labels = np.array([0, 0, 1, 1, 9, 9]), np.array([0, 0, 1, 1, 0, -1])
    labelled = y != 9
    (scored,) = suite.score_all([labels], X=X, Z=X, y=y, names=["ari", "ami"], labelled=labelled)
    assert scored.scores["ari"] == scored.scores["ari_clustered"] == 1
    assert scored.scores["share_clustered"] == 5 / 6
    noise = np.where(labelled, -1, 0)
    (scored,) = suite.score_all([noise], X=X, Z=X, y=y, names=["ari"], labelled=labelled)
    assert scored.scores["ari_clustered"] is None
    assert scored.undefined["ari_clustered"] == "no clustered sample has a label"

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score as their_rand_score

from gpuclust.errors import InputError
from gpuclust.metrics import (
    adjusted_mutual_info_score,
    adjusted_rand_score,
    davies_bouldin_score,
    external_scores,
    is_defined,
    silhouette_scores,
)

TRUTH = [0, 0, 1, 1, 2, 2]
X = np.random.default_rng(0).normal(size=(6, 3))
NAN = float("nan")
MISSING = {
    "None among objects": np.array(["a", "a", None, "b", "c", "c"], object),
    "None only": [None] * 6,
    "NaN among objects": np.array(["a", "a", NAN, "b", "c", "c"], object),
    "NaN in a list of text": ["a", "a", NAN, "b", "c", "c"],
    "NaN among objects that are numbers": np.array([1.0, 1.0, NAN, 2, 3, 3], object),
    "NaN among numbers": [0, 0, NAN, 1, 2, 2],
    "text of pandas": pd.Series(["a", "a", None, "b", "c", "c"], dtype="string"),
    "integers of pandas": pd.Series([1, 1, None, 2, 3, 3], dtype="Int64"),
    "booleans of pandas": pd.Series([True, None, False, False, True, True], dtype="boolean"),
    "categories of pandas": pd.Categorical(["x", "x", None, "y", "z", "z"]),
    "NaT among dates": np.array(["2020", "2020", "NaT", "2021", "2022", "2022"], "M8[D]"),
    "NaT among objects": np.array([pd.NaT, "a", "a", "b", "b", "b"], object),
    "infinity": [1, 1, np.inf, 2, 2, 2],
    "infinity among objects": np.array([1.0, 1.0, np.inf, 2, 2, 2], object),
}
LABELS = {
    "mixed list, which NumPy makes text": ["a", 1, "a", 1, 2, 2],
    "empty text": ["", "", "a", "a", "b", "b"],
    "fractions": [0.5, 0.5, 1, 1, 2, 2],
    "booleans": [True, True, False, False, True, False],
    "categories": pd.Categorical(["x", "x", "y", "y", "z", "y"]),
    "series": pd.Series([3, 3, 4, 4, 5, 4], index=[9, 8, 7, 6, 5, 4]),
    "nullable integers": pd.Series([3, 3, 4, 4, 5, 4], dtype="Int64"),
    "index": pd.Index(["a", "a", "b", "b", "c", "b"]),
    "objects that are integers": np.array([1, 1, 2, 2, 3, 2], object),
    "objects that are floats": np.array([0.5, 0.5, 2.0, 2.0, 3.0, 2.0], object),
    "dates": np.array(["2020", "2020", "2021", "2021", "2022", "2021"], "M8[D]"),
    "beyond 64 bits": [10**30, 10**30, 1, 1, 2, 1],
    "unsigned of 64 bits": np.array([2**63, 2**63, 1, 1, 2, 1], np.uint64),
    "half precision": np.array([0, 0, 1, 1, 2, 1], np.float16),
    "tuple": tuple("aabbcb"),
}
SCORES = [
    lambda labels: adjusted_mutual_info_score(labels, TRUTH),
    lambda labels: adjusted_rand_score(TRUTH, labels),
    lambda labels: external_scores(TRUTH, labels),
    lambda labels: silhouette_scores(X, [labels]),
    lambda labels: davies_bouldin_score(X, labels),
    is_defined,
]


@pytest.mark.parametrize("kind", MISSING)
@pytest.mark.parametrize("score", SCORES)
def test_missing_labels_are_refused_by_every_score(score, kind):
    with pytest.raises(InputError, match=r"missing label|infinity"):
        score(MISSING[kind])


def test_the_first_missing_label_is_named():
    with pytest.raises(InputError, match=r"2 missing labels, the first in row 1 \(None\)"):
        adjusted_rand_score(np.array(["a", None, "b", None], object), [0, 0, 1, 1])


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.filterwarnings("ignore:Clustering metrics expects discrete values:UserWarning")
def test_labels_of_every_type_score_as_in_scikit_learn(kind):
    labels = LABELS[kind]
    expected = their_rand_score(TRUTH, labels)
    assert adjusted_rand_score(TRUTH, labels) == pytest.approx(expected)
    codes = np.unique(np.asarray(labels), return_inverse=True)[1]
    assert silhouette_scores(X, [labels]) == silhouette_scores(X, [codes])


@pytest.mark.parametrize("dtype", ["S1", object])
def test_labels_of_bytes_are_labels(dtype):
    labels = np.array([b"a", b"a", b"b", b"b", b"c", b"c"], dtype)
    assert adjusted_rand_score(labels, TRUTH) == 1


def test_text_beside_numbers_and_other_objects_are_refused():
    for labels in (["a", 1, 2, "b", 1, 1], [{}, [], {}, (), 1, 2]):
        entries = np.empty(6, object)
        entries[:] = labels
        with pytest.raises(InputError, match="numbers only or text only"):
            silhouette_scores(X, [entries])

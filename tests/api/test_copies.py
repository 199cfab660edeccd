"""Results and embeddings survive pickle and copy, as for worker processes and joblib."""

import copy
import pickle  # noqa: TID251 - worker processes pickle results in memory

import numpy as np
import pytest

import gpuclust


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
@pytest.mark.parametrize("earlier", [False, True])
def test_a_copy_of_a_result_has_its_labels_paths_and_reduced_vectors(tmp_path, duplicate, earlier):
    X = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    result = None
    for _ in range(1 + earlier):  # the second one is read from its row
        result = gpuclust.run(
            X,
            y=["cat", "dog"] * 10,
            paths=[f"{k}.jpg" for k in range(20)],
            reducer="pca(2)",
            clusterer="kmeans",
            k=3,
            root=tmp_path,
        )
    again = duplicate(result)
    assert again.row == result.row
    assert again.paths == result.paths
    assert again.to_frame().equals(result.to_frame())
    np.testing.assert_array_equal(again.reduced, result.reduced)


def test_a_copy_of_embeddings_is_equal(tmp_path):
    found = gpuclust.embed(np.zeros((3, 8, 8, 3), np.uint8), "raw", root=tmp_path)
    again = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(again.array, found.array)
    assert again.meta == found.meta

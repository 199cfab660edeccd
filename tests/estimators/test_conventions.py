"""scikit-learn's own checks of estimators, on ours."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

import gpuclust

# Small, because the checks fit samples of 10 to 50.
ESTIMATORS = [
    gpuclust.KMeans(n_clusters=3, device="cpu"),
    gpuclust.SpectralClustering(n_clusters=3, n_neighbors=5, device="cpu"),
    gpuclust.Agglomerative(n_clusters=3, device="cpu"),
    gpuclust.AffinityPropagation(device="cpu"),
    gpuclust.HDBSCAN(min_cluster_size=3, device="cpu"),
    gpuclust.UMAP(n_components=1, n_neighbors=3, device="cpu"),
    gpuclust.PCA(device="cpu"),
]
# Check that does not fit, with its reason.  A check listed here that passes is a failure.
EXPECTED: dict[str, dict[str, str]] = {}


def expected_failures(estimator):
    return EXPECTED.get(type(estimator).__name__, {})


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(ESTIMATORS, expected_failed_checks=expected_failures, xfail_strict=True)
def test_the_conventions_of_scikit_learn_hold(estimator, check):
    check(estimator)

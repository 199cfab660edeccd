"""scikit-learn's own checks of estimators, on ours."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

import gpuclust

# With their defaults, and the two that need more samples than neighbors also with fewer of them,
# since some checks fit ten samples.
ESTIMATORS = [
    gpuclust.KMeans(device="cpu"),
    gpuclust.SpectralClustering(device="cpu"),
    gpuclust.SpectralClustering(n_clusters=3, n_neighbors=5, device="cpu"),
    gpuclust.Agglomerative(device="cpu"),
    gpuclust.AffinityPropagation(device="cpu"),
    gpuclust.HDBSCAN(device="cpu"),
    gpuclust.UMAP(device="cpu"),
    gpuclust.UMAP(n_components=1, n_neighbors=3, device="cpu"),
    gpuclust.PCA(device="cpu"),
]
TEN = "fits 10 samples, and as many neighbors are asked for by default; refused by a sentence"
FIFTEEN = "fits 10 samples, and 15 neighbors are asked for by default; refused by a sentence"
# Estimator with its defaults -> checks that do not fit, and why.  One that passes is a failure.
EXPECTED = {
    "SpectralClustering": {"check_estimators_nan_inf": TEN, "check_fit2d_1feature": TEN},
    "UMAP": {
        "check_estimators_nan_inf": FIFTEEN,
        "check_fit2d_1feature": FIFTEEN,
        "check_n_features_in_after_fitting": FIFTEEN,
    },
}


def expected_failures(estimator):
    fewer = estimator.get_params().get("n_neighbors") in (3, 5)
    return {} if fewer else EXPECTED.get(type(estimator).__name__, {})


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(ESTIMATORS, expected_failed_checks=expected_failures, xfail_strict=True)
def test_the_conventions_of_scikit_learn_hold(estimator, check):
    check(estimator)

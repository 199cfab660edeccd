"""torchmetrics' clustering scores, on a GPU where torch has one.

Its Davies-Bouldin (1.9.0) is far too large above 25 clusters: there `torch.cdist` multiplies
matrices, so a centroid is not at distance 0 from itself, and the score counts it as a pair.
"""

import importlib

NEEDS = {"torchmetrics": "torchmetrics"}


def place(array):
    import torch

    return torch.from_numpy(array).to("cuda" if torch.cuda.is_available() else "cpu")


def _external(name):
    def score(X, y, labels):
        functions = importlib.import_module("torchmetrics.functional.clustering")
        return float(getattr(functions, name)(labels, y))

    return score


def _internal(name):
    def score(X, y, labels):
        functions = importlib.import_module("torchmetrics.functional.clustering")
        return float(getattr(functions, name)(X, labels))

    return score


SCORES = {
    "ami": _external("adjusted_mutual_info_score"),
    "nmi": _external("normalized_mutual_info_score"),
    "ari": _external("adjusted_rand_score"),
    "fmi": _external("fowlkes_mallows_index"),
    "homogeneity": _external("homogeneity_score"),
    "completeness": _external("completeness_score"),
    "v_measure": _external("v_measure_score"),
    "calinski_harabasz": _internal("calinski_harabasz_score"),
    "davies_bouldin": _internal("davies_bouldin_score"),
}

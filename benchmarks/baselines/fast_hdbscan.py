"""fast_hdbscan (Tutte Institute): HDBSCAN on all cores, euclidean.

It compiles when it is imported and when it first runs: the warm-up takes one or two minutes.
"""

import math

NEEDS = {"fast_hdbscan": "fast_hdbscan"}


def hdbscan(X, params, k, seed):
    from fast_hdbscan import HDBSCAN

    if params["metric"] != "euclidean":
        raise ValueError(f"fast_hdbscan is euclidean; got metric={params['metric']}.")
    wanted = params["min_samples"] or params["min_cluster_size"]
    share = params["max_cluster_size"]
    # It does not count the sample itself among its neighbors.
    return HDBSCAN(
        min_cluster_size=params["min_cluster_size"],
        min_samples=max(wanted - 1, 1),
        max_cluster_size=math.inf if share is None else round(share * len(X)),
        cluster_selection_method=params["cluster_selection_method"],
    ).fit_predict(X)


METHODS = {"hdbscan": hdbscan}

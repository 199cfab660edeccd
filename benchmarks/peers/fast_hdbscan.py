"""fast_hdbscan (Tutte Institute): HDBSCAN on all cores, euclidean."""

NEEDS = ("fast_hdbscan",)


def hdbscan(X, params, k, seed):
    from fast_hdbscan import HDBSCAN

    wanted = params["min_samples"] or params["min_cluster_size"]
    # It does not count the sample itself among its neighbours.
    return HDBSCAN(
        min_cluster_size=params["min_cluster_size"],
        min_samples=max(wanted - 1, 1),
        cluster_selection_method=params["cluster_selection_method"],
    ).fit_predict(X)


METHODS = {"hdbscan": hdbscan}

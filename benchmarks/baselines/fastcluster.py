"""fastcluster (Muellner 2013): exact trees on one core; Ward without the n x n matrix."""

NEEDS = {"fastcluster": "fastcluster"}


def agglomerative(X, params, k, seed):
    import fastcluster
    from scipy.cluster.hierarchy import fcluster
    from scipy.spatial.distance import pdist

    metric = {"l1": "cityblock"}.get(params["metric"], params["metric"])
    if params["linkage"] in ("ward", "single"):
        Z = fastcluster.linkage_vector(X, params["linkage"], metric=metric)
    else:
        Z = fastcluster.linkage(pdist(X, metric), params["linkage"], preserve_input=False)
    return fcluster(Z, k, criterion="maxclust") - 1


METHODS = {"agglomerative": agglomerative}

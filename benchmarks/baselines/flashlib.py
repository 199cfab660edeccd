"""flashlib: K-Means and others as Triton kernels; without a GPU only its K-Means in torch."""

NEEDS = {"flashlib": "flashlib"}
GPU = True


def place(array):
    import torch

    return torch.from_numpy(array).to("cuda" if torch.cuda.is_available() else "cpu")


def _only(X, params, *, gpu=True, **can):
    """Refuse parameters the library lacks, because it would silently ignore them."""
    if gpu and not X.is_cuda:
        raise ValueError("flashlib needs a GPU for this; without one it does kmeans.")
    for name, value in can.items():
        if params[name] != value:
            raise ValueError(f"flashlib can only do {name}={value}; got {params[name]}.")


def kmeans(X, params, k, seed):
    import torch
    from flashlib import flash_kmeans

    _only(X, params, gpu=False, n_init=1, init="random")
    torch.manual_seed(seed)
    # The limit is on the largest move of a centroid; scikit-learn's on the sum of squared moves.
    tol = 1e-2 * float(X.var(dim=0).mean()) ** 0.5
    return flash_kmeans(X, k, max_iters=params["max_iter"], tol=tol)[0].cpu().numpy()


def hdbscan(X, params, k, seed):
    from flashlib import flash_hdbscan

    _only(X, params, metric="euclidean", max_cluster_size=None, cluster_selection_method="eom")
    size = params["min_cluster_size"]
    # It does not count the sample itself among its neighbors.
    neighbors = max((params["min_samples"] or size) - 1, 1)
    return flash_hdbscan(X, min_cluster_size=size, min_samples=neighbors).cpu().numpy()


def spectral(X, params, k, seed):
    from flashlib import flash_spectral_clustering

    _only(X, params, assign_labels="kmeans")
    found = flash_spectral_clustering(X, k, n_neighbors=params["n_neighbors"], seed=seed)
    return found.cpu().numpy()


def pca(X, params, k, seed):
    from flashlib import PCA

    _only(X, params, whiten=False)
    if not isinstance(params["n_components"], int):
        raise ValueError(f"flashlib takes a number of components; got {params['n_components']}.")
    return PCA(params["n_components"]).fit_transform(X).cpu().numpy()


def umap(X, params, k, seed):
    from flashlib import flash_umap

    _only(X, params, metric="euclidean")
    keep = ("n_components", "n_neighbors", "min_dist")
    return flash_umap(X, seed=seed, **{name: params[name] for name in keep}).cpu().numpy()


METHODS = {"kmeans": kmeans, "hdbscan": hdbscan, "spectral": spectral, "pca": pca, "umap": umap}

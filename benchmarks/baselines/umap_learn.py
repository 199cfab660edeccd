"""umap-learn with its own approximate neighbors."""

NEEDS = {"umap": "umap-learn"}


def umap(X, params, k, seed):
    from umap import UMAP

    params = dict(params)
    seeded = params.pop("seeded")
    how = {"random_state": seed, "n_jobs": 1} if seeded else {"n_jobs": -1}
    return UMAP(**params, **how).fit_transform(X)


METHODS = {"umap": umap}

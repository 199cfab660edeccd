import inspect

import numpy as np
import pytest

from gpuclust.device import backend
from gpuclust.errors import BackendError, CellError
from gpuclust.methods import build
from gpuclust.methods.spec import parse_clusterer, parse_reducer
from gpuclust.methods.table import CLUSTERERS, REDUCERS, Fit
from gpuclust.registry import load_target

ALL = REDUCERS | CLUSTERERS
CPU = backend.select("cpu")


def fit(n=100, d=64, k=10):
    return Fit(n=n, d=d, k=k, seed=0, trees={}, neighbors=lambda k, metric: ("D", "indices"))


def defaults(name):
    return {key: p.default for key, p in ALL[name].params.items()}


def build_on_cpu(name, text, size):
    """Construct the CPU estimator of a spec."""
    parse = parse_clusterer if name in CLUSTERERS else lambda t: parse_reducer(t)[0]
    return build.build(name, dict(parse(text).params), size, CPU).estimator


@pytest.mark.parametrize("name", ALL)
def test_the_cpu_class_takes_every_keyword_we_pass(name):
    for one in ALL[name].cpu:
        keywords = one.bind(defaults(name), fit())
        inspect.signature(load_target(one.target)).bind(**keywords)


@pytest.mark.parametrize(
    ("text", "d", "ours"),
    [
        ("hdbscan", 50, True),
        ("hdbscan(metric=l1)", 21, True),
        ("hdbscan(metric=cosine)", 2, True),
        ("hdbscan", 20, False),
        ("hdbscan(metric=chebyshev)", 2, False),
    ],
)
def test_hdbscan_is_ours_unless_scikit_learns_trees_help(text, d, ours):
    found = build_on_cpu("hdbscan", text, fit(n=1000, d=d))
    assert type(found).__module__.startswith("gpuclust" if ours else "sklearn")


def test_the_defaults_are_the_studys():
    umap = dict(parse_reducer("umap")[0].params)
    assert (umap["n_components"], umap["n_neighbors"], umap["min_dist"]) == (50, 30, 0.0)
    kmeans = build_on_cpu("kmeans", "kmeans", fit())
    assert (kmeans.init, kmeans.n_init, kmeans.max_iter) == ("k-means++", 1, 1000)
    affinity = dict(parse_clusterer("affinity").params)
    assert (affinity["damping"], affinity["convergence_iter"]) == (0.9, 15)
    hdbscan = build_on_cpu("hdbscan", "hdbscan", fit(n=1000))
    assert (hdbscan.min_cluster_size, hdbscan.max_cluster_size) == (5, None)  # the study: a fifth
    hdbscan = build_on_cpu("hdbscan", "hdbscan(max_cluster_size=0.2)", fit(n=1000))
    assert hdbscan.max_cluster_size == 200
    spectral = dict(parse_clusterer("spectral").params)
    assert (spectral["n_neighbors"], spectral["assign_labels"]) == (10, "cluster_qr")


SEEDED = [
    (name, on, one)
    for name, method in ALL.items()
    for on in method.backends
    for one in getattr(method, on)
    if name in ("umap", "pacmap", "kmeans", "spectral", "affinity") or (name, on) == ("pca", "cpu")
]


@pytest.mark.parametrize(("name", "on", "one"), SEEDED)
def test_every_random_method_gets_the_seed(name, on, one):
    assert one.bind(defaults(name), fit()._replace(seed=7))["random_state"] == 7


def test_every_method_has_a_cpu_implementation_and_every_target_is_module_and_class():
    for name, method in ALL.items():
        assert method.cpu, name
        assert all(":" in one.target for one in (*method.cpu, *method.gpu))


@pytest.mark.parametrize(
    ("text", "n", "d", "k", "said"),
    [
        ("umap", 20, 64, None, "more samples than neighbors"),
        ("umap(n_neighbors=5)", 40, 64, None, "at least 52 samples"),
        ("pca(65)", 100, 64, None, "at most 64"),
        ("pacmap", 10, 64, None, "at least 30 samples"),
        ("spectral", 10, 64, 2, "more samples than neighbors"),
        ("spectral(n_neighbors=2)", 10, 64, 10, "at most n - 1 clusters"),
        ("hdbscan", 4, 64, None, "got 4 samples"),
    ],
)
def test_too_few_samples_are_refused_before_the_library_is_called(text, n, d, k, said):
    with pytest.raises(CellError, match=said):
        build_on_cpu(text.partition("(")[0], text, fit(n=n, d=d, k=k))


def test_a_method_without_a_gpu_implementation_is_refused_with_alternatives():
    gpu = backend.Backend("gpu", "pretended", "gpu")
    said = r"pacmap has no gpu implementation\. Run it with --device cpu.*umap"
    with pytest.raises(BackendError, match=said):
        build.build("pacmap", {"n_components": 2, "n_neighbors": None}, fit(), gpu)


def test_a_missing_package_names_its_extra():
    with pytest.raises(BackendError, match=r'pip install "gpuclust\[pacmap\]"'):
        load_target("no_such_package:Thing", "pacmap")


def test_an_import_error_inside_a_package_is_not_hidden(tmp_path, monkeypatch):
    (tmp_path / "broken_package.py").write_text("import no_such_package_either\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_package_either"):
        load_target("broken_package:Thing")


@pytest.mark.parametrize("name", ["none", "l2", "zscore", "pca", "pacmap"])
def test_every_reducer_keeps_the_samples_and_gives_finite_values(name, digits):
    text = f"{name}(n_components=5)" if name in ("pca", "pacmap") else name
    Z = build_on_cpu(name, text, fit(n=600, d=64, k=None)).fit_transform(digits.X)
    assert Z.shape[0] == 600
    assert np.isfinite(Z).all()


def test_a_name_is_a_reducer_or_a_clusterer_and_not_both():
    assert not REDUCERS.keys() & CLUSTERERS.keys()

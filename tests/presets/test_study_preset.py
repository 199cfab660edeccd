"""The preset of the study, field by field against a second transcription of its table."""

import importlib.resources
import tomllib
from collections import Counter
from pathlib import Path
from statistics import median_low

import numpy as np
import pytest

from gpuclust import presets
from gpuclust.datasets import default_split
from gpuclust.encoders.table import ENCODERS

# Markdown, one line per encoder.
TABLE = Path(__file__).with_name("study_table.md")
NAMES = {"none": "raw", "timm_vit_base_patch16_224.mae": "mae_pretrain_vit_base"}
SIX = ("kmeans", "spectral", "agglomerative", "agglomerative_threshold", "affinity", "hdbscan")
UMAP = {
    "name": "umap",
    "n_components": 50,
    "n_neighbors": 30,
    "min_dist": 0.0,
    "metric": "euclidean",
    "seeded": True,
}
SMALL = {"celeba", "utkface", "bioscan1m"}  # smallest cluster of HDBSCAN: 2 samples


def lines():
    """Return the encoder and the ten entries of every line of the table."""
    found = []
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if line.startswith("| `"):
            name, *entries = (part.strip() for part in line.strip("|").split("|"))
            found.append((NAMES.get(name.strip("` "), name.strip("` ")), entries))
    return found


def reducer(text):
    """Return the resolved chain of an entry such as ``z+PCA 0.90var``."""
    if text == "UMAP-50":
        return [UMAP]
    if text == "none":
        return [{"name": "none"}]
    if text == "z":
        return [{"name": "zscore"}]
    number = text.removeprefix("z+PCA ")
    share = float(number[:-3]) if number.endswith("var") else int(number.removesuffix("d"))
    return [{"name": "zscore"}, {"name": "pca", "n_components": share, "whiten": False}]


def cells(entries, small=5):
    """Return the six resolved cells of one line, as the study's calls have them."""
    km, ac, tree, height, ap, damping, hdb, metric, spectral, neighbors = entries
    distance, linkage = tree.split(" / ")
    agglomerative = {"linkage": linkage, "metric": distance}
    return {
        "kmeans": (km, {"init": "k-means++", "n_init": 1, "max_iter": 1000}),
        "spectral": (
            spectral,
            {"n_neighbors": int(neighbors), "assign_labels": "cluster_qr"},
        ),
        "agglomerative": (
            ac,
            agglomerative | {"distance_threshold": None, "standardize": False},
        ),
        "agglomerative_threshold": (
            ac,
            agglomerative | {"distance_threshold": float(height), "standardize": True},
        ),
        "affinity": (
            ap,
            {
                "damping": float(damping),
                "max_iter": 1000,
                "convergence_iter": 15,
                "preference": None,
            },
        ),
        "hdbscan": (
            hdb,
            {
                "metric": metric,
                "min_cluster_size": small,
                "min_samples": None,
                "max_cluster_size": 0.2,
                "cluster_selection_method": "eom",
            },
        ),
    }


def check(row, expected):
    assert [recipe.name for recipe in row] == list(SIX)
    for recipe in row:
        text, params = expected[recipe.name]
        assert [spec.resolved() for spec in recipe.reducer] == reducer(text), recipe.name
        assert recipe.clusterer.resolved() == {"name": recipe.name, **params}


@pytest.fixture(scope="module")
def study():
    return presets.load("study")


@pytest.mark.parametrize(("encoder", "entries"), lines(), ids=[name for name, _ in lines()])
def test_every_value_of_the_table_is_in_the_preset(study, encoder, entries):
    check(study.recipes(encoder), cells(entries))
    check(study.recipes(encoder, "imagenet"), cells(entries))
    for dataset in SMALL:
        check(study.recipes(encoder, dataset), cells(entries, small=2))


def test_the_table_has_twenty_encoders_in_its_order(study):
    assert list(study.encoders) == [name for name, _ in lines()]
    assert len(study.encoders) == 20


def test_the_default_is_the_majority_of_the_table(study):
    """Choose value after value among the lines with the values before, ties by the middle one."""
    columns = {"kmeans": [0], "spectral": [8, 9], "agglomerative": [1, 2], "affinity": [4, 5]}
    columns |= {"agglomerative_threshold": [1, 2, 3], "hdbscan": [6, 7]}
    chosen = [""] * 10
    for each in columns.values():
        rest = [entries for _, entries in lines()]
        for column in each:
            counts = Counter(entries[column] for entries in rest)
            most = [value for value, n in counts.items() if n == max(counts.values())]
            value = most[0] if len(most) == 1 else str(median_low(map(int, most)))
            assert chosen[column] in ("", value)
            chosen[column] = value
            rest = [entries for entries in rest if entries[column] == value]
    check(study.of_default(), cells(chosen))
    reducers = [text for text, _ in cells(chosen).values()]
    assert reducers == ["UMAP-50", "none", *["UMAP-50"] * 4]
    check(study.recipes("efficientnet_lite0", "celeba"), cells(chosen, small=2))


def test_the_preset_states_its_source_seed_and_preprocessing(study):
    assert (study.version, study.seed, study.preprocess) == ("v5.0", 1, "study")
    assert "2406.02465" in study.source


def test_the_datasets_are_the_26_with_the_split_that_the_study_evaluates(study):
    assert len(study.datasets) == 26
    assert {name: rule.split for name, rule in study.datasets.items()} == {
        name: default_split(name) for name in study.datasets
    }
    assert {name for name, rule in study.datasets.items() if rule.parameters} == SMALL


def test_encoders_of_the_preset_are_those_with_a_name_in_the_study(study):
    names = {key: entry.study for key, entry in ENCODERS.items() if entry.study}
    assert set(study.encoders) == set(names)
    in_study = {NAMES.get(name, name): name for name in names.values()}
    assert in_study == names


def test_the_file_names_no_method_without_its_settings():
    """Values equal to today's defaults are in the file too: a changed default changes no row."""
    text = importlib.resources.files("gpuclust.presets").joinpath("study.toml").read_text("utf-8")
    table = tomllib.loads(text)
    shared = table["parameters"]
    for name, row in [*table["encoders"].items(), ("default", table["default"])]:
        for reducer, clusterer in row.values():
            for spec in [*reducer.split("|"), clusterer]:
                method, _, own = spec.partition("(")
                given = set(shared.get(method, {}))
                given |= {part.partition("=")[0].strip(" )") for part in own.split(",") if own}
                needed = {
                    "kmeans": {"init", "n_init", "max_iter"},
                    "umap": {"n_components", "n_neighbors", "min_dist", "metric"},
                    "spectral": {"n_neighbors", "assign_labels"},
                    "agglomerative": {"linkage", "metric"},
                    "agglomerative_threshold": {"linkage", "metric", "standardize"},
                    "affinity": {"damping", "max_iter", "convergence_iter"},
                    "hdbscan": {"min_cluster_size", "max_cluster_size", "metric"},
                }
                assert needed.get(method, set()) <= given, (name, spec)


@pytest.mark.parametrize("metric", ["euclidean", "l1", "chebyshev", "cosine"])
def test_the_threshold_counts_in_the_units_of_the_study(metric):
    """Compare with scikit-learn on samples scaled by the rule of the study."""
    from sklearn.cluster import AgglomerativeClustering

    from gpuclust.algorithms.linkage import Agglomerative

    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 7)) * rng.uniform(0.2, 5, size=7)
    X -= X.mean(axis=0)  # as after PCA, the only reducer of the table before a cosine distance
    scaled = (X - X.mean(axis=0)) / X.std(axis=0).mean()
    scaled = scaled / {"euclidean": np.sqrt(7), "l1": 7, "chebyshev": 1, "cosine": 1}[metric]
    tree = AgglomerativeClustering(
        n_clusters=None, distance_threshold=0.0, metric=metric, linkage="average"
    ).fit(scaled)
    for height in np.quantile(tree.distances_, [0.5, 0.9, 0.98]) * 1.0001:
        theirs = AgglomerativeClustering(
            n_clusters=None, distance_threshold=height, metric=metric, linkage="average"
        ).fit_predict(scaled)
        ours = Agglomerative(
            distance_threshold=height, metric=metric, linkage="average", standardize=True
        ).fit_predict(X)
        assert len(set(zip(theirs, ours, strict=True))) == len(set(theirs)) == len(set(ours))


def test_other_names_of_a_network_get_its_row(study):
    for name, row in [
        ("torchvision/ResNet50_Weights.IMAGENET1K_V2", "resnet50"),
        ("torchvision/ViT_B_16_Weights.IMAGENET1K_V1", "vitb16"),
        ("timm/vit_base_patch16_224.mae", "mae_pretrain_vit_base"),
        ("clip_RN50", "clip_RN50"),
    ]:
        assert study.row_of(name) == row
    stands_for = ENCODERS["clip_RN50"].stands_for
    assert study.row_of(stands_for) == "clip_RN50"


@pytest.mark.parametrize(
    "name",
    [
        "torchvision/ResNet50_Weights.IMAGENET1K_V1",
        "torchvision/ResNet50_Weights.IMAGENET1K_V2?pool=avg",
        "timm/vit_base_patch16_224.mae?pool=avg",
        "timm/resnet50.a1_in1k",
        "random/resnet50",
        "random_resnet50?seed=1",
        "efficientnet_lite0",
    ],
)
def test_another_network_or_feature_gets_the_default(study, name):
    assert study.row_of(name) is None

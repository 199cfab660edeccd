import dataclasses
import json

import pytest

from gpuclust import cell as cells
from gpuclust.cell import Cell, units_of
from gpuclust.errors import InputError, UnknownNameError
from gpuclust.grid.grid_file import load_grid
from gpuclust.methods import table
from gpuclust.metrics import suite


def make(**changes):
    asked = {"dataset": "digits", "split": "all", "encoder": "raw", "clusterer": "kmeans"}
    return Cell.of(**asked | changes)


def key(cell, fingerprint="f", backend="cpu"):
    return cell.key(fingerprint=fingerprint, backend=backend)


def test_the_same_request_has_the_same_key_however_it_is_written():
    assert key(make(reducer="umap(n_components=50)")) == key(make(reducer="umap"))
    assert key(make(metrics=["default"])) == key(make(metrics=suite.DEFAULT))


@pytest.mark.parametrize(
    "change",
    [
        {"dataset": "fashionmnist"},
        {"split": "test"},
        {"encoder": "efficientnet_lite0"},
        {"preprocess": "study"},
        {"reducer": "pca"},
        {"clusterer": "kmeans(n_init=2)"},
        {"k": 11},
        {"seed": 1},
        {"metrics": ["ami"]},
    ],
)
def test_every_coordinate_changes_the_key(change):
    assert key(make(**change)) != key(make())


def test_the_embedding_and_the_backend_change_the_key():
    one = make()
    assert len({key(one), key(one, fingerprint="g"), key(one, backend="gpu")}) == 3


def test_a_changed_default_changes_the_key(monkeypatch):
    before = key(make())
    kmeans = table.CLUSTERERS["kmeans"]
    params = kmeans.params | {"max_iter": table.Param(999, (int,))}
    monkeypatch.setitem(table.CLUSTERERS, "kmeans", dataclasses.replace(kmeans, params=params))
    assert key(make()) != before


def test_k_is_the_number_of_classes_unless_given():
    assert make().with_k(10).k == 10
    assert make(k=3).with_k(10).k == 3


def test_a_clusterer_that_finds_k_ignores_it():
    assert make(clusterer="hdbscan", k=5) == make(clusterer="hdbscan")
    threshold = make(clusterer="agglomerative(distance_threshold=1.0)", k=5)
    assert threshold.with_k(10).k is None


def test_unlabelled_data_without_k_names_the_ways_out():
    with pytest.raises(InputError, match=r"Give --k .* or use a clusterer that finds it: hdbscan"):
        make().with_k(None)


def test_one_class_is_no_number_of_clusters():
    with pytest.raises(InputError, match="only 1 class"):
        make().with_k(1)


@pytest.mark.parametrize("change", [{"k": 0}, {"k": -1}, {"seed": -1}, {"k": True}])
def test_numbers_out_of_range_are_refused(change):
    with pytest.raises(InputError, match="must be a whole number"):
        make(**change)


def test_a_grid_is_every_combination_without_repeats(tmp_path):
    file = tmp_path / "grid.toml"
    file.write_text(
        'dataset = "digits"\nencoder = ["raw", "random/test_vit"]\nreducer = ["none", "pca(5)"]\n'
        'clusterer = ["kmeans", "hdbscan"]\nk = [5, 10]\nseed = [0, 1]\n'
    )
    units = load_grid(file)
    assert [unit.encoder for unit in units] == ["raw", "random/test_vit"]
    # kmeans: 2 reducers x 2 k x 2 seeds; hdbscan finds k, so k does not multiply it.
    assert [len(unit.cells) for unit in units] == [12, 12]
    assert units[0].split == "all"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('dataset = "digits"\nencodr = "raw"\nclusterer = "kmeans"', "Did you mean 'encoder'"),
        ('dataset = "digits"\nencoder = "raw"', "names no clusterer"),
        ('dataset = "digits"\nencoder = "raw"\nclusterer = []', "empty list"),
        ('dataset = "digits"\nencoder = "raw"\nclusterer = "kmean"', "Did you mean 'kmeans'"),
        ('dataset = "digit"\nencoder = "raw"\nclusterer = "kmeans"', "Did you mean 'digits'"),
        ('dataset = "digits"\nencoder = "rw"\nclusterer = "kmeans"', "Did you mean 'raw'"),
        ('dataset = "digits"\nencoder = "raw"\nclusterer = "kmeans"\nk = ["a"]', "whole numbers"),
        ('dataset = "digits"\nencoder = "raw"\nclusterer = [1]', "takes texts"),
        ('dataset = "digits"\nencoder = "raw"\nclusterer = "kmeans"\nmetrics = "amy"', "'ami'"),
        ('dataset = "digits"\nencoder = "raw"\nclusterer = "kmeans"\nsplit = "test"', "all"),
        ("dataset = ", "not a TOML file"),
    ],
)
def test_a_wrong_grid_file_is_told_before_anything_runs(tmp_path, text, said):
    file = tmp_path / "grid.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=said):
        load_grid(file)


def test_a_missing_grid_file_is_told(tmp_path):
    with pytest.raises(InputError, match="cannot read the grid file"):
        load_grid(tmp_path / "nothing.toml")


def test_cells_of_one_embedding_make_one_unit():
    units = units_of([make(), make(seed=1), make(preprocess="study"), make()])
    assert [len(unit.cells) for unit in units] == [2, 1]


def test_a_folder_is_the_same_dataset_from_every_working_directory(tmp_path, monkeypatch):
    from PIL import Image

    (tmp_path / "photos").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "photos" / "a.png")
    monkeypatch.chdir(tmp_path)
    here = cells.place("folder:photos", None, "raw")
    assert here == cells.place(f"folder:{tmp_path}/photos", None, "raw")


def test_an_identity_is_plain_json():
    identity = make(reducer="zscore|pca(0.9)").identity(fingerprint="f", backend="cpu")
    assert json.loads(json.dumps(identity)) == identity


def test_an_unknown_preprocess_is_told():
    with pytest.raises(UnknownNameError, match="Did you mean 'study'"):
        make(preprocess="studdy")


# Computed by version 0.1.0 of 2026-11-21: rows from before must stay current.
KEYS = [
    ({"clusterer": "kmeans"}, "6ad96acce19a41570c65336f", "4f192733d6ae8f645f4edb8b"),
    (
        {
            "clusterer": "hdbscan(metric=l1, max_cluster_size=0.2)",  # the default at that time
            "reducer": "zscore|umap(n_components=5)",
            "seed": 3,
        },
        "ac2030ec9c1fb393d1fdac03",
        "5970247c5130c83d54af705f",
    ),
    (
        {
            "clusterer": "agglomerative(linkage=average)",
            "reducer": "pca(0.9)",
            "k": 7,
            "metrics": ("external", "silhouette_l1"),
        },
        "ec673a279b51b8ed928bbea6",
        "ee71cc05fcb989460e4b0aef",
    ),
    (
        {"clusterer": "agglomerative_threshold", "preprocess": "study", "metrics": ("all",)},
        "2778111349c0bb602594899e",
        "5a3136c3b3b09cd1d8f1c8d7",
    ),
    (
        {"clusterer": "affinity", "reducer": "l2"},
        "249769d705b6b5c381195dfe",
        "b9c580a04330f185a85fd0d3",
    ),
    (
        {"clusterer": "spectral", "reducer": "pacmap"},
        "bb67c6c2602431dc39b438cc",
        "aecfb8e0ff92db9afc7a0d89",
    ),
]


@pytest.mark.parametrize(("how", "embedded", "missing"), KEYS)
def test_keys_are_those_of_the_first_version(how, embedded, missing):
    cell = Cell.of(dataset="digits", split="all", encoder="raw", **how)
    (unit,) = units_of([cell])
    (keyed,) = unit.resolve("f" * 64, 10, "cpu").cells
    assert keyed.key == embedded
    (keyed,) = unit.resolve(None, None, "gpu").cells
    assert keyed.key == missing


def test_a_cell_whose_k_cannot_be_known_keeps_its_problem():
    (unit,) = units_of([Cell.of(dataset="d", split="all", encoder="raw", clusterer="kmeans")])
    (keyed,) = unit.resolve("f", None, "cpu").cells
    assert keyed.cell.k is None
    assert "no labels to count" in str(keyed.problem)
    assert unit.resolve("f", 3, "cpu").cells[0].problem is None

"""Presets of a user's own: files, their mistakes, and the units of a preset."""

import dataclasses
import importlib.resources
import tomllib
from pathlib import Path

import pytest

from gpuclust import presets
from gpuclust.encoders.entry import EncoderEntry
from gpuclust.encoders.table import ENCODERS
from gpuclust.errors import InputError, UnknownNameError

MINE = """
summary = "mine"
preprocess = "own"
seed = 7

[parameters]
hdbscan = { min_cluster_size = 9 }
umap = { n_components = 5 }

[datasets]
digits = { split = "all", hdbscan = { min_cluster_size = 3 }, umap = { n_neighbors = 4 } }

[default]
density = ["umap", "hdbscan(metric=l1)"]

[encoders.raw]
first = ["none", "kmeans"]
second = ["zscore|pca(0.9)", "kmeans"]
density = ["umap(n_components=6)", "hdbscan(min_cluster_size=20)"]
"""


def write(tmp_path, text, name="mine.toml"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def texts(row):
    return [recipe.texts for recipe in row]


def test_a_preset_of_ones_own_is_read_from_its_path(tmp_path, monkeypatch):
    path = write(tmp_path, MINE)
    mine = presets.load(path)
    assert (mine.seed, mine.preprocess, list(mine.encoders)) == (7, "own", ["raw"])
    monkeypatch.chdir(tmp_path)
    for name in ("mine.toml", "./mine.toml"):
        assert presets.load(name).encoders == mine.encoders
    write(tmp_path, MINE, "without_ending")
    assert presets.load("without_ending").encoders == mine.encoders


def test_a_cell_goes_before_shared_parameters_and_a_dataset_before_both(tmp_path):
    mine = presets.load(write(tmp_path, MINE))
    assert texts(mine.recipes("raw")) == [
        ("none", "kmeans"),
        ("zscore|pca(n_components=0.9)", "kmeans"),
        ("umap(n_components=6)", "hdbscan(min_cluster_size=20)"),
    ]
    assert texts(mine.recipes("raw", "digits"))[2] == (
        "umap(n_components=6, n_neighbors=4)",
        "hdbscan(min_cluster_size=3)",
    )
    assert texts(mine.recipes("timm/resnet18.a1_in1k", "mnist")) == [
        ("umap(n_components=5)", "hdbscan(min_cluster_size=9, metric=l1)")
    ]


def test_units_have_the_cells_of_each_encoders_row_and_no_product(tmp_path):
    said = []
    mine = presets.load(write(tmp_path, MINE))
    found = presets.units(mine, encoders=["raw", "efficientnet_lite0"], say=said.append)
    assert [(unit.encoder, len(unit.cells)) for unit in found] == [
        ("raw", 3),
        ("efficientnet_lite0", 1),
    ]
    assert {cell.seed for unit in found for cell in unit.cells} == {7}
    (sentence,) = said
    assert "no row for efficientnet_lite0: its default is used" in sentence


def test_the_whole_study_is_520_units_of_six_cells():
    found = presets.units(presets.load("study"))
    assert len(found) == 26 * 20
    assert {len(unit.cells) for unit in found} == {6}
    assert {unit.preprocess for unit in found} == {"study"}
    cells = [cell for unit in found for cell in unit.cells]
    assert {cell.seed for cell in cells} == {1}
    keys = {cell.key(fingerprint=None, backend="cpu") for cell in cells}
    assert len(keys) == len(cells) == 3120
    # All encoders of a dataset follow one another, so that it is decoded once.
    assert [unit.dataset for unit in found] == sorted(
        (unit.dataset for unit in found), key=[unit.dataset for unit in found].index
    )


def test_the_smallest_cluster_of_hdbscan_depends_on_the_dataset():
    found = presets.units(presets.load("study"), encoders=["resnet50"])
    sizes = {unit.dataset: dict(unit.cells[-1].clusterer.params) for unit in found}
    small = {name for name, params in sizes.items() if params["min_cluster_size"] == 2}
    assert small == {"celeba", "utkface", "bioscan1m"}
    assert {p["min_cluster_size"] for name, p in sizes.items() if name not in small} == {5}
    assert {params["max_cluster_size"] for params in sizes.values()} == {0.2}


def test_k_seed_split_and_preprocessing_can_be_others():
    (unit,) = presets.units(
        presets.load("study"),
        datasets=["fashionmnist"],
        encoders=["raw"],
        splits=["train"],
        preprocess=["own"],
        seeds=[3, 4],
        k=[5, 7],
        metrics=["ami"],
    )
    assert (unit.split, unit.preprocess) == ("train", "own")
    # Three of the six take k; the others have one cell per seed.
    assert len(unit.cells) == 2 * (3 * 2 + 3)
    assert {cell.k for cell in unit.cells} == {5, 7, None}
    assert {cell.metrics for cell in unit.cells} == {("ami",)}


def test_names_of_the_studys_code_are_understood_once():
    study = presets.load("study")
    given = ["none", "raw", "timm_vit_base_patch16_224.mae"]
    found = presets.units(study, datasets=["digits"], encoders=given)
    assert [unit.encoder for unit in found] == ["raw", "mae_pretrain_vit_base"]


def test_an_alias_of_a_row_gets_the_row(tmp_path, monkeypatch):
    entry = EncoderEntry(summary="", target="", stands_for="timm/resnet18.a1_in1k")
    monkeypatch.setitem(ENCODERS, "mine", entry)
    monkeypatch.setitem(ENCODERS, "other", dataclasses.replace(entry, stands_for=""))
    row = '[encoders."timm/resnet18.a1_in1k"]\nkmeans = ["none", "kmeans"]\n'
    preset = presets.load(write(tmp_path, row))
    assert preset.row_of("mine") == "timm/resnet18.a1_in1k"
    assert preset.row_of("other") is None


def test_own_vectors_get_the_default(tmp_path):
    import numpy as np

    np.save(tmp_path / "x.npy", np.zeros((60, 4), np.float32))
    found = presets.units(presets.load("study"), datasets=[f"vectors:{tmp_path}/x.npy", "digits"])
    own = next(unit for unit in found if unit.encoder == "vectors")
    assert (own.preprocess, own.split, len(own.cells)) == ("own", "all", 6)
    assert len(found) == 21


def test_without_a_default_an_encoder_without_a_row_is_refused(tmp_path):
    text = '[encoders.raw]\nkmeans = ["none", "kmeans"]\n'
    mine = presets.load(write(tmp_path, text))
    with pytest.raises(InputError, match=r"no row for encoder efficientnet_lite0 and no \[default"):
        presets.units(mine, datasets=["digits"], encoders=["efficientnet_lite0"])
    with pytest.raises(InputError, match=r"names no datasets. Give --dataset"):
        presets.units(mine)
    default = presets.load(write(tmp_path, '[default]\nkmeans = ["none", "kmeans"]\n'))
    with pytest.raises(InputError, match=r"names no encoders. Give --encoder"):
        presets.units(default, datasets=["digits"])


DEFAULT = '[default]\nkmeans = ["umap", "kmeans"]\n'
BAD = {
    "nothing": ("", "mine.toml has no cells"),
    "an unknown key": ("sed = 1\n" + DEFAULT, "unknown key in .*mine.toml 'sed'. Did you mean 'se"),
    "a grid file": ('dataset = "digits"\n', "unknown key in .*mine.toml 'dataset'"),
    "a text for a seed": ('seed = "1"\n' + DEFAULT, "seed in .*mine.toml must be a whole number"),
    "true for a seed": ("seed = true\n" + DEFAULT, "seed in .* must be a whole number"),
    "a negative seed": ("seed = -1\n" + DEFAULT, "from 0 to 4294967295; got -1"),
    "a number for a text": ("summary = 3\n" + DEFAULT, "summary in .*mine.toml must be a text"),
    "an unknown preprocessing": (
        'preprocess = "none"\n' + DEFAULT,
        "preprocess in .*mine.toml: unknown preprocess 'none'",
    ),
    "a text for a table": ('default = "umap"\n', r"must be a table: \[default\]; got 'umap'"),
    "one method for two": ('[default]\nkmeans = ["kmeans"]\n', "default.kmeans in .* reducer and"),
    "a text for a cell": ('[default]\nkmeans = "kmeans"\n', "default.kmeans in .*mine.toml must"),
    "numbers in a cell": ("[default]\nkmeans = [1, 2]\n", "default.kmeans in .*mine.toml must"),
    "an unknown clusterer": (
        '[default]\nx = ["umap", "kmean"]\n',
        "default.x in .*mine.toml: unknown clusterer 'kmean'. Did you mean 'kmeans'",
    ),
    "a reducer as clusterer": ('[default]\nx = ["kmeans", "umap"]\n', "unknown reducer 'kmeans'"),
    "an unknown parameter": (
        '[encoders.raw]\nx = ["umap", "hdbscan(size=2)"]\n',
        "encoders.raw.x in .*mine.toml: unknown parameter of hdbscan 'size'",
    ),
    "a parameter out of range": (
        '[default]\nx = ["umap", "affinity(damping=0.1)"]\n',
        "default.x in .*mine.toml: affinity: damping must be a number from 0.5",
    ),
    "ward with l1": (
        '[default]\nx = ["umap", "agglomerative(metric=l1)"]\n',
        "default.x in .*mine.toml: agglomerative: linkage=ward is defined for",
    ),
    "a cell twice": (
        '[default]\nx = ["umap", "kmeans"]\ny = ["umap(50)", "kmeans"]\n',
        "default.y in .*mine.toml is the same cell as default.x: umap, kmeans",
    ),
    "a row without cells": (DEFAULT + "[encoders.raw]\n", "encoders.raw in .* has no cells"),
    "an unknown encoder": (
        '[encoders.resnet5]\nx = ["umap", "kmeans"]\n',
        "encoders.resnet5 in .*mine.toml: unknown encoder 'resnet5'",
    ),
    "an encoder twice": (
        "".join(
            f'[encoders."{name}"]\nx = ["umap", "kmeans"]\n'
            for name in ("random/resnet18", "random/resnet18?seed=0")
        ),
        "random/resnet18 has a row already",
    ),
    "an unknown dataset": (
        DEFAULT + "[datasets]\ndigit = {}\n",
        "datasets.digit in .*mine.toml: unknown dataset 'digit'. Did you mean 'digits'",
    ),
    "a text for a dataset": (DEFAULT + '[datasets]\ndigits = "all"\n', "datasets.digits in .* tab"),
    "a number for a split": (DEFAULT + "[datasets]\ndigits = { split = 1 }\n", "digits.split in"),
    "an unknown method of a dataset": (
        DEFAULT + "[datasets]\ndigits = { hdbscn = { min_cluster_size = 2 } }\n",
        "unknown key in datasets.digits of .*mine.toml 'hdbscn'. Did you mean 'hdbscan'",
    ),
    "a bad parameter of a dataset": (
        DEFAULT + "[datasets]\ndigits = { hdbscan = { min_cluster_size = 1 } }\n",
        "datasets.digits.hdbscan in .*: min_cluster_size must be a whole number of at least 2",
    ),
    "an unknown method of all": (
        "[parameters]\nhdbscn = { metric = 'l1' }\n" + DEFAULT,
        "unknown method in parameters of .*mine.toml 'hdbscn'",
    ),
    "a bad parameter of all": (
        "[parameters]\nhdbscan = { metric = 'l7' }\n" + DEFAULT,
        "parameters.hdbscan in .*mine.toml: unknown metric of hdbscan 'l7'",
    ),
    "a name of no row": (
        DEFAULT + '[same]\n"timm/resnet18.a1_in1k" = "raw"\n',
        "unknown encoder in same.timm/resnet18.a1_in1k of .*mine.toml 'raw'",
    ),
    "JSON": ('{"default": {}}', "looks like JSON. A preset is TOML"),
    "no TOML": ("default: umap\n", "mine.toml is not a TOML file"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_preset_is_refused_by_a_sentence_with_its_file_and_key(tmp_path, name):
    text, said = BAD[name]
    with pytest.raises(InputError, match=said) as error:
        presets.load(write(tmp_path, text))
    assert "mine.toml" in str(error.value)
    assert len(str(error.value)) < 900


def test_encoders_may_be_named_as_in_the_code_of_the_study(tmp_path):
    row = '[encoders.none]\nmine = ["none", "kmeans"]\n'
    assert list(presets.load(write(tmp_path, row)).encoders) == ["raw"]
    both = row + '[encoders.raw]\nmine = ["none", "kmeans"]\n'
    with pytest.raises(InputError, match="raw has a row already"):
        presets.load(write(tmp_path, both))


def test_an_unknown_name_and_a_missing_file_are_refused(tmp_path):
    with pytest.raises(UnknownNameError, match=r"unknown preset 'studie'. Did you mean 'study'"):
        presets.load("studie")
    with pytest.raises(InputError, match=r"cannot read the preset .*no.toml: No such file"):
        presets.load(tmp_path / "no.toml")
    with pytest.raises(InputError, match=r"is a folder. Give the path of a preset"):
        presets.load(f"{tmp_path}/")
    for name in ("", "a\0b"):
        with pytest.raises(InputError):
            presets.load(name)


def test_a_wheel_contains_the_data_files():
    root = Path(__file__).parents[2]
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["tool"]["setuptools"]["package-data"]["gpuclust.presets"] == ["*.toml"]
    files = importlib.resources.files("gpuclust.presets").iterdir()
    assert [one.name for one in files if one.name.endswith(".toml")] == ["study.toml"]

"""The key `preset` of a grid file, and of the grid of a call from Python."""

import numpy as np
import pytest

import gpuclust
from gpuclust.errors import GpuclustNote, InputError
from gpuclust.grid.grid_file import grid_units, load_grid

STUDY = {"preset": "study", "dataset": "digits"}
OWN = """
[default]
quick = ["none", "kmeans"]
density = ["none", "hdbscan"]
"""


def test_a_preset_takes_the_place_of_reducer_and_clusterer(tmp_path):
    path = tmp_path / "grid.toml"
    path.write_text(
        'preset = "study"\ndataset = ["digits", "celeba"]\nencoder = ["raw", "vitb16"]\n'
    )
    found = load_grid(path)
    places = [(unit.dataset, unit.split, unit.encoder) for unit in found]
    assert places == [
        ("digits", "all", "raw"),
        ("digits", "all", "vitb16"),
        ("celeba", "test", "raw"),
        ("celeba", "test", "vitb16"),
    ]
    assert [len(unit.cells) for unit in found] == [6] * 4
    assert {unit.preprocess for unit in found} == {"study"}
    spectral = [str(unit.cells[1].clusterer) for unit in found[:2]]
    assert spectral == ["spectral", "spectral(n_neighbors=30)"]


def test_dataset_and_encoder_are_the_presets_unless_they_are_given():
    assert len({unit.encoder for unit in grid_units(STUDY, "the grid")}) == 20
    found = grid_units({"preset": "study", "encoder": "raw"}, "the grid")
    assert len({unit.dataset for unit in found}) == 26


def test_the_other_keys_override_the_preset():
    more = {"encoder": "raw", "preprocess": "own", "seed": [0, 5], "k": 12, "metrics": "ami"}
    (unit,) = grid_units(STUDY | more, "the grid")
    assert unit.preprocess == "own"
    assert [cell.seed for cell in unit.cells[:2]] == [0, 5]
    assert {cell.k for cell in unit.cells if cell.wants_k} == {12}
    assert unit.cells[0].metrics == ("ami",)


def test_own_vectors_take_the_default_of_a_preset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.zeros((60, 4), np.float32))
    (unit,) = grid_units({"preset": "study", "embeddings": "x.npy"}, "the grid")
    assert (unit.encoder, unit.preprocess, len(unit.cells)) == ("vectors", "own", 6)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"reducer": "umap"}, "the grid has a preset and reducer: a preset chooses reducer and"),
        ({"reducer": "umap", "clusterer": "kmeans"}, "a preset and reducer and clusterer"),
        ({"preset": ["study"]}, "preset in the grid must be one name or path; got"),
        ({"preset": "studie"}, "unknown preset 'studie'. Did you mean 'study'"),
        ({"encoder": []}, "encoder in the grid is an empty list"),
        ({"encoder": "resnet5"}, "unknown encoder 'resnet5'"),
        ({"dataset": "digit"}, "unknown dataset 'digit'"),
        ({"split": "train"}, "digits has no split 'train'"),
        ({"seed": "1"}, "seed in the grid takes whole numbers"),
        ({"seeds": 1}, "unknown key in the grid 'seeds'"),
        ({"labels": "y.npy"}, "labels in the grid belongs to embeddings"),
    ],
)
def test_a_bad_grid_with_a_preset_is_refused(more, said):
    with pytest.raises(InputError, match=said.replace("[", r"\[")):
        grid_units(STUDY | more, "the grid")


def test_a_preset_runs_from_python_and_says_which_encoders_take_the_default(tmp_path):
    (tmp_path / "mine.toml").write_text(OWN)
    lists = {"preset": str(tmp_path / "mine.toml"), "dataset": "digits", "encoder": "raw"}
    with pytest.warns(GpuclustNote) as notes:
        table = gpuclust.run_grid(lists, root=tmp_path / "root", device="cpu")
    assert any("no row for raw: its default is used" in str(one.message) for one in notes)
    assert list(table["clusterer"]) == ["kmeans", "hdbscan"]
    assert set(table["status"]) == {"ok"}
    with pytest.warns(GpuclustNote):
        again = gpuclust.run_grid(lists, root=tmp_path / "root", device="cpu")
    assert list(again["finished"]) == list(table["finished"])

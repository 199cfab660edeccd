"""Embeddings whose images, checkpoint or own files are gone."""

import shutil

import numpy as np
import pytest
from command_line import gpuclust
from PIL import Image

from gpuclust.cell import Cell, place, units_of
from gpuclust.device import backend
from gpuclust.embeddings import load
from gpuclust.errors import DamagedFileError, InputError, WeightsError
from gpuclust.events import Watcher
from gpuclust.grid.run import run_grid, status
from gpuclust.store.store import Store

CPU = backend.select("cpu")


class Notes(Watcher):
    """Watcher to keep the notes."""

    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "photos"
    root.mkdir()
    for i in range(12):
        pixels = np.random.default_rng(i).integers(0, 255, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).save(root / f"{i}.png")
    return root


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "root")


def units(folder, k=2, encoder="raw"):
    names = place(f"folder:{folder}", None, encoder)
    return units_of([Cell.of(**names, clusterer="kmeans", k=k, metrics=("calinski_harabasz",))])


@pytest.mark.parametrize("how", ["moved", "emptied"])
def test_an_embedding_is_used_although_its_images_are_gone(folder, store, how):
    assert run_grid(units(folder), store, CPU).computed == 1
    if how == "moved":
        folder.rename(folder.with_name("elsewhere"))
    else:  # an unplugged disk leaves the folder it was mounted on
        shutil.rmtree(folder)
        folder.mkdir()
    watcher = Notes()
    done = run_grid(units(folder, k=3), store, CPU, watcher=watcher)
    assert (done.computed, done.failed) == (1, 0)
    assert any("images of folder" in text and "are gone" in text for text in watcher.notes)
    assert status(units(folder), store, CPU)["done"] == 1


def test_a_folder_that_never_was_embedded_is_refused_before_anything_runs(folder, store, tmp_path):
    with pytest.raises(InputError, match="there is no folder"):
        run_grid([*units(folder), *units(tmp_path / "typo")], store, CPU)
    assert not store.root.exists()


def test_a_missing_checkpoint_is_refused_before_anything_runs(folder, store, tmp_path):
    with pytest.raises(WeightsError, match="no checkpoint file"):
        run_grid(units(folder, encoder=f"file:{tmp_path}/no.pth?arch=resnet18"), store, CPU)
    assert not store.root.exists()


def damage(path, how):
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-4])


@pytest.mark.parametrize("how", ["gone", "cut off"])
@pytest.mark.parametrize("which", ["array", "labels"])
def test_vectors_that_are_gone_or_cut_off_are_not_called_embedded(folder, store, which, how):
    if (which, how) == ("labels", "cut off"):
        pytest.skip("found when the labels are read")
    (unit,) = units(folder)
    run_grid([unit], store, CPU)
    damage(getattr(store.embedding(unit), which), how)
    found = load.look_up(unit, store, load.DEFAULT_OPTIONS, Watcher())
    assert isinstance(found.problem, DamagedFileError)
    again = gpuclust("embed", f"folder:{folder}", "raw", "--root", store.root)
    assert again.returncode == 0
    assert "it is embedded again" in again.stderr
    assert "already embedded" not in again.stderr
    third = gpuclust("embed", f"folder:{folder}", "raw", "--root", store.root)
    assert "already embedded" in third.stderr


def test_rows_are_found_although_the_vectors_are_gone(folder, store):
    (unit,) = units(folder)
    run_grid([unit], store, CPU)
    store.embedding(unit).array.unlink()
    done = run_grid([unit], store, CPU)
    assert (done.computed, done.skipped) == (0, 1)


def test_a_new_photo_is_embedded_alone_on_the_command_line(folder, store):
    ask = ("embed", f"folder:{folder}", "raw", "--root", store.root)
    assert gpuclust(*ask).returncode == 0
    Image.new("RGB", (8, 8)).save(folder / "new.png")
    said = gpuclust(*ask).stderr
    assert "1 of 13 images is new and is embedded; 12 are taken from before" in said
    forced = gpuclust(*ask, "--force").stderr
    assert "taken from before" not in forced

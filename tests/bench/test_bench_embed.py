"""Timing of embeddings: every step has its figures, one pass gives the bits of several."""

import json

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from cli.main import app
from gpuclust import datasets
from gpuclust.bench import embedding, subset
from gpuclust.embeddings import embed
from gpuclust.encoders import geometry
from gpuclust.errors import InputError

PAIR = ("random/test_byobnet", "random/test_vit")  # one geometry, other statistics


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench") / "photos"
    subset.write_photos(folder, 10, (600, 400))
    return f"folder:{folder}"


def setting(photos, **changes):
    given = {"encoders": PAIR, "dataset": photos, "images": 8, "runs": 2, "loaders": 0}
    return embedding.Setting(**given | {"device": "cpu"} | changes)


@pytest.fixture(scope="module")
def found(photos):
    return embedding.bench_embed(setting(photos), say=lambda text: None)


def test_every_step_of_every_encoder_has_its_figures(found):
    assert (found["images"], found["loaders"], found["device"]) == (8, 0, "cpu")
    assert list(found["encoders"]) == list(PAIR)
    for one in found["encoders"].values():
        assert list(one["seconds"]) == [*embedding.STEPS, "whole"]
        assert all(len(rounds) == 2 and min(rounds) > 0 for rounds in one["seconds"].values())
        for step, rounds in one["seconds"].items():
            assert one["per_second"][step] == pytest.approx(1 / np.mean(rounds))
            assert one["spread"][step] == pytest.approx(np.ptp(rounds) / np.mean(rounds))
        whole = np.mean(one["seconds"]["whole"])
        assert one["share"]["decode"] == pytest.approx(np.mean(one["seconds"]["decode"]) / whole)
        assert one["limits"] in embedding.STEPS
    json.dumps(found)


def test_one_pass_and_a_pass_for_each_give_the_same_bits(photos):
    found = embedding._compare_passes(setting(photos, runs=1), lambda text: None)
    assert found["bits_equal"]
    one, each = (found["seconds"][key] for key in ("one_pass", "pass_each"))
    assert found["speedup"] == pytest.approx(each[0] / one[0])


def test_the_steps_in_turn_are_the_work_of_embed(photos, monkeypatch):
    data = embedding.open_subset(setting(photos))
    from gpuclust import encoders

    timed = embedding._Timed(data, encoders.load(PAIR[0]), "cpu", setting(photos))
    kept, plain = [], embed.load
    monkeypatch.setattr(
        embed, "load", lambda *some: kept.append(np.array(plain(*some).X)) or plain(*some)
    )
    timed.round()
    _, _, pixels = timed._decode()
    batch, _ = timed._normalize(pixels)
    assert torch.equal(batch, torch.stack([timed.encoder.transform(data[i][0]) for i in range(8)]))
    assert np.array_equal(timed.job.forward(batch).numpy(), kept[0])
    assert geometry.split(timed.encoder.transform) is not None


def test_a_subset_is_the_images_and_labels_at_equal_distances(photos):
    whole = datasets.load("digits")
    some = embedding.open_subset(setting("digits", images=5))
    assert some.indices.tolist() == [0, 449, 898, 1347, 1796]
    assert some.labels.tolist() == whole.labels[some.indices].tolist()
    assert np.array_equal(np.asarray(some[1][0]), np.asarray(whole[449][0]))
    assert some.fingerprint != embedding.open_subset(setting("digits", images=6)).fingerprint
    assert len(embedding.open_subset(setting(photos, images=99))) == 10


def test_the_path_of_a_folder_is_a_dataset_as_in_other_commands(tmp_path, monkeypatch):
    subset.write_photos(tmp_path / "mine", 2, (60, 40))
    monkeypatch.chdir(tmp_path)
    plain = embedding.open_subset(embedding.Setting(("raw",), dataset="mine"))
    assert plain.name == f"folder:{tmp_path / 'mine'}"


def test_loaders_share_the_decoding_on_a_gpu_only():
    seconds = {"decode": 0.02, "resize": 0.001, "normalize": 0.001, "encode": 0.012}
    assert embedding.limit(seconds, 2, on_gpu=False, cores=4) == "decode"
    assert embedding.limit(seconds, 2, on_gpu=True, cores=4) == "encode"
    assert embedding.limit(seconds | {"resize": 0.03}, 0, on_gpu=True, cores=4) == "resize"


def test_images_that_cannot_be_decoded_are_refused(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    with pytest.raises(InputError, match="none of 1 images"):
        embedding.bench_embed(setting(f"folder:{tmp_path}"), say=lambda text: None)


def test_a_preprocessing_without_separate_steps_is_refused(photos):
    with pytest.raises(InputError, match="own-device"):
        embedding.bench_embed(setting(photos, preprocess="own-device"))


def test_the_command_prints_and_writes_the_figures(photos, tmp_path):
    path = tmp_path / "out.json"
    command = ["bench", "embed", photos, "--encoder", "raw", "--images", "4", "--runs", "1"]
    done = CliRunner().invoke(app, [*command, "--device", "cpu", "--json", str(path)])
    assert done.exit_code == 0, done.output
    content = json.loads(path.read_text())
    assert {"commit", "host", "date", "encoders", "setting"} <= set(content)
    assert content["images"] == 4
    refused = CliRunner().invoke(app, [*command, "--together"])
    assert isinstance(refused.exception, InputError) or "at least twice" in refused.output

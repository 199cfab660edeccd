"""Unfit files of the study's encoders: keys, damage, code, hashes, unreleased ones."""

import dataclasses
import os

import published_networks as by_formula
import pytest
import torch
from file_server import FileServer
from published_networks import zeros

from gpuclust import encoders
from gpuclust.encoders import download
from gpuclust.encoders.catalogue.study import STUDY
from gpuclust.encoders.sources import published
from gpuclust.errors import WeightsError

RESNET = {key: zeros(*shape) for key, shape in by_formula.resnet_shapes().items()}
VIT = {key: zeros(*shape) for key, shape in by_formula.vit_shapes().items()}
UNRELEASED = [name for name, entry in STUDY.items() if not entry.released]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Empty folder of weights, without the network, and without published hashes."""
    monkeypatch.setenv("GPUCLUST_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(download, "PAUSES", ())
    with FileServer(b"") as gone:
        address = gone.url
    for name, entry in STUDY.items():
        if entry.weights:
            monkeypatch.setitem(
                STUDY, name, dataclasses.replace(entry, sha256=None, weights=address)
            )
    for name, form in published.FORMATS.items():
        monkeypatch.setitem(published.FORMATS, name, dataclasses.replace(form, md5=""))
    return tmp_path


def refused(name):
    with pytest.raises(WeightsError) as caught:
        encoders.load(name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def without(state, *keys):
    return {key: value for key, value in state.items() if key not in keys}


def test_missing_unexpected_and_misshaped_keys_are_listed(place):
    state = without(RESNET, "layer1.0.bn1.weight", "conv1.weight")
    state |= {"layer4.3.conv1.weight": zeros(3), "bn1.bias": zeros(65)}
    torch.save(state, place / "vicreg_resnet50.pth")
    said = refused("vicreg_resnet50")
    assert "2 missing: conv1.weight, layer1.0.bn1.weight" in said
    assert "1 of another shape: bn1.bias (65,) instead of (64,)" in said
    assert "1 unexpected: layer4.3.conv1.weight" in said
    assert str(place / "vicreg_resnet50.pth") in said


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        # A classifier is no part of this format, so the file is another one.
        ("vicreg_resnet50", RESNET | {"fc.bias": zeros(9)}, "1 unexpected: fc.bias"),
        ("dino_vitb16", VIT | {"head.bias": zeros(9)}, "1 unexpected: head.bias"),
        ("resnet50", without(RESNET, "bn1.running_var"), "1 missing: bn1.running_var"),
        ("mocov3_resnet50", {"model": RESNET}, "has no 'state_dict'"),
        ("mocov3_resnet50", {"state_dict": RESNET}, "missing: module.base_encoder.conv1.weight"),
        ("mocov3_vit_base", {"state_dict": VIT, "epoch": 1}, "missing: module.base_encoder.cls_"),
        ("mae_pretrain_vit_base", VIT, "has no 'model'"),
        ("mae_pretrain_vit_base_global", {"model": without(VIT, "pos_embed")}, "pos_embed"),
        # The norm after the average is untrained in the study: a trained one is another file.
        (
            "mae_pretrain_vit_base_global",
            {"model": VIT | {"fc_norm.weight": zeros(768), "fc_norm.bias": zeros(768)}},
            "2 unexpected: fc_norm.weight, fc_norm.bias",
        ),
        ("mae_finetuned_vit_base_global", {"model": VIT}, "missing: fc_norm.weight, fc_norm.bias"),
        ("vitb16", VIT, "missing: class_token"),
        ("dino_vitb16", {"teacher": VIT, "student": VIT}, "at its top"),
        ("ft_mocov3_resnet50", {"model": RESNET | {"layer9.bias": zeros(2)}}, "layer9.bias"),
    ],
)  # fmt: skip
def test_a_file_of_another_format_is_refused(place, name, content, said):
    torch.save(content, place / published.file_of(name).name)
    assert said in refused(name)


class _Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("old_format", [False, True])
def test_a_file_with_code_is_refused_and_does_not_run(place, old_format):
    path = place / "dino_resnet50.pth"
    content = RESNET | {"x": _Evil(place / "ran")}
    torch.save(content, path, _use_new_zipfile_serialization=not old_format)
    assert "would run code from the file" in refused("dino_resnet50")
    assert not (place / "ran").exists()


@pytest.mark.parametrize("old_format", [False, True])
def test_a_file_that_was_cut_off_is_refused(place, old_format):
    path = place / "dino_resnet50.pth"
    torch.save(
        {"conv1.weight": torch.ones(9000)}, path, _use_new_zipfile_serialization=not old_format
    )
    path.write_bytes(path.read_bytes()[:-2000])
    message = refused("dino_resnet50")
    assert message.endswith("it is cut off or damaged. Download it again.")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\n <!DOCTYPE html><html><body>Log in</body></html>", "it is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "git lfs pull"),
        (b"", "it is empty"),
        (b"nothing of this kind", "cannot be read as a checkpoint"),
    ],
)
def test_a_file_that_is_something_else_is_refused(place, content, said):
    for suffix in (".pth", ".safetensors"):
        path = place / f"vicreg_resnet50{suffix}"
        path.write_bytes(content)
        if suffix == ".pth" or content:
            assert said in refused("vicreg_resnet50")
        path.unlink()


def test_a_wrong_hash_names_both_and_the_page(tmp_path, monkeypatch):
    monkeypatch.setenv("GPUCLUST_WEIGHTS", str(tmp_path))
    for name, digits in (("resnet50", "11ad3fa6"), ("mae_pretrain_vit_base", "8cad7c")):
        path = tmp_path / published.file_of(name).name
        torch.save(RESNET, path)
        said = refused(name)
        assert digits in said
        assert STUDY[name].url in said
        assert str(path) in said
        assert path.exists()


def test_the_hashes_of_torchvision_begin_as_its_file_names_say():
    for name in ("resnet50", "vitb16"):
        entry = STUDY[name]
        assert f"-{entry.sha256[:8]}." in entry.weights
        assert len(entry.sha256) == 64


@pytest.mark.parametrize("name", [name for name, entry in STUDY.items() if entry.weights])
def test_a_missing_file_says_what_to_put_where(place, name):
    encoders.check(name)
    said = refused(name)
    file = published.file_of(name)
    for part in (name, STUDY[name].weights, file.name, str(place), "GPUCLUST_WEIGHTS"):
        assert part in said
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("name", UNRELEASED)
def test_an_unreleased_checkpoint_passes_the_check_and_cannot_be_built(place, name):
    assert str(encoders.check(name)) == name
    said = refused(name)
    assert "never released" in said
    assert "50 epochs" in said
    assert str(place / f"{name}.pth") in said
    assert len(UNRELEASED) == 5


@pytest.mark.parametrize("prefix", ["", "module.", "0.", "module.base_encoder."])
def test_a_user_s_own_fine_tuned_file_may_have_a_usual_prefix(place, prefix):
    state = {prefix + key: value for key, value in RESNET.items()}
    torch.save({"model": state}, place / "ft_vicreg_resnet50.pth")
    encoder = encoders.load("ft_vicreg_resnet50")
    assert float(encoder.module(torch.ones(1, 3, 64, 64)).detach().abs().sum()) == 0


def test_a_download_is_loaded_at_once(place, monkeypatch, tmp_path):
    path = tmp_path / "served"
    torch.save(RESNET, path)
    with FileServer(path.read_bytes(), cuts=[1000]) as server:
        path.unlink()
        monkeypatch.setattr(download, "PAUSES", (0.0,))
        entry = dataclasses.replace(STUDY["vicreg_resnet50"], weights=server.url)
        monkeypatch.setitem(STUDY, "vicreg_resnet50", entry)
        encoder = encoders.load("vicreg_resnet50", preprocess="study")
        assert len(server.requests) == 2
    assert encoder.source["url"] == server.url
    assert [path.name for path in place.iterdir()] == ["vicreg_resnet50.pth"]

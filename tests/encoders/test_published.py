"""Encoders of the study: each published format gives the features of the network by formula."""

import dataclasses
import hashlib
from typing import Any, NamedTuple

import published_networks as by_formula
import pytest
import torch
from published_networks import zeros
from safetensors.torch import save_file
from torch import nn

from gpuclust import encoders
from gpuclust.encoders.catalogue.study import STUDY
from gpuclust.encoders.sources import published

STUDY_PREPROCESSING = {
    "resize": 224,
    "resize_mode": "shortest",
    "crop": [224, 224],
    "interpolation": "bilinear",
    "antialias": True,
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
}
# The authors' own evaluation: shorter edge, interpolation.
OWN = {
    "resnet50": (232, "bilinear"),
    "mocov3_resnet50": (256, "bilinear"),
    "dino_resnet50": (256, "bicubic"),
    "vicreg_resnet50": (256, "bilinear"),
    "vitb16": (256, "bilinear"),
    "mocov3_vit_base": (256, "bilinear"),
    "dino_vitb16": (256, "bicubic"),
    "mae_pretrain_vit_base": (256, "bicubic"),
    "mae_pretrain_vit_base_global": (256, "bicubic"),
    "mae_finetuned_vit_base_global": (256, "bicubic"),
}
RESNETS = [name for name in published.FORMATS if "resnet50" in name]
# The unreleased ones have the network of another row, and 340 MB.
VITS = [
    pytest.param(name, marks=[pytest.mark.long] if name.startswith("ft_") else [])
    for name in published.FORMATS
    if "resnet50" not in name
]


class Case(NamedTuple):
    content: Any  # what the published file holds
    feature: torch.Tensor  # of `images`, by formula


def prefixed(prefix, state):
    return {prefix + key: value for key, value in state.items()}


@pytest.fixture(scope="module")
def images():
    return torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def resnet(images):
    state = by_formula.random_tensors(by_formula.resnet_shapes(), seed=2)
    return state, by_formula.resnet_feature(state, images)


@pytest.fixture(scope="module")
def vit():
    state = by_formula.random_tensors(by_formula.vit_shapes(), seed=3)
    return state | {"pos_embed": by_formula.moco_position_embedding()}


@pytest.fixture(scope="module")
def tokens(vit, images):
    return by_formula.vit_tokens(vit, images)


@pytest.fixture(scope="module")
def class_feature(vit, tokens):
    return by_formula.norm(tokens[:, 0], vit["norm.weight"], vit["norm.bias"])


def moco(state, head):
    """Build the file of MoCo-v3: both encoders with their projectors, the predictor, SGD."""
    wrong = {key: zeros(*value.shape) for key, value in state.items()}
    projector = {f"{head}.0.weight": zeros(4096, 8), f"{head}.1.running_mean": zeros(4096)}
    model = (
        prefixed("module.base_encoder.", state | projector)
        | prefixed("module.momentum_encoder.", wrong | projector)
        | prefixed("module.predictor.", {"0.weight": zeros(4096, 256), "4.running_var": zeros(9)})
    )
    optimizer = {"state": {0: {"mu": zeros(3)}}, "param_groups": [{"lr": 0.3, "params": [0]}]}
    return {"epoch": 1000, "arch": "x", "state_dict": model, "optimizer": optimizer}


def resnet_case(name, state, feature, images):
    classifier = {"fc.weight": zeros(1000, 2048), "fc.bias": zeros(1000)}
    if name == "resnet50":
        return Case(state | classifier, feature)
    if name == "mocov3_resnet50":
        return Case(moco(state, "fc"), feature)
    if name == "dino_resnet50":
        return Case(state, feature)
    if name == "vicreg_resnet50":
        return Case(state, by_formula.resnet_feature(state, images, padded_first=True))
    if name == "ft_vicreg_resnet50":  # a sequence of encoder and classifier
        sequence = prefixed("0.", state) | {"1.weight": zeros(1000, 2048), "1.bias": zeros(1000)}
        return Case({"model": sequence, "epoch": 50}, feature)
    return Case({"model": state | classifier, "epoch": 50}, feature)


def vit_case(name, state, tokens, class_feature):
    head = {"head.weight": zeros(1000, 768), "head.bias": zeros(1000)}
    if name == "vitb16":
        renamed = by_formula.as_torchvision(state)
        heads = {"heads.head.weight": zeros(1000, 768), "heads.head.bias": zeros(1000)}
        return Case(renamed | heads, class_feature)
    if name == "mocov3_vit_base":
        return Case(moco(state, "head"), class_feature)
    if name == "dino_vitb16":
        return Case(state, class_feature)
    if name.startswith("ft_"):
        return Case({"model": state | head, "epoch": 50}, class_feature)
    decoder = {"mask_token": zeros(1, 1, 512), "decoder_blocks.0.norm1.weight": zeros(512)}
    if name == "mae_pretrain_vit_base":
        return Case({"model": state}, class_feature)
    mean = tokens[:, 1:].mean(dim=1)
    if name == "mae_pretrain_vit_base_global":
        return Case({"model": state | decoder}, nn.LayerNorm(768, eps=1e-6)(mean).detach())
    tuned = {key: value for key, value in state.items() if not key.startswith("norm.")} | head
    weight, bias = state["norm.weight"] + 0.1, state["norm.bias"] - 0.1
    tuned |= {"fc_norm.weight": weight, "fc_norm.bias": bias}
    return Case({"model": tuned}, by_formula.norm(mean, weight, bias))


def digest_of(path, kind):
    with path.open("rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """Save the file of an encoder, as if its hash were the published one; remove it afterwards."""
    monkeypatch.setenv("GPUCLUST_WEIGHTS", str(tmp_path))

    def save(name, content):
        path = tmp_path / published.file_of(name).name
        torch.save(content, path)
        entry, form = STUDY[name], published.FORMATS[name]
        if entry.sha256 is not None:
            digest = digest_of(path, "sha256")
            monkeypatch.setitem(STUDY, name, dataclasses.replace(entry, sha256=digest))
        if form.md5:
            digest = digest_of(path, "md5")
            assert len(form.md5) == 6
            monkeypatch.setitem(published.FORMATS, name, dataclasses.replace(form, md5=digest[:6]))
        return path

    yield save
    for path in tmp_path.iterdir():
        path.unlink()


def assert_gives(name, images, feature):
    encoder = encoders.load(name, preprocess="study")
    with torch.inference_mode():
        found = encoder.module(images)
    assert found.shape == (1, STUDY[name].dimension)
    # The features vary: another network, token or order could not agree by chance.
    assert feature.std() > 0.1
    torch.testing.assert_close(found, feature, rtol=1e-3, atol=1e-3 * float(feature.std()))
    assert encoder.preprocessing == STUDY_PREPROCESSING
    return encoder


@pytest.mark.parametrize("name", RESNETS)
def test_a_published_resnet_gives_the_features_by_formula(weights, images, resnet, name):
    case = resnet_case(name, *resnet, images)
    path = weights(name, case.content)
    encoder = assert_gives(name, images, case.feature)
    assert encoder.source["file"] == path.name
    assert encoder.source["sha256"] == digest_of(path, "sha256")
    assert encoder.source["url"] == STUDY[name].weights


@pytest.mark.parametrize("name", VITS)
def test_a_published_vit_gives_the_features_by_formula(
    weights, images, vit, tokens, class_feature, name
):
    case = vit_case(name, vit, tokens, class_feature)
    weights(name, case.content)
    encoder = assert_gives(name, images, case.feature)
    norms = [module.eps for module in encoder.module.modules() if isinstance(module, nn.LayerNorm)]
    assert (len(norms), set(norms)) == (25, {1e-6})
    with pytest.raises((AssertionError, RuntimeError)):  # these ViTs take 224 pixels
        encoder.module(torch.zeros(1, 3, 160, 160))


def test_every_row_of_the_study_is_an_entry_and_every_file_has_a_format():
    rows = {entry.study: name for name, entry in STUDY.items()}
    assert len(rows) == len(STUDY) == 20 - 1  # and the pixels, as `raw`
    assert rows.pop("timm_vit_base_patch16_224.mae") == "mae_pretrain_vit_base"
    assert all(study == name for study, name in rows.items())
    files = {name for name, entry in STUDY.items() if entry.target.endswith("published:build")}
    assert files == set(published.FORMATS)
    unreleased = {name for name in files if not STUDY[name].released}
    assert unreleased == {name for name in files if name.startswith("ft_")}
    assert {name for name in files if STUDY[name].weights} == files - unreleased
    stems = [published.file_of(name).stem for name in files]
    assert len(set(stems)) == len(stems) - 1  # MAE's file serves two encoders


@pytest.mark.parametrize("name", OWN)
def test_the_own_preprocessing_is_that_of_the_authors(name):
    form = published.FORMATS[name]
    parts = published._parts(nn.Identity(), STUDY[name], form, {})
    resize, interpolation = OWN[name]
    expected = STUDY_PREPROCESSING | {"resize": resize, "interpolation": interpolation}
    assert parts.own.facts == expected
    assert parts.study().facts == STUDY_PREPROCESSING


def test_a_converted_file_gives_the_same_weights_hash(weights, tmp_path, resnet):
    path = weights("vicreg_resnet50", resnet[0])
    original = encoders.load("vicreg_resnet50")
    path.unlink()
    save_file(resnet[0], tmp_path / "vicreg_resnet50.safetensors")
    converted = encoders.load("vicreg_resnet50")
    assert converted.weights_hash == original.weights_hash
    assert converted.source["file"] == "vicreg_resnet50.safetensors"


@pytest.mark.parametrize("name", ["random_resnet50", "random_vitb16"])
def test_random_weights_are_those_of_torchvision_after_its_seed(images, name):
    import torchvision

    build, head = {
        "random_resnet50": (torchvision.models.resnet50, "fc"),
        "random_vitb16": (torchvision.models.vit_b_16, "heads"),
    }[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build(weights=None).eval()
    setattr(network, head, nn.Identity())
    before = torch.get_rng_state()
    encoder = encoders.load(name)
    assert torch.equal(torch.get_rng_state(), before)
    with torch.inference_mode():
        torch.testing.assert_close(encoder.module(images), network(images), rtol=0, atol=0)
    assert encoder.preprocessing == STUDY_PREPROCESSING
    if name == "random_resnet50":
        other = encoders.load(f"{name}?seed=1", preprocess="study")
        assert other.weights_hash != encoder.weights_hash
        assert other.preprocessing == STUDY_PREPROCESSING
        assert encoders.load(f"{name}?seed=0").weights_hash == encoder.weights_hash

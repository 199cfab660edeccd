"""CLIP of the study: OpenAI's files give the features of image towers by formula."""

import clip_networks as by_formula
import open_clip
import pytest
import torch

from gpuclust import encoders
from gpuclust.encoders import hub
from gpuclust.encoders.catalogue.study import STUDY
from gpuclust.encoders.sources import open_clip as source
from gpuclust.errors import WeightsError

TOWERS = {
    "clip_vitb16": (by_formula.vit_state, by_formula.vit_feature, 512),
    "clip_RN50": (by_formula.resnet_state, by_formula.resnet_feature, 1024),
}
MEAN = [0.48145466, 0.4578275, 0.40821073]
STD = [0.26862954, 0.26130258, 0.27577711]


@pytest.mark.parametrize("name", TOWERS)
def test_a_clip_of_openai_gives_the_features_by_formula(tmp_path, monkeypatch, name):
    draw, feature, d = TOWERS[name]
    state = draw()
    path = tmp_path / "open_clip_model.pt"
    visual = {f"visual.{key}": value for key, value in state.items()}
    torch.save(by_formula.text_tower(d) | visual, path)
    asked = []
    for module in (source, open_clip.factory):
        monkeypatch.setattr(
            module, "download_pretrained", lambda config, **more: asked.append(config) or str(path)
        )
    monkeypatch.setattr(hub, "check_available", lambda repository: None)
    encoder = encoders.load(name, preprocess="study")
    assert {config["hf_hub"] for config in asked} <= {
        "timm/vit_base_patch16_clip_224.openai/",
        "timm/resnet50_clip.openai/",
    }
    x = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        found, expected = encoder.module(x), feature(state, x)
    assert found.shape == (1, d) == (1, STUDY[name].dimension)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 * float(expected.std()))
    assert encoder.preprocessing == {
        "resize": 224,
        "resize_mode": "shortest",
        "crop": [224, 224],
        "interpolation": "bilinear",
        "antialias": True,
        "mean": MEAN,
        "std": STD,
    }


@pytest.mark.parametrize("name", TOWERS)
def test_the_model_behind_the_name_has_the_activation_of_openai(name):
    model = STUDY[name].stands_for.split("/")[1]
    assert open_clip.get_model_config(model)["quick_gelu"] is True
    assert str(encoders.check(name)) == name


@pytest.mark.parametrize(
    ("name", "quick"),
    [
        ("open_clip/ViT-B-16/openai", True),
        ("open_clip/ViT-B-16-quickgelu/openai", True),
        ("open_clip/ViT-B-16/laion2b_s34b_b88k", False),
    ],
)
def test_the_activation_is_that_of_the_weights_under_every_model_name(monkeypatch, name, quick):
    built = []

    def refuse(model, **options):
        built.append(options["force_quick_gelu"])
        raise RuntimeError("not built here")

    monkeypatch.setattr(hub, "check_available", lambda repository: None)
    monkeypatch.setattr(source, "download_pretrained", lambda config: "file")
    monkeypatch.setattr(open_clip, "create_model", refuse)
    with pytest.raises(WeightsError, match="not built here"):
        encoders.load(name)
    assert built == [quick]

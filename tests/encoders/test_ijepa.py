"""I-JEPA: the target encoder of a file in the authors' format, not its context encoder."""

import pytest
import timm
import torch
from PIL import Image

from gpuclust import encoders
from gpuclust.encoders.catalogue.today import TODAY
from gpuclust.encoders.sources import ijepa
from gpuclust.errors import InputError, WeightsError

NAME = "ijepa_vith14_in1k"
TINY = {"embed_dim": 32, "depth": 2, "num_heads": 2}


def network(seed):
    """Build a small network of the same kind, with random weights and sizes of norms."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = timm.create_model(ijepa.MODELS[NAME], num_classes=0, **TINY).eval()
        for weight in made.parameters():
            torch.nn.init.normal_(weight, std=0.3)
    return made


@pytest.fixture
def nets():
    return {"encoder": network(1), "target_encoder": network(2)}


@pytest.fixture
def save(monkeypatch, tmp_path, nets):
    """Write the file as `train.py` of the authors does, into the folder of weights."""
    monkeypatch.setenv("GPUCLUST_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(ijepa, "NETWORK", TINY)

    def write(file="IN1K-vit.h.14-300e.pth.tar", prefix="module.", without=""):
        content = {
            part: {f"{prefix}{key}": value for key, value in net.state_dict().items()}
            for part, net in nets.items()
        }
        content |= {
            "predictor": {f"{prefix}mask_token": torch.zeros(1, 1, 8)},
            "opt": {"state": {}, "param_groups": [{"lr": 1e-3}]},
            "scaler": None,
            "epoch": 300,
            "loss": 0.1,
        }
        content.pop(without, None)
        torch.save(content, tmp_path / file)
        return tmp_path / file

    return write


@pytest.fixture
def batch():
    return torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("prefix", ["module.", ""])
@pytest.mark.parametrize("file", ["IN1K-vit.h.14-300e.pth.tar", f"{NAME}.pth.tar"])
def test_the_feature_is_the_average_of_the_target_encoder(save, nets, batch, file, prefix):
    save(file, prefix)
    encoder = encoders.load(NAME)
    with torch.inference_mode():
        found = encoder.module(batch)
        target, context = (
            nets[part].norm(nets[part].blocks(nets[part]._pos_embed(nets[part].patch_embed(batch))))
            for part in ("target_encoder", "encoder")
        )
    assert target.shape == (2, 256, 32)  # no class token
    torch.testing.assert_close(found, target.mean(dim=1), rtol=1e-5, atol=1e-5)
    assert (found - context.mean(dim=1)).abs().max() > 0.1
    assert encoder.source["under"] == "target_encoder"
    assert encoder.transform(Image.new("RGB", (90, 60))).shape == (3, 224, 224)


def test_another_size_resamples_the_positions_as_timm_does(save, nets):
    save()
    images = torch.randn(1, 3, 112, 112, generator=torch.Generator().manual_seed(0))
    resized = timm.create_model(ijepa.MODELS[NAME], num_classes=0, img_size=112, **TINY).eval()
    wanted = timm.models.vision_transformer.checkpoint_filter_fn(
        nets["target_encoder"].state_dict(), resized
    )
    resized.load_state_dict(wanted)
    encoder = encoders.load(f"{NAME}?size=112")
    with torch.inference_mode():
        torch.testing.assert_close(encoder.module(images), resized(images), rtol=0, atol=0)


def test_a_file_without_target_encoder_is_refused(save):
    path = save(without="target_encoder")
    with pytest.raises(WeightsError) as caught:
        encoders.load(NAME)
    assert f"{str(path)!r} has no 'target_encoder'" in str(caught.value)


def test_a_file_of_another_network_is_refused_with_its_keys(save, nets):
    nets["target_encoder"] = timm.create_model(
        ijepa.MODELS[NAME], num_classes=0, **(TINY | {"depth": 1})
    )
    save()
    with pytest.raises(WeightsError, match=r"module\.blocks\.1\."):
        encoders.load(NAME)


def test_wrong_options_need_no_file():
    for options in ("pool=cls", "size=225"):
        with pytest.raises(InputError):
            encoders.check(f"{NAME}?{options}")


@pytest.mark.parametrize("name", ijepa.MODELS)
def test_the_network_in_timm_is_that_of_the_entry(name):
    config = timm.get_pretrained_cfg(ijepa.MODELS[name])
    assert config.url == TODAY[name].weights
    with torch.device("meta"):
        made = timm.create_model(ijepa.MODELS[name], num_classes=0)
    assert made.num_features == TODAY[name].dimension
    assert made.cls_token is None
    assert made.norm.eps == 1e-6  # as in the authors' network

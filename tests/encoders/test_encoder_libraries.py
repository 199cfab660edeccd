"""Encoders of open_clip and torchvision, with synthetic weights and without a network."""

import http.server
import json
import os
import threading
from pathlib import Path

import open_clip
import pytest
import torch
import torchvision
from huggingface_hub import constants
from huggingface_hub.errors import LocalEntryNotFoundError
from PIL import Image
from torch import nn

from gpuclust import encoders
from gpuclust.encoders import hub
from gpuclust.errors import InputError, WeightsError

CLIP = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
    "text_cfg": {"context_length": 8, "vocab_size": 50, "width": 16, "heads": 2, "layers": 1},
}


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Tiny CLIP model, registered with open_clip."""
    path = tmp_path_factory.mktemp("clip") / "tiny-clip.json"
    path.write_text(json.dumps(CLIP))
    open_clip.add_model_config(path)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return open_clip.create_model("tiny-clip").eval()


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    """Make the hub unreachable and the caches empty."""
    monkeypatch.setattr(hub, "reachable", lambda url: False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


def test_open_clip_loads_a_checkpoint_and_gives_encode_image(clip, no_network, tmp_path):
    path = tmp_path / "clip.pt"
    torch.save({"state_dict": clip.state_dict()}, path)
    encoder = encoders.load(f"open_clip/tiny-clip/{path}")
    image = Image.new("RGB", (50, 40), (10, 200, 30))
    batch = encoder.transform(image)[None]
    with torch.inference_mode():
        torch.testing.assert_close(encoder.module(batch), clip.encode_image(batch))
    assert batch.shape == (1, 3, 32, 32)
    assert encoder.preprocessing["interpolation"] == "bicubic"
    assert tuple(encoder.preprocessing["mean"]) == open_clip.OPENAI_DATASET_MEAN
    assert not any("transformer.resblocks" in key and "visual" not in key
                   for key in encoder.module.state_dict())  # fmt: skip
    torch.save(encoder.transform, tmp_path / "transform")  # it can be sent to a worker


def test_open_clip_refuses_a_checkpoint_that_does_not_fit_or_runs_code(clip, no_network, tmp_path):
    path = tmp_path / "clip.pt"
    torch.save({"state_dict": {"visual.proj": torch.zeros(2)}}, path)
    with pytest.raises(WeightsError, match="open_clip cannot load"):
        encoders.load(f"open_clip/tiny-clip/{path}")
    torch.save({"state_dict": _Evil(tmp_path / "ran")}, path)
    with pytest.raises(WeightsError, match="open_clip cannot load"):
        encoders.load(f"open_clip/tiny-clip/{path}")
    assert not (tmp_path / "ran").exists()
    with pytest.raises(WeightsError, match="no checkpoint file"):
        encoders.check(f"open_clip/tiny-clip/{tmp_path / 'none.pt'}")


def test_the_study_preprocessing_is_refused_by_a_clip_of_another_size(clip, no_network, tmp_path):
    path = tmp_path / "clip.pt"
    torch.save(clip.state_dict(), path)
    with pytest.raises(InputError, match="32 x 32"):
        encoders.load(f"open_clip/tiny-clip/{path}", preprocess="study")


class _Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def put_in_torch_cache(content, weights):
    """Save a file under the name of the download in torchvision's cache."""
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(content, folder / weights.url.rpartition("/")[2])


def test_torchvision_loads_through_its_own_builder_without_the_last_layer(no_network):
    weights = torchvision.models.ShuffleNet_V2_X0_5_Weights.IMAGENET1K_V1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        model = torchvision.models.shufflenet_v2_x0_5().eval()
    put_in_torch_cache(model.state_dict(), weights)
    encoder = encoders.load(f"torchvision/{weights}")
    image = Image.new("RGB", (300, 260), (10, 200, 30))
    batch = encoder.transform(image)[None]
    torch.testing.assert_close(batch[0], weights.transforms()(image), rtol=0, atol=0)
    model.fc = nn.Identity()
    with torch.inference_mode():
        torch.testing.assert_close(encoder.module(batch), model(batch), rtol=0, atol=0)
    assert encoder.preprocessing["resize"] == 256
    assert encoder.source["url"] == weights.url
    study = encoders.load(f"torchvision/{weights}", preprocess="study")
    assert study.preprocessing["resize"] == 224
    assert study.weights_hash == encoder.weights_hash


def test_a_downloaded_file_cannot_run_code(no_network, tmp_path):
    put_in_torch_cache(_Evil(tmp_path / "ran"), torchvision.models.ResNet18_Weights.IMAGENET1K_V1)
    with pytest.raises(WeightsError):
        encoders.load("torchvision/ResNet18_Weights.IMAGENET1K_V1")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("name", "origin"),
    [
        ("timm/test_vit.r160_in1k", "huggingface.co/timm/test_vit.r160_in1k"),
        ("open_clip/RN50/openai", "huggingface.co/timm/resnet50_clip.openai"),
    ],
)
def test_without_a_network_the_hub_is_asked_once_and_the_error_has_alternatives(
    no_network, monkeypatch, name, origin
):
    asked = []
    original = hub.reachable
    monkeypatch.setattr(hub, "reachable", lambda url: asked.append(url) or original(url))
    with pytest.raises(WeightsError) as caught:
        encoders.load(name)
    assert len(asked) == 1
    for said in (origin, "<path>", "efficientnet_lite0", "no connection"):
        assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is not None


def test_a_failed_plain_download_is_the_same_error(no_network, monkeypatch, capsys):
    def refuse(*args, **kwargs):
        raise ConnectionRefusedError("connection refused")

    monkeypatch.setattr("torch.hub.urlopen", refuse)
    with pytest.raises(WeightsError, match=r"pytorch\.org.*connection refused"):
        encoders.load("torchvision/ResNet18_Weights.IMAGENET1K_V1")
    said = capsys.readouterr()
    assert "Downloading" in said.err
    assert said.out == ""


def test_a_server_that_answers_anything_is_reachable():
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    assert hub.reachable(url)  # status 501: the handler has no HEAD
    thread.join()
    server.server_close()
    assert not hub.reachable(url)


def test_a_repository_in_the_cache_needs_no_network(no_network, tmp_path):
    with pytest.raises(LocalEntryNotFoundError):
        hub.check_available("timm/resnet18.a1_in1k")
    repository = tmp_path / "hub" / "models--timm--resnet18.a1_in1k"
    commit = "0123456789" * 4
    (repository / "snapshots" / commit).mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    with pytest.raises(LocalEntryNotFoundError):  # a configuration alone is not enough
        hub.check_available("timm/resnet18.a1_in1k")
    (repository / "snapshots" / commit / "model.safetensors").touch()
    hub.check_available("timm/resnet18.a1_in1k")


@pytest.mark.parametrize(("offline", "asked"), [(False, ["https://huggingface.co"]), (True, [])])
def test_the_hub_is_asked_once_and_never_when_offline(no_network, monkeypatch, offline, asked):
    seen = []
    monkeypatch.setattr(hub, "reachable", seen.append)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    monkeypatch.setattr(constants, "ENDPOINT", "https://huggingface.co")
    with pytest.raises(LocalEntryNotFoundError):
        hub.check_available("timm/resnet18.a1_in1k")
    assert seen == asked

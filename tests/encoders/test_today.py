"""Today's encoders: names, networks without weights, and one load from a cache of the hub."""

import json
import logging
import math
from dataclasses import fields

import open_clip
import pytest
import timm
import torch
from huggingface_hub import constants
from PIL import Image
from safetensors.torch import save_file

from gpuclust import encoders
from gpuclust.encoders.catalogue.today import TODAY
from gpuclust.encoders.entry import FAMILIES, EncoderEntry
from gpuclust.encoders.names import parse
from gpuclust.encoders.pooling import pooled
from gpuclust.encoders.sources import timm as source_timm
from gpuclust.encoders.sources.alias import meant
from gpuclust.encoders.sources.open_clip import ImageTower
from gpuclust.encoders.table import ENCODERS
from gpuclust.errors import InputError, UnknownNameError

ALIASES = [key for key, entry in ENCODERS.items() if entry.stands_for]
ONE_NAME = {key: entry for key, entry in ENCODERS.items() if not entry.rest}
BIG = ("vitg", "vith", "g14", "_large", "so400m", "vitl14_reg", "uni2")


def sized(keys):
    return [
        pytest.param(key, marks=pytest.mark.long if any(big in key for big in BIG) else ())
        for key in keys
    ]


def network(name):
    """Build the module and its input size on the meta device, as the two sources do."""
    other = meant(parse(name))
    if other.source == "timm":
        if other.model.startswith(source_timm.HUB):
            backbone = source_timm.empty(other.model.removeprefix(source_timm.HUB))
        else:
            backbone = timm.create_model(other.model, pretrained=False, num_classes=0)
        size = timm.data.resolve_data_config({}, model=backbone)["input_size"]
        return pooled(backbone.eval(), pool=other.pool), size
    model = other.model.partition("/")[0]
    # The configuration of BioCLIP 2 is on the hub; its model card names the architecture.
    model = {"hf-hub:imageomics": "ViT-L-14"}.get(model, model)
    visual = open_clip.create_model(model, device="meta").visual.eval()
    edge = visual.preprocess_cfg["size"]
    return ImageTower(visual), (3, edge, edge) if isinstance(edge, int) else (3, *edge)


@pytest.fixture
def silent():
    """Keep open_clip from adding a handler to the root logger."""
    handler = logging.NullHandler()
    logging.getLogger().addHandler(handler)
    yield
    logging.getLogger().removeHandler(handler)


@pytest.mark.parametrize("key", sized(ALIASES))
def test_the_network_without_weights_has_the_stated_dimension(key, silent):
    with torch.device("meta"), torch.inference_mode():
        module, size = network(key)
        features = module(torch.empty(2, *size))
    assert tuple(features.shape) == (2, ENCODERS[key].dimension)


@pytest.mark.parametrize("key", sized(ALIASES))
def test_the_installed_libraries_know_the_name_and_its_pooling(key):
    assert str(encoders.check(key)) == key
    source, _, model = ENCODERS[key].stands_for.partition("/")
    model = model.partition("?")[0]
    if source == "timm" and not model.startswith("hf-hub:"):
        assert model in timm.list_models(pretrained=True)
    if source == "open_clip" and not model.startswith("hf-hub:"):
        assert tuple(model.split("/")) in open_clip.list_pretrained()


SIZED = [
    key
    for key, entry in TODAY.items()
    if "ViT-" in entry.architecture and entry.stands_for and "hf-hub:" not in entry.stands_for
]


@pytest.mark.parametrize("key", SIZED)
def test_the_network_is_the_stated_architecture(key):
    """Compare size and patch of the architecture with the name in the other library."""
    shown, other = ENCODERS[key].architecture, ENCODERS[key].stands_for
    size, _, patch = shown.rpartition("ViT-")[2].partition("/")
    words = {"S": "small", "B": "base", "L": "large", "H": "huge", "H+": "huge_plus", "g": "giant"}
    if other.startswith("timm/"):
        assert f"{words.get(size, size.lower())}_patch{patch}" in other
    else:
        assert f"ViT-{size}-{patch}" in other


@pytest.mark.parametrize("key", ENCODERS)
def test_every_entry_is_filled(key):
    entry = ENCODERS[key]
    assert entry.family in FAMILIES
    for field in ("summary", "architecture", "pretraining", "data", "labels", "licence"):
        assert getattr(entry, field).strip(), field
    assert entry.pooling
    assert "\n" not in entry.labels
    if entry.rest:
        return
    unknown = {
        field.name for field in fields(EncoderEntry) if getattr(entry, field.name) == "varies"
    }
    assert unknown == set()
    assert "unknown" not in (entry.architecture, entry.pretraining, entry.data, entry.licence)
    assert entry.labels.endswith(".")
    assert entry.gated in (True, False)
    assert entry.url.startswith("https://") or entry.licence == "none needed"
    assert entry.dimension is None if key == "raw" else 64 <= entry.dimension <= 4096


def test_only_the_names_of_the_hub_ask_for_terms():
    assert {key for key, entry in ONE_NAME.items() if entry.gated} == {"uni", "uni2_h"}


def put_in_cache(folder, repository, **files):
    """Write a snapshot of a repository into a cache of the hub; values are (name, writer)."""
    commit = "0123456789" * 4
    snapshot = folder / f"models--{repository.replace('/', '--')}" / "snapshots" / commit
    snapshot.mkdir(parents=True)
    refs = snapshot.parents[1] / "refs"
    refs.mkdir()
    (refs / "main").write_text(commit)
    for name, write in files.values():
        write(snapshot / name)


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """Make an empty cache of the hub, with no connection."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path


@pytest.fixture
def picture():
    noise = torch.rand(3, 90, 120, generator=torch.Generator().manual_seed(0)) * 255
    return Image.fromarray(noise.byte().permute(1, 2, 0).numpy())


def test_an_alias_loads_the_other_name_and_keeps_its_own(cache, picture):
    model = "vit_small_patch16_dinov3"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        direct = timm.create_model(model, num_classes=0).eval()
    put_in_cache(
        cache,
        f"timm/{model}.lvd1689m",
        weights=("model.safetensors", lambda path: save_file(direct.state_dict(), path)),
    )
    encoder = encoders.load("dinov3_vits16")
    assert encoder.name == "dinov3_vits16"
    assert encoder.source["stands_for"] == f"timm/{model}.lvd1689m?pool=cls"
    assert encoder.preprocessing["crop"] == [256, 256]
    batch = encoder.transform(picture)[None]
    with torch.inference_mode():
        tokens = direct.forward_features(batch)
        # timm's own feature is the average of the patches.
        assert (direct(batch) - tokens[:, 0]).abs().max() > 0.01
        torch.testing.assert_close(encoder.module(batch), tokens[:, 0], rtol=0, atol=0)
        both = encoders.load("dinov3_vits16?pool=cls_avg_patch")
        expected = torch.cat([tokens[:, 0], tokens[:, 5:].mean(dim=1)], dim=1)
        torch.testing.assert_close(both.module(batch), expected, rtol=0, atol=0)
    assert both.name == "dinov3_vits16?pool=cls_avg_patch"
    assert both.weights_hash == encoder.weights_hash


def test_a_repository_of_the_hub_is_loaded_by_its_own_configuration(cache, picture):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        direct = timm.create_model("test_vit", num_classes=0, init_values=0.1).eval()
    config = {
        "architecture": "test_vit",
        "num_classes": 0,
        "model_args": {"init_values": 0.1},
        "pretrained_cfg": {
            "input_size": [3, 160, 160],
            "fixed_input_size": True,
            "mean": [0.5] * 3,
            "std": [0.5] * 3,
        },
    }
    put_in_cache(
        cache,
        "someone/tiny",
        config=("config.json", lambda path: path.write_text(json.dumps(config))),
        weights=("model.safetensors", lambda path: save_file(direct.state_dict(), path)),
    )
    encoder = encoders.load("timm/hf-hub:someone/tiny?pool=cls")
    batch = encoder.transform(picture)[None]
    assert math.isclose(encoder.preprocessing["mean"][0], 0.5)
    with torch.inference_mode():
        expected = direct.forward_features(batch)[:, 0]
        torch.testing.assert_close(encoder.module(batch), expected, rtol=0, atol=0)


def test_a_clip_of_the_hub_is_loaded_by_its_own_configuration(cache, picture):
    config = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
        "text_cfg": {"context_length": 8, "vocab_size": 50, "width": 16, "heads": 2, "layers": 1},
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        direct = open_clip.CLIP(**config).eval()
    put_in_cache(
        cache,
        "someone/clip",
        config=(
            "open_clip_config.json",
            lambda path: path.write_text(
                json.dumps({"model_cfg": config, "preprocess_cfg": {"mean": [0.5] * 3}})
            ),
        ),
        weights=("open_clip_model.safetensors", lambda path: save_file(direct.state_dict(), path)),
    )
    encoder = encoders.load("open_clip/hf-hub:someone/clip")
    batch = encoder.transform(picture)[None]
    assert encoder.preprocessing["mean"] == [0.5] * 3
    with torch.inference_mode():
        expected = direct.encode_image(batch)
        torch.testing.assert_close(encoder.module(batch), expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("dinov2_vitb", UnknownNameError, "Did you mean 'dinov2_vitb14'"),
        ("dinov3_vits16?pool=clss", UnknownNameError, "Did you mean 'cls'"),
        ("ijepa_vith14_in1k?pool=cls", InputError, "needs a class token and this"),
        ("convnextv2_base?pool=cls", InputError, "'convnextv2_base?pool=cls' stands for 'timm/"),
        ("siglip2_vitb16?pool=avg", InputError, "takes no options"),
        ("timm/hf-hub:someone", InputError, "timm/hf-hub:<owner>/<repository>"),
        ("open_clip/hf-hub:someone", InputError, "open_clip/hf-hub:<owner>/<repository>"),
        ("open_clip/hf-hub:a/b?pool=avg", InputError, "pool=avg is not defined there"),
    ],
)
def test_a_wrong_name_says_what_is_allowed(name, error, said):
    with pytest.raises(error) as caught:
        encoders.check(name)
    assert said in str(caught.value)


def test_an_error_of_the_other_source_names_both(cache, monkeypatch):
    with pytest.raises(InputError) as caught:
        encoders.load("dinov2_vits14")
    for part in (
        "'dinov2_vits14' stands for 'timm/vit_small",
        "no connection",
        "file:<path>?arch=",
    ):
        assert part in str(caught.value)

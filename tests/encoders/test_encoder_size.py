"""Image sizes of encoders: ``?size=``, against timm's own networks of that size."""

import dataclasses
import json

import numpy as np
import pytest
import timm
import torch
from huggingface_hub import constants
from PIL import Image
from safetensors.torch import save_file
from timm.layers import resample_abs_pos_embed

import gpuclust
from gpuclust import datasets, encoders
from gpuclust.datasets.dataset import ArrayDataset
from gpuclust.encoders import image_size
from gpuclust.encoders.catalogue.alias import alias
from gpuclust.encoders.catalogue.today import TODAY
from gpuclust.encoders.sources.alias import meant
from gpuclust.encoders.table import ENCODERS
from gpuclust.errors import GpuclustNote, InputError, WeightsError


@pytest.fixture
def picture():
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    return Image.fromarray(noise)


def trained(model, **arguments):
    """Return a network with seeded weights, also in parameters that begin at zero."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        network = timm.create_model(model, num_classes=0, **arguments).eval()
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
    return network


def built_by_timm(model, path, **arguments):
    """Load a file by timm's own loader, which re-samples what depends on the size."""
    return timm.create_model(
        model, pretrained=True, num_classes=0, pretrained_cfg_overlay={"file": str(path)},
        **arguments,
    ).eval()  # fmt: skip


def features(module, edge):
    batch = torch.rand(2, 3, edge, edge, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return module(batch)


# Within timm's resampling.
@pytest.mark.filterwarnings("ignore:torch.searchsorted", "ignore:Using a non-tuple sequence")
@pytest.mark.parametrize(
    ("model", "before", "after"),
    [
        ("test_vit", 96, 160),
        ("vit_tiny_patch16_224", 224, 96),
        ("test_vit2", 160, 64),
        ("swin_tiny_patch4_window7_224", 224, 64),
        ("eva02_tiny_patch14_224", 224, 70),
    ],
)
def test_a_file_of_another_size_gives_the_features_of_timm(tmp_path, model, before, after):
    path = tmp_path / "weights.safetensors"
    save_file(trained(model, img_size=before).state_dict(), path)
    encoder = encoders.load(f"file:{path}?arch={model}&size={after}")
    direct = built_by_timm(model, path, img_size=after)
    found = features(encoder.module, after)
    assert found.std() > 0.01
    torch.testing.assert_close(found, features(direct, after), rtol=0, atol=0)
    assert encoder.source["size"] == after
    assert encoder.weights_hash == encoders.encoder.hash_weights(direct.state_dict())


def test_the_position_embedding_is_resampled_and_nothing_else(tmp_path):
    network = trained("test_vit", img_size=96)
    path = tmp_path / "weights.pth"
    torch.save({"model": {f"module.{key}": value for key, value in network.state_dict().items()}}, path)  # fmt: skip  # noqa: E501
    found = encoders.load(f"file:{path}?arch=test_vit&size=160&pool=avg_patch").module
    before = network.state_dict()
    expected = resample_abs_pos_embed(before.pop("pos_embed"), [10, 10], [6, 6])
    by_name = next(part for part in found.modules() if hasattr(part, "patch_embed")).state_dict()
    torch.testing.assert_close(by_name["pos_embed"], expected, rtol=0, atol=0)
    for key, value in before.items():
        assert torch.equal(by_name[key], value), key


def test_a_network_of_the_hub_is_resampled_as_by_timm(monkeypatch, tmp_path, picture):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    snapshot = tmp_path / "models--timm--vit_tiny_patch16_224.augreg_in21k" / "snapshots" / "0"
    snapshot.mkdir(parents=True)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("0")
    path = snapshot / "model.safetensors"
    save_file(trained("vit_tiny_patch16_224").state_dict(), path)
    name = "timm/vit_tiny_patch16_224.augreg_in21k"
    state = torch.get_rng_state()
    own, small = encoders.load(name), encoders.load(f"{name}?size=096")
    assert torch.equal(torch.get_rng_state(), state)
    assert small.name == f"{name}?size=96"
    assert own.weights_hash != small.weights_hash
    assert "size" not in own.source
    direct = built_by_timm("vit_tiny_patch16_224.augreg_in21k", path, img_size=96)
    # The encoder's own preprocessing, at another size.
    config = timm.data.resolve_data_config({"input_size": (3, 96, 96)}, model=direct)
    assert config["crop_pct"] == 0.9
    batch = timm.data.create_transform(**config, is_training=False)(picture)[None]
    assert torch.equal(small.transform(picture)[None], batch)
    assert small.preprocessing["resize"] == 106
    assert small.preprocessing["crop"] == [96, 96]
    assert small.preprocessing["mean"] == own.preprocessing["mean"]
    with torch.inference_mode():
        torch.testing.assert_close(small.module(batch), direct(batch), rtol=0, atol=0)


def test_a_repository_of_the_hub_is_resampled_by_its_own_configuration(monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    snapshot = tmp_path / "models--someone--tiny" / "snapshots" / "0"
    snapshot.mkdir(parents=True)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("0")
    path = snapshot / "model.safetensors"
    save_file(trained("vit_tiny_patch16_224", img_size=96).state_dict(), path)
    settings = {"input_size": [3, 96, 96], "fixed_input_size": True}
    config = {"architecture": "vit_tiny_patch16_224", "num_classes": 0, "pretrained_cfg": settings}
    (snapshot / "config.json").write_text(json.dumps(config))
    encoder = encoders.load("timm/hf-hub:someone/tiny?size=64")
    direct = built_by_timm("vit_tiny_patch16_224", path, img_size=64)
    found = features(encoder.module, 64)
    torch.testing.assert_close(found, features(direct, 64), rtol=0, atol=0)
    with pytest.raises(InputError, match="Write size=48 or size=64"):
        encoders.load("timm/hf-hub:someone/tiny?size=63")


def test_networks_of_any_size_keep_their_weights(picture):
    """ConvNets, and ViTs that re-sample their positions for every image."""
    for model in ("test_resnet", "test_vit"):
        own = encoders.load(f"random/{model}")
        other = encoders.load(f"random/{model}?size=96")
        same = own.weights_hash == other.weights_hash
        assert same is (image_size.arguments(model, size="96", weights="none") == {})
        assert tuple(other.transform(picture).shape) == (3, 96, 96)
        assert len(features(other.module, 96)) == 2
    assert encoders.load("random/test_resnet?size=96").weights_hash == (
        encoders.load("random/test_resnet").weights_hash
    )
    assert image_size.arguments("vit_small_patch16_dinov3", size="224") == {}


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("random/vit_tiny_patch16_224?size=100", ("16 x 16", "Write size=96 or size=112.")),
        ("dinov2_vits14?size=256", ("14 x 14", "Write size=252 or size=266.", "stands for")),
        ("random/vit_tiny_patch16_224?size=9", ("Write size=16.",)),
        ("uni?size=450", ("Write size=448 or size=464.",)),
        ("random/maxvit_tiny_tf_224?size=250", ("cannot change", "divisible by window (7)")),
        ("timm/levit_128?size=256", ("cannot change", "Its own size is 224 x 224")),
        ("timm/samvit_base_patch16?size=512", ("cannot change", "pos_embed")),
        ("random/resnet18?size=0", ("from 1 to 4096", "got '0'")),
        ("random/resnet18?size=5000", ("from 1 to 4096",)),
        ("random/resnet18?size=-1", ("from 1 to 4096",)),
        ("random/resnet18?size=224x224", ("whole number of pixels",)),
        ("random/resnet18?size=", ("has no value",)),
        ("torchvision/ResNet18_Weights.IMAGENET1K_V1?size=96", ("'size'",)),
        ("siglip2_vitl16?size=224", ("takes no options",)),
    ],
)
def test_a_size_that_cannot_be_is_refused(name, parts):
    with pytest.raises(InputError) as caught:
        encoders.check(name)
    for part in parts:
        assert part in str(caught.value)


def test_a_file_that_does_not_fit_is_still_refused(tmp_path):
    path = tmp_path / "weights.pth"
    state = trained("test_vit").state_dict()
    del state["norm.weight"]
    torch.save(state, path)
    with pytest.raises(WeightsError, match=r"1 missing: norm\.weight"):
        encoders.load(f"file:{path}?arch=test_vit&size=96")
    with pytest.raises(WeightsError, match="of another shape"):
        torch.save(trained("levit_128s").state_dict(), path)
        encoders.load(f"file:{path}?arch=levit_128s&size=256")


def test_names_with_a_size_have_one_spelling():
    parse = encoders.parse
    assert str(parse("random/vit_tiny_patch16_224?size=0096&seed=1&pool=cls")) == (
        "random/vit_tiny_patch16_224?pool=cls&seed=1&size=96"
    )
    assert parse("timm/x?size=224") != parse("timm/x")
    # The size of an alias is its default.
    assert str(parse("dinov2_vitb14?size=224")) == "dinov2_vitb14"
    assert str(parse("dinov2_vitb14?size=518")) == "dinov2_vitb14?size=518"
    assert parse("dinov2_vitb14").option("size") == "224"
    assert parse("dinov3_vitb16").option("size") == ""
    other = "timm/vit_base_patch14_dinov2.lvd142m?pool=cls&size="
    assert str(meant(parse("dinov2_vitb14"))) == f"{other}224"
    assert str(meant(parse("dinov2_vitb14?size=518"))) == f"{other}518"


def test_dinov2_takes_the_size_of_its_authors_evaluation():
    found = {key for key in TODAY if TODAY[key].options.get("size") == "224"}
    assert found == {key for key in TODAY if key.startswith("dinov2_")}
    assert len(found) == 8


def test_the_study_s_preprocessing_is_for_encoders_of_224_pixels(picture):
    other = "random/test_vit"  # 160 pixels
    with pytest.raises(InputError, match=r"accepts only 160 x 160.*add \?size=224"):
        encoders.load(other, preprocess="study")
    with pytest.raises(InputError, match="accepts only 96 x 96"):
        encoders.load("random/test_resnet?size=96", preprocess="study")
    encoder = encoders.load(f"{other}?size=224", preprocess="study")
    batch = encoder.transform(picture)[None]
    assert tuple(batch.shape) == (1, 3, 224, 224)
    with torch.inference_mode():
        assert encoder.module(batch).isfinite().all()


def test_a_preset_runs_an_alias_of_another_size(monkeypatch, tmp_path):
    fields = {
        field.name: getattr(TODAY["dinov2_vits14"], field.name)
        for field in dataclasses.fields(TODAY["dinov2_vits14"])
        if field.name not in ("summary", "target", "check", "options", "gated", "stands_for")
    }
    path = tmp_path / "weights.pth"
    torch.save(trained("test_vit").state_dict(), path)  # 160 pixels
    entry = alias("timm/x?size=224", **fields)
    entry = dataclasses.replace(entry, stands_for=f"file:{path}?arch=test_vit&size=224")
    monkeypatch.setitem(ENCODERS, "small_alias", entry)
    whole = datasets.load("digits")
    few = dataclasses.replace(whole, images=whole.images[:60], labels=whole.labels[:60])
    assert isinstance(few, ArrayDataset)
    monkeypatch.setattr(datasets, "load", lambda *args, **kwargs: few)
    grid = {"preset": "study", "dataset": "digits", "encoder": "small_alias"}
    with pytest.warns(GpuclustNote, match="no row for small_alias"):
        rows = gpuclust.run_grid(grid, root=tmp_path / "root", device="cpu")
    assert len(rows) == 6
    assert set(rows["status"]) == {"ok"}, rows.T.to_string()
    assert set(rows["preprocess"]) == {"study"}

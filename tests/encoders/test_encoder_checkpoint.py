"""Checkpoint files: formats, prefixes, wrappers, damage, and refused code."""

import argparse
import os
import sys

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from gpuclust import encoders
from gpuclust.encoders import checkpoint
from gpuclust.errors import WeightsError


@pytest.fixture(scope="module")
def trained():
    """Seeded network with ten classes, in place of a trained classifier."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        return timm.create_model("test_resnet", num_classes=10).eval()


@pytest.fixture(scope="module")
def expected(trained):
    batch = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return batch, trained.global_pool(trained.forward_features(batch))


def assert_gives(path, expected, arch="test_resnet"):
    batch, features = expected
    encoder = encoders.load(f"file:{path}?arch={arch}")
    with torch.inference_mode():
        torch.testing.assert_close(encoder.module(batch), features, rtol=0, atol=0)
    return encoder


def prefixed(state, prefix):
    return {prefix + key: value for key, value in state.items()}


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin", ".pth.tar", ".ckpt", ".safetensors"])
def test_every_kind_of_file_gives_the_features_back(tmp_path, trained, expected, suffix):
    path = tmp_path / f"weights{suffix}"
    save = save_file if suffix == ".safetensors" else torch.save
    save(trained.state_dict(), path)
    encoder = assert_gives(path, expected)
    assert encoder.source["left_out"] == ["fc"]
    assert encoder.source["file"] == str(path)


@pytest.mark.parametrize("key", checkpoint.WRAPPERS)
def test_a_state_dict_is_found_where_training_scripts_put_it(tmp_path, trained, expected, key):
    path = tmp_path / "weights.pth"
    extras = {"epoch": 3, "optimizer": {"lr": 0.1}, "args": argparse.Namespace(lr=0.1)}
    torch.save({key: trained.state_dict(), **extras}, path)
    assert_gives(path, expected)


@pytest.mark.parametrize(
    "prefix", ["module.", "backbone.", "encoder.", "module.base_encoder.", "module.backbone."]
)
def test_common_prefixes_are_removed(tmp_path, trained, expected, prefix):
    path = tmp_path / "weights.pth"
    state = prefixed(trained.state_dict(), prefix)
    torch.save({"state_dict": state | {"module.predictor.0.weight": torch.zeros(2)}}, path)
    assert_gives(path, expected)


def test_the_teacher_and_the_base_encoder_are_preferred(tmp_path, trained, expected):
    wrong = {key: value * 0 for key, value in trained.state_dict().items()}
    path = tmp_path / "weights.pth"
    dino = {"student": prefixed(wrong, "module.backbone.")}
    torch.save(dino | {"teacher": prefixed(trained.state_dict(), "backbone.")}, path)
    assert_gives(path, expected)
    moco = prefixed(wrong, "module.momentum_encoder.")
    torch.save({"state_dict": moco | prefixed(trained.state_dict(), "module.base_encoder.")}, path)
    assert_gives(path, expected)


def test_a_vit_that_averages_its_patches_keeps_its_own_norm(tmp_path):
    # Fine-tuned checkpoints of MAE: fc_norm after the average, no norm before it.
    model = timm.create_model("test_vit", num_classes=10, global_pool="avg").eval()
    torch.nn.init.normal_(model.fc_norm.weight)
    assert "norm.weight" not in model.state_dict()
    path = tmp_path / "mae.pth"
    torch.save({"model": model.state_dict()}, path)
    batch = torch.rand(2, 3, 160, 160)
    with torch.inference_mode():
        features = model.forward_head(model.forward_features(batch), pre_logits=True)
    assert_gives(path, (batch, features), arch="test_vit")


def test_the_weights_hash_depends_on_the_weights_and_not_on_the_file(tmp_path, trained):
    torch.save(trained.state_dict(), tmp_path / "a.pth")
    save_file(prefixed(trained.state_dict(), "module."), tmp_path / "b.safetensors")
    a, b = (
        encoders.load(f"file:{tmp_path / file}?arch=test_resnet")
        for file in ("a.pth", "b.safetensors")
    )
    assert a.weights_hash == b.weights_hash


def test_a_wrong_architecture_is_refused_with_the_keys_that_do_not_fit(tmp_path, trained):
    path = tmp_path / "weights.pth"
    torch.save(trained.state_dict(), path)
    with pytest.raises(WeightsError) as caught:
        encoders.load(f"file:{path}?arch=resnet18")
    assert "arch=resnet18" in str(caught.value)
    assert "of another shape: " in str(caught.value)
    assert "missing: " in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_a_deeper_checkpoint_is_not_cut_to_fit(tmp_path, trained):
    path = tmp_path / "weights.pth"
    deeper = {"layer4.7.conv1.weight": torch.zeros(3, 3, 1, 1)}
    torch.save(trained.state_dict() | deeper, path)
    with pytest.raises(WeightsError, match=r"1 unexpected: layer4\.7\.conv1\.weight"):
        encoders.load(f"file:{path}?arch=test_resnet")


def test_a_missing_tensor_is_not_left_random(tmp_path, trained):
    path = tmp_path / "weights.pth"
    state = trained.state_dict()
    torch.save({key: state[key] for key in state if key != "conv1.0.weight"}, path)
    with pytest.raises(WeightsError, match=r"1 missing: conv1\.0\.weight"):
        encoders.load(f"file:{path}?arch=test_resnet")


class _Evil:
    """Makes a folder when it is unpickled, as an attack through a checkpoint would."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("old_format", [False, True])
def test_a_file_with_code_is_refused_and_does_not_run(tmp_path, old_format):
    path, trace = tmp_path / "weights.pth", tmp_path / "ran"
    torch.save({"state_dict": _Evil(trace)}, path, _use_new_zipfile_serialization=not old_format)
    with pytest.raises(WeightsError, match="refused"):
        encoders.load(f"file:{path}?arch=test_resnet")
    assert not trace.exists()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"no checkpoint", bytes(200)])
def test_a_damaged_file_is_a_weights_error(tmp_path, content, suffix):
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="weights"):
        encoders.load(f"file:{path}?arch=test_resnet")


def test_a_truncated_file_is_a_weights_error(tmp_path, trained):
    path = tmp_path / "weights.pth"
    torch.save(trained.state_dict(), path)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(WeightsError, match="cannot be read"):
        encoders.load(f"file:{path}?arch=test_resnet")


@pytest.mark.parametrize("content", [{"epoch": 3}, [torch.zeros(2)], torch.zeros(2)])
def test_a_file_without_a_state_dict_is_refused_with_the_places_searched(tmp_path, content):
    path = tmp_path / "weights.pth"
    torch.save(content, path)
    with pytest.raises(WeightsError, match="state_dict, model"):
        encoders.load(f"file:{path}?arch=test_resnet")


def test_a_checkpoint_of_lightning_is_read(tmp_path, trained, expected, caplog):
    caplog.set_level("INFO", logger="gpuclust")
    state = {f"model.{key}": value for key, value in trained.state_dict().items()}
    more = {
        "epoch": 3,
        "pytorch-lightning_version": "2.5.0",
        "callbacks": {"ModelCheckpoint{'monitor': 'acc'}": {"best_model_score": torch.tensor(0.9)}},
        "optimizer_states": [{"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": []}],
        "hyper_parameters": {"lr": 0.1},
        "loops": {"fit_loop": {"state_dict": {}}},
    }
    torch.save({"state_dict": state, **more}, tmp_path / "last.ckpt")
    assert_gives(tmp_path / "last.ckpt", expected)
    assert caplog.messages == []


@pytest.mark.parametrize("old_format", [False, True])
@pytest.mark.parametrize(
    "value",
    [np.float64(0.5), np.float32(1), np.int64(3), np.uint8(3), np.bool_(1), np.float16(2)],
    ids=lambda value: type(value).__name__,
)
def test_numbers_of_numpy_beside_the_weights_are_read(
    tmp_path, trained, expected, value, old_format
):
    path = tmp_path / "best.pth"
    content = {"model": trained.state_dict(), "best": value, "all": [{"acc": value}]}
    torch.save(content, path, _use_new_zipfile_serialization=not old_format)
    assert_gives(path, expected)


def test_arguments_of_lightning_are_read_without_lightning(tmp_path):
    from types import ModuleType

    # Written under a name that this environment does not have.

    lightning = ModuleType("pytorch_lightning.utilities.parsing")

    class AttributeDict(dict):
        pass

    AttributeDict.__module__, AttributeDict.__qualname__ = lightning.__name__, "AttributeDict"
    lightning.AttributeDict = AttributeDict
    path = tmp_path / "last.ckpt"
    with pytest.MonkeyPatch.context() as patch:
        for name in ("pytorch_lightning", "pytorch_lightning.utilities"):
            patch.setitem(sys.modules, name, ModuleType(name))
        patch.setitem(sys.modules, lightning.__name__, lightning)
        torch.save(
            {"state_dict": {"w": torch.ones(2)}, "hyper_parameters": AttributeDict(a=1)}, path
        )
    assert list(checkpoint.read(path)) == ["w"]


def test_what_is_allowed_in_one_file_is_not_allowed_elsewhere(tmp_path):
    before = set(map(str, torch.serialization.get_safe_globals()))
    torch.save({"model": {"w": torch.ones(1)}, "best": np.float64(1)}, tmp_path / "a.pth")
    checkpoint.read(tmp_path / "a.pth")
    assert set(map(str, torch.serialization.get_safe_globals())) == before


@pytest.mark.parametrize("key", ["model", "state_dict"])
def test_a_dictionary_that_holds_itself_is_refused_at_once(tmp_path, key):
    content = {"epoch": 1}
    content[key] = content
    content["teacher"] = {"student": content}
    torch.save(content, tmp_path / "c.pth")
    with pytest.raises(WeightsError, match="has no state dict"):
        checkpoint.read(tmp_path / "c.pth")


def test_deep_nesting_is_followed(tmp_path):
    content = {"w": torch.ones(1)}
    for _ in range(200):
        content = {"model": content}
    torch.save(content, tmp_path / "c.pth")
    assert list(checkpoint.read(tmp_path / "c.pth")) == ["w"]


def test_the_choice_between_several_states_is_told(tmp_path, caplog):
    caplog.set_level("INFO", logger="gpuclust")
    content = {"ema": {"w": torch.ones(1)}, "model": {"w": torch.zeros(1)}}
    torch.save(content, tmp_path / "c.pth")
    assert float(checkpoint.read(tmp_path / "c.pth")["w"]) == 0
    assert "from model, before ['ema']" in caplog.text


@pytest.mark.parametrize(
    "content",
    [
        {"model": {1: torch.ones(1)}},
        {"model": ["w", torch.ones(1)]},
        {},
    ],
)
def test_what_is_no_weight_is_no_state_dict(tmp_path, content):
    torch.save(content, tmp_path / "c.pth")
    with pytest.raises(WeightsError, match="has no state dict"):
        checkpoint.read(tmp_path / "c.pth")


@pytest.mark.parametrize("name", ["a.ckpt", "a.pth"])
def test_an_empty_checkpoint_is_called_empty(tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(WeightsError, match="cannot be read as a checkpoint: it is empty"):
        checkpoint.read(tmp_path / name)

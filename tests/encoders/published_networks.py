"""ResNet-50 and ViT-B/16 by formula, with weights in dictionaries of published key names.

Nothing here uses torchvision's or timm's networks: key names, shapes and arithmetic follow the
papers and the authors' repositories.
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

WIDTH, DEPTH, HEADS, PATCH, GRID = 768, 12, 12, 16, 14
STAGES = ((3, 64), (4, 128), (6, 256), (3, 512))


def random_tensors(shapes, *, seed):
    """Draw weights so every key matters: gains near 1, other tensors small."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for key, shape in shapes.items():
        x = torch.randn(shape, generator=generator)
        gain = key.endswith("weight") and len(shape) == 1
        if key.endswith("running_var"):
            state[key] = x.abs() + 0.5
        elif len(shape) > 1 and shape[-1] in (1, 3, 7) and len(shape) == 4:
            state[key] = x * math.sqrt(2 / math.prod(shape[1:]))
        elif len(shape) == 0:
            state[key] = torch.tensor(7)
        else:
            state[key] = 1 + 0.2 * x if gain else x * (0.2 if len(shape) == 1 else 0.04)
    return state


def resnet_shapes():
    shapes = {"conv1.weight": (64, 3, 7, 7)}
    _norm(shapes, "bn1", 64)
    before = 64
    for stage, (blocks, width) in enumerate(STAGES, start=1):
        for block in range(blocks):
            name = f"layer{stage}.{block}"
            sizes = ((width, before, 1), (width, width, 3), (4 * width, width, 1))
            for i, (wide, deep, edge) in enumerate(sizes, start=1):
                shapes[f"{name}.conv{i}.weight"] = (wide, deep, edge, edge)
                _norm(shapes, f"{name}.bn{i}", wide)
            if block == 0:
                shapes[f"{name}.downsample.0.weight"] = (4 * width, before, 1, 1)
                _norm(shapes, f"{name}.downsample.1", 4 * width)
            before = 4 * width
    return shapes


def _norm(shapes, name, width):
    for part in ("weight", "bias", "running_mean", "running_var"):
        shapes[f"{name}.{part}"] = (width,)
    shapes[f"{name}.num_batches_tracked"] = ()


def resnet_feature(state, x, *, padded_first=False):
    """Average of the last feature map; VICReg pads the image by 1 before a convolution with 2."""

    def norm(x, name):
        w, b, mean, var = (
            state[f"{name}.{part}"][:, None, None]
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        return (x - mean) / torch.sqrt(var + 1e-5) * w + b

    if padded_first:
        x = F.conv2d(F.pad(x, (1, 1, 1, 1)), state["conv1.weight"], stride=2, padding=2)
    else:
        x = F.conv2d(x, state["conv1.weight"], stride=2, padding=3)
    x = F.max_pool2d(torch.relu(norm(x, "bn1")), 3, stride=2, padding=1)
    for stage, (blocks, _) in enumerate(STAGES, start=1):
        for block in range(blocks):
            name = f"layer{stage}.{block}"
            stride = 2 if block == 0 and stage > 1 else 1
            y = torch.relu(norm(F.conv2d(x, state[f"{name}.conv1.weight"]), f"{name}.bn1"))
            # The stride is in the 3 x 3 convolution (version 1.5).
            y = F.conv2d(y, state[f"{name}.conv2.weight"], stride=stride, padding=1)
            y = torch.relu(norm(y, f"{name}.bn2"))
            y = norm(F.conv2d(y, state[f"{name}.conv3.weight"]), f"{name}.bn3")
            if block == 0:
                x = F.conv2d(x, state[f"{name}.downsample.0.weight"], stride=stride)
                x = norm(x, f"{name}.downsample.1")
            x = torch.relu(x + y)
    return x.mean(dim=(2, 3))


def vit_shapes():
    shapes = {
        "cls_token": (1, 1, WIDTH),
        "pos_embed": (1, 1 + GRID**2, WIDTH),
        "patch_embed.proj.weight": (WIDTH, 3, PATCH, PATCH),
        "patch_embed.proj.bias": (WIDTH,),
    }
    for i in range(DEPTH):
        for name, out, into in (
            ("norm1", WIDTH, None),
            ("attn.qkv", 3 * WIDTH, WIDTH),
            ("attn.proj", WIDTH, WIDTH),
            ("norm2", WIDTH, None),
            ("mlp.fc1", 4 * WIDTH, WIDTH),
            ("mlp.fc2", WIDTH, 4 * WIDTH),
        ):
            shapes[f"blocks.{i}.{name}.weight"] = (out,) if into is None else (out, into)
            shapes[f"blocks.{i}.{name}.bias"] = (out,)
    return shapes | {"norm.weight": (WIDTH,), "norm.bias": (WIDTH,)}


def vit_tokens(state, x):
    """Tokens before the final norm, (b, 197, 768); norms with eps 1e-6, exact GELU."""
    x = F.conv2d(x, state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], stride=PATCH)
    x = x.flatten(2).transpose(1, 2)
    x = torch.cat([state["cls_token"].expand(len(x), -1, -1), x], dim=1) + state["pos_embed"]
    for i in range(DEPTH):
        block = {
            key.removeprefix(f"blocks.{i}."): value
            for key, value in state.items()
            if key.startswith(f"blocks.{i}.")
        }
        x = x + _attention(norm(x, block["norm1.weight"], block["norm1.bias"]), block)
        y = norm(x, block["norm2.weight"], block["norm2.bias"])
        y = y @ block["mlp.fc1.weight"].T + block["mlp.fc1.bias"]
        y = y * 0.5 * (1 + torch.erf(y / math.sqrt(2)))
        x = x + y @ block["mlp.fc2.weight"].T + block["mlp.fc2.bias"]
    return x


def norm(x, weight, bias):
    centered = x - x.mean(dim=-1, keepdim=True)
    return (
        centered / torch.sqrt(centered.square().mean(dim=-1, keepdim=True) + 1e-6) * weight + bias
    )


def _attention(x, block):
    b, n, d = x.shape
    qkv = x @ block["attn.qkv.weight"].T + block["attn.qkv.bias"]
    q, k, v = qkv.reshape(b, n, 3, HEADS, d // HEADS).permute(2, 0, 3, 1, 4)
    weights = torch.softmax(q @ k.transpose(-2, -1) / math.sqrt(d // HEADS), dim=-1)
    y = (weights @ v).transpose(1, 2).reshape(b, n, d)
    return y @ block["attn.proj.weight"].T + block["attn.proj.bias"]


def moco_position_embedding():
    """Fixed embedding of MoCo-v3: sines and cosines of the row, then of the column; class: 0."""
    embedding = torch.zeros(1 + GRID**2, WIDTH, dtype=torch.float64)
    quarter = WIDTH // 4
    for row in range(GRID):
        for column in range(GRID):
            for part, place in enumerate((row, row, column, column)):
                angles = place / 10000 ** (torch.arange(quarter, dtype=torch.float64) / quarter)
                values = torch.sin(angles) if part % 2 == 0 else torch.cos(angles)
                at = slice(part * quarter, (part + 1) * quarter)
                embedding[1 + row * GRID + column, at] = values
    return embedding.float()[None]


def as_torchvision(state):
    """Rename a ViT to the keys of torchvision's file, older than some of its names."""
    whole = {
        "cls_token": "class_token",
        "pos_embed": "encoder.pos_embedding",
        "patch_embed.proj.weight": "conv_proj.weight",
        "patch_embed.proj.bias": "conv_proj.bias",
        "norm.weight": "encoder.ln.weight",
        "norm.bias": "encoder.ln.bias",
    }
    parts = {
        "norm1.": "ln_1.",
        "norm2.": "ln_2.",
        "attn.qkv.": "self_attention.in_proj_",
        "attn.proj.": "self_attention.out_proj.",
        "mlp.fc1.": "mlp.linear_1.",
        "mlp.fc2.": "mlp.linear_2.",
    }
    renamed = {}
    for key, value in state.items():
        if key in whole:
            renamed[whole[key]] = value
            continue
        _, i, rest = key.split(".", 2)
        for old, new in parts.items():
            rest = rest.replace(old, new)
        renamed[f"encoder.layers.encoder_layer_{i}.{rest}"] = value
    return renamed


def zeros(*shape):
    """Tensor of zeros with one number in a file."""
    return torch.zeros(()).expand(shape)

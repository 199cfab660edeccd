"""Image towers of OpenAI's CLIP by formula, with weights under the key names of open_clip."""

from __future__ import annotations

import math

import published_networks as by_formula
import torch
from published_networks import STAGES, zeros
from torch.nn import functional as F

WIDTH, DEPTH, HEADS = 768, 12, 12


def _blocks(prefix, width, layers):
    shapes = {}
    for i in range(layers):
        block = f"{prefix}transformer.resblocks.{i}."
        for name, shape in (
            ("ln_1.weight", (width,)),
            ("ln_1.bias", (width,)),
            ("attn.in_proj_weight", (3 * width, width)),
            ("attn.in_proj_bias", (3 * width,)),
            ("attn.out_proj.weight", (width, width)),
            ("attn.out_proj.bias", (width,)),
            ("ln_2.weight", (width,)),
            ("ln_2.bias", (width,)),
            ("mlp.c_fc.weight", (4 * width, width)),
            ("mlp.c_fc.bias", (4 * width,)),
            ("mlp.c_proj.weight", (width, 4 * width)),
            ("mlp.c_proj.bias", (width,)),
        ):
            shapes[block + name] = shape
    return shapes


def text_tower(d):
    """Keys of the text tower, not used by the image encoder."""
    shapes = _blocks("", 512, 12) | {
        "positional_embedding": (77, 512),
        "text_projection": (512, d),
        "logit_scale": (),
        "token_embedding.weight": (49408, 512),
        "ln_final.weight": (512,),
        "ln_final.bias": (512,),
    }
    return {key: zeros(*shape) for key, shape in shapes.items()}


def vit_state():
    shapes = _blocks("", WIDTH, DEPTH) | {
        "class_embedding": (WIDTH,),
        "positional_embedding": (197, WIDTH),
        "proj": (WIDTH, 512),
        "conv1.weight": (WIDTH, 3, 16, 16),
    }
    for name in ("ln_pre", "ln_post"):
        shapes |= {f"{name}.weight": (WIDTH,), f"{name}.bias": (WIDTH,)}
    return by_formula.random_tensors(shapes, seed=5)


def vit_feature(state, x):
    """Projected class token, with x sigmoid(1.702 x) in place of GELU."""

    def norm(x, name):
        return F.layer_norm(x, (WIDTH,), state[f"{name}.weight"], state[f"{name}.bias"], 1e-5)

    x = F.conv2d(x, state["conv1.weight"], stride=16).flatten(2).transpose(1, 2)
    x = torch.cat([state["class_embedding"].expand(len(x), 1, -1), x], dim=1)
    x = norm(x + state["positional_embedding"], "ln_pre")
    for i in range(DEPTH):
        block = f"transformer.resblocks.{i}."
        q, k, v = (
            norm(x, f"{block}ln_1") @ state[f"{block}attn.in_proj_weight"].T
            + state[f"{block}attn.in_proj_bias"]
        ).chunk(3, dim=-1)
        y = attention(q, k, v, HEADS) @ state[f"{block}attn.out_proj.weight"].T
        x = x + y + state[f"{block}attn.out_proj.bias"]
        y = norm(x, f"{block}ln_2") @ state[f"{block}mlp.c_fc.weight"].T
        y = y + state[f"{block}mlp.c_fc.bias"]
        y = y * torch.sigmoid(1.702 * y)
        x = x + y @ state[f"{block}mlp.c_proj.weight"].T + state[f"{block}mlp.c_proj.bias"]
    return norm(x[:, 0], "ln_post") @ state["proj"]


def attention(q, k, v, heads):
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    weights = torch.softmax(q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1]), dim=-1)
    return (weights @ v).transpose(1, 2).flatten(2)


def resnet_state():
    shapes = {key: shape for key, shape in by_formula.resnet_shapes().items() if "layer" in key}
    for i, (wide, deep) in enumerate(((32, 3), (32, 32), (64, 32)), start=1):
        shapes[f"conv{i}.weight"] = (wide, deep, 3, 3)
        by_formula._norm(shapes, f"bn{i}", wide)
    shapes["attnpool.positional_embedding"] = (50, 2048)
    for name, wide in (("q", 2048), ("k", 2048), ("v", 2048), ("c", 1024)):
        shapes[f"attnpool.{name}_proj.weight"] = (wide, 2048)
        shapes[f"attnpool.{name}_proj.bias"] = (wide,)
    return by_formula.random_tensors(shapes, seed=6)


def resnet_feature(state, x):
    """ResNet-50 with three first convolutions, averages in place of strides, attention pooling."""

    def norm(x, name):
        parts = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(state[f"{name}.{part}"] for part in parts), eps=1e-5)

    def step(x, name, i, **more):
        return norm(F.conv2d(x, state[f"{name}conv{i}.weight"], **more), f"{name}bn{i}")

    x = torch.relu(step(x, "", 1, stride=2, padding=1))
    x = torch.relu(step(x, "", 2, padding=1))
    x = F.avg_pool2d(torch.relu(step(x, "", 3, padding=1)), 2)
    for stage, (blocks, _) in enumerate(STAGES, start=1):
        for block in range(blocks):
            name = f"layer{stage}.{block}."
            stride = 2 if block == 0 and stage > 1 else 1
            y = torch.relu(step(x, name, 1))
            y = F.avg_pool2d(torch.relu(step(y, name, 2, padding=1)), stride)
            y = step(y, name, 3)
            if block == 0:
                x = F.conv2d(F.avg_pool2d(x, stride), state[f"{name}downsample.0.weight"])
                x = norm(x, f"{name}downsample.1")
            x = torch.relu(x + y)
    x = x.flatten(2).transpose(1, 2)
    x = torch.cat([x.mean(dim=1, keepdim=True), x], dim=1) + state["attnpool.positional_embedding"]
    q, k, v = (
        x @ state[f"attnpool.{name}_proj.weight"].T + state[f"attnpool.{name}_proj.bias"]
        for name in "qkv"
    )
    y = attention(q[:, :1], k, v, 32)[:, 0]
    return y @ state["attnpool.c_proj.weight"].T + state["attnpool.c_proj.bias"]

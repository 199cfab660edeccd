"""From what a timm backbone computes to one feature vector per image."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import InputError

_MODES = ("'?pool=avg'", "no pool option (the model's own feature)")


class Pooled(nn.Module):
    """A timm backbone whose ``forward_features`` is pooled in a stated way.

    Maps (b, 3, height, width) to (b, d).  Tokens are taken after the model's final norm:
    ``cls`` is the class token, ``avg`` the mean over all tokens, ``avg_patch`` the mean without
    the prefix tokens (class, distillation, registers).  For a feature map ``avg`` is the mean
    over both spatial axes.

    ``avg_patch`` is close to but not the study's "MAE (avg)", which averaged the patches before
    a norm without learnt weights; here the checkpoint's own norm comes first.
    """

    def __init__(self, backbone: nn.Module, *, pool: str):
        super().__init__()
        self.backbone = backbone
        self.pool = pool

    def forward(self, images: Tensor) -> Tensor:
        """Encode a batch."""
        features = self.backbone.forward_features(images)
        pooled = _pool(features, self.pool, self.backbone)
        d = getattr(self.backbone, "num_features", None)
        # A model that states neither layout nor prefix tokens could be averaged over the wrong
        # axis; its width tells.
        if pooled.ndim != 2 or d not in (None, pooled.shape[1]):
            raise InputError(
                f"pool={self.pool} of {type(self.backbone).__name__} gives {tuple(pooled.shape)} "
                f"where (b, {d}) was expected; leave the pool option out."
            )
        return pooled


def pooled(backbone: nn.Module, *, pool: str) -> nn.Module:
    """Wrap a timm backbone, or give it back as it is when no pooling was asked for."""
    if not pool:
        return backbone
    check_pool(backbone, pool=pool)
    return Pooled(backbone, pool=pool)


def check_pool(backbone: nn.Module, *, pool: str) -> None:
    """Raise InputError for a pooling that a timm model does not have; needs no weights."""
    if pool in ("", "avg"):
        return
    name = type(backbone).__name__
    prefix = getattr(backbone, "num_prefix_tokens", None)
    if prefix is None:
        raise InputError(
            f"pool={pool} needs a transformer with known prefix tokens and {name} has none; "
            f"possible: {' or '.join(_MODES)}."
        )
    # Register tokens are prefix tokens too, so a prefix alone does not make a class token.
    has_class = getattr(backbone, "has_class_token", prefix > 0)
    if pool == "cls" and not (prefix and has_class):
        raise InputError(
            f"pool=cls needs a class token and this {name} has none; possible: '?pool=avg_patch' "
            f"or {' or '.join(_MODES)}."
        )


def refuse_pool(name: str, pool: str, *, instead: str) -> None:
    """Raise InputError for a source whose models state no common layout of their features."""
    if pool:
        raise InputError(
            f"{name!r}: pool={pool} has no clean meaning there; leave it out, or use {instead}."
        )


def _pool(features: Tensor, pool: str, backbone: nn.Module) -> Tensor:
    if not isinstance(features, Tensor) or features.ndim not in (3, 4):
        raise InputError(
            f"{type(backbone).__name__} gives neither tokens nor a feature map, so pool={pool} "
            "has no meaning; leave the pool option out."
        )
    if features.ndim == 4:  # (b, d, h, w), or (b, h, w, d) where the model says so
        spatial = (1, 2) if getattr(backbone, "output_fmt", None) == "NHWC" else (2, 3)
        return features.mean(dim=spatial)
    if pool == "cls":  # (b, tokens, d)
        return features[:, 0]
    first = backbone.num_prefix_tokens if pool == "avg_patch" else 0
    return torch.mean(features[:, first:], dim=1)

"""Pool the features of a timm backbone to one vector per image."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InputError

BOTH = "cls_avg_patch"
_MODES = ("'?pool=avg'", "no pool option (the model's own feature)")


class Pooled(nn.Module):
    """Wrapper to pool the ``forward_features`` of a timm backbone.

    Maps (b, 3, height, width) to (b, d).  Tokens are taken after the model's final norm.

    Parameters
    ----------
    backbone : torch.nn.Module
        timm model without classifier.
    pool : {"cls", "avg", "avg_patch", "cls_avg_patch"}
        ``cls``: class token.  ``avg``: mean over all tokens, or over both spatial axes of a
        feature map.  ``avg_patch``: mean over the tokens without prefix (class, distillation,
        registers).  ``cls_avg_patch``: ``cls`` and ``avg_patch`` one after the other, twice as
        many numbers, as DINOv2's linear classifiers read them.

    Notes
    -----
    ``avg_patch`` differs from the study's "MAE (avg)", which averaged the patches before a norm
    without learned weights; here the checkpoint's own norm comes first.
    """

    def __init__(self, backbone: Any, *, pool: str):
        super().__init__()
        self.backbone: Any = backbone
        self.pool = pool

    def forward(self, images: Tensor) -> Tensor:
        """Encode a batch."""
        features = self.backbone.forward_features(images)
        pooled = _pool(features, self.pool, self.backbone)
        d = getattr(self.backbone, "num_features", None)
        if d is not None and self.pool == BOTH:
            d *= 2
        # A model without stated layout and prefix tokens could be averaged over the wrong axis;
        # then the width of the result is wrong.
        if pooled.ndim != 2 or d not in (None, pooled.shape[1]):
            raise InputError(
                f"pool={self.pool} of {type(self.backbone).__name__} gives {tuple(pooled.shape)} "
                f"where (b, {d}) was expected. Omit the pool option."
            )
        return pooled


def pooled(backbone: nn.Module, *, pool: str) -> nn.Module:
    """Wrap a timm backbone for pooling; with an empty `pool` return it unchanged."""
    if not pool:
        return backbone
    check_pool(backbone, pool=pool)
    return Pooled(backbone, pool=pool)


def check_pool(backbone: nn.Module, *, pool: str) -> None:
    """Raise InputError if a timm model has no such pooling; needs no weights."""
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
    if pool in ("cls", BOTH) and not (prefix and has_class):
        raise InputError(
            f"pool={pool} needs a class token and this {name} has none; possible: "
            f"'?pool=avg_patch' or {' or '.join(_MODES)}."
        )


def refuse_pool(name: str, pool: str, *, instead: str) -> None:
    """Raise InputError for any pooling, because models of the source differ in feature layout."""
    if pool:
        raise InputError(f"{name!r}: pool={pool} is not defined there. Omit it, or use {instead}.")


def _pool(features: Any, pool: str, backbone: Any) -> Tensor:
    if not isinstance(features, Tensor) or features.ndim not in (3, 4):
        raise InputError(
            f"{type(backbone).__name__} returns neither tokens nor a feature map, so pool={pool} "
            "is not defined. Omit the pool option."
        )
    if features.ndim == 4:  # (b, d, h, w), or (b, h, w, d) for NHWC models
        spatial = (1, 2) if getattr(backbone, "output_fmt", None) == "NHWC" else (2, 3)
        return features.mean(dim=spatial)
    if pool == "cls":  # (b, tokens, d)
        return features[:, 0]
    first = 0 if pool == "avg" else backbone.num_prefix_tokens
    average = torch.mean(features[:, first:], dim=1)
    return torch.cat([features[:, 0], average], dim=1) if pool == BOTH else average

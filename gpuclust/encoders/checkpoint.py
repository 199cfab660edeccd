"""Checkpoints of unknown origin: read without running code, unwrapped, fitted to a model."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import product
from pathlib import Path
from pickle import UnpicklingError  # noqa: TID251 - the exception only: torch.load raises it
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ..errors import InputError, WeightsError

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".pth.tar")

# Where training scripts put the state dict.  In self-distillation the teacher is the one that is
# evaluated, so it comes before the student.
WRAPPERS = ("state_dict", "model", "model_state_dict", "model_state", "teacher", "student")

# What training wraps around a backbone; up to three of them are taken off, outermost first.  In
# MoCo the base encoder, in DINO the teacher is what is evaluated.
PREFIXES = (
    "module.", "_orig_mod.", "model.", "teacher.", "student.", "base_encoder.", "backbone.",
    "encoder.", "visual.",
)  # fmt: skip

# Heads of pre-training methods that are no part of the encoder.
HEADS = ("head.", "head_dist.", "projector.", "projection_head.", "predictor.", "decoder",
         "mask_token", "momentum_encoder.")  # fmt: skip

_READ_ERRORS = (
    AttributeError, EOFError, LookupError, OSError, RuntimeError, SafetensorError, TypeError,
    UnpicklingError, ValueError,
)  # fmt: skip


def check_file(path: Path) -> None:
    """Raise WeightsError unless the file exists and is of a kind that cannot run code."""
    if not path.expanduser().is_file():
        raise WeightsError(f"there is no checkpoint file {str(path)!r}.")
    if not path.name.endswith(SUFFIXES):
        kinds = ", ".join(SUFFIXES)
        raise WeightsError(f"{str(path)!r} is no checkpoint of a known kind ({kinds}).")


def read(path: str | Path) -> dict[str, Tensor]:
    """Read a state dict, wherever in the file it is; never runs code from the file.

    Raises
    ------
    WeightsError
        For a damaged file, one that holds more than tensors and plain values, or one that holds
        no state dict.
    """
    path = Path(path).expanduser()
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        # Training scripts put their arguments in; a Namespace only stores attributes.
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise WeightsError(
            f"{str(path)!r} holds Python objects besides tensors and loading it would run code "
            "from the file, so it is refused; save the state dict alone, as .safetensors."
        ) from error
    except _READ_ERRORS as error:
        raise WeightsError(f"{str(path)!r} cannot be read as a checkpoint: {error}") from error
    return _unwrap(content, path)


def _unwrap(content: Any, path: Path) -> dict[str, Tensor]:
    while isinstance(content, Mapping):
        tensors = {key: value for key, value in content.items() if isinstance(value, Tensor)}
        inner = [content[key] for key in WRAPPERS if isinstance(content.get(key), Mapping)]
        if inner:
            content = inner[0]
        elif tensors:
            return tensors
        else:
            break
    raise WeightsError(
        f"{str(path)!r} holds no state dict, neither at its top nor under {', '.join(WRAPPERS)}."
    )


def fit(state: Mapping[str, Tensor], model: nn.Module, *, path: str, arch: str) -> list[str]:
    """Load a state dict into a model without classifier; nothing else may be left over.

    Parameters
    ----------
    state : mapping of str to Tensor
        Common prefixes (``module.backbone.`` ...) are taken off.
    model : torch.nn.Module
        A timm model with ``num_classes=0``.

    Returns
    -------
    list of str
        Sorted first parts of the keys that were left out: classifier, projector, decoder.

    Raises
    ------
    WeightsError
        Listing what is missing, of another shape, or left over.
    """
    wanted = model.state_dict()
    prefix = _prefix(state, wanted)
    inside = {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}
    heads = (*HEADS, *(f"{head}." for head in _classifiers(model)))
    extra = [key for key in inside if key not in wanted and not key.startswith(heads)]
    # Batch counters play no part in evaluation, and checkpoints before torch 0.4.1 lack them.
    missing = [
        key for key in wanted if key not in inside and not key.endswith("num_batches_tracked")
    ]
    shapes = [
        f"{key} {tuple(inside[key].shape)} instead of {tuple(wanted[key].shape)}"
        for key in wanted
        if key in inside and inside[key].shape != wanted[key].shape
    ]
    if extra or missing or shapes:
        raise _does_not_fit(path, arch, missing=missing, shapes=shapes, extra=extra)
    model.load_state_dict({key: inside[key] for key in wanted if key in inside}, strict=False)
    used = {prefix + key for key in wanted}
    return sorted({key.removeprefix(prefix).split(".")[0] for key in state if key not in used})


def _prefix(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str:
    """Find the chain of known prefixes under which most of the wanted keys lie."""
    chains = [""]
    for length in (1, 2, 3):
        chains += ["".join(words) for words in product(PREFIXES, repeat=length)]
    counts: Counter[str] = Counter()
    for key in state:
        words = key.split(".")
        for n in range(min(4, len(words))):
            if ".".join(words[n:]) in wanted:
                counts[".".join([*words[:n], ""]) if n else ""] += 1
    return max(chains, key=lambda chain: counts[chain])  # the first of equals


def _classifiers(model: nn.Module) -> tuple[str, ...]:
    named = getattr(model, "pretrained_cfg", {}).get("classifier") or ()
    return (named,) if isinstance(named, str) else tuple(named)


def _does_not_fit(
    path: str, arch: str, *, missing: list[str], shapes: list[str], extra: list[str]
) -> InputError:
    faults = {"missing": missing, "of another shape": shapes, "left over": extra}
    said = "; ".join(f"{len(keys)} {what}: {_few(keys)}" for what, keys in faults.items() if keys)
    return WeightsError(
        f"the checkpoint {path!r} does not fit arch={arch} ({said}). "
        "Is it the checkpoint of another architecture, size or library?"
    )


def _few(keys: Iterable[str], n: int = 3) -> str:
    keys = list(keys)
    return ", ".join(keys[:n]) + (", ..." if len(keys) > n else "")

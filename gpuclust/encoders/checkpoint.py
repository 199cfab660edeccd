"""Read checkpoints of unknown origin without running code, and load them into a model."""

from __future__ import annotations

import argparse
import functools
import logging
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping
from itertools import product
from pathlib import Path
from pickle import UnpicklingError  # noqa: TID251 - the exception only: torch.load raises it
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ..errors import InputError, WeightsError
from ..files.paths import expand

LOG = logging.getLogger("gpuclust")
SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".pth.tar", ".ckpt")

# Keys under which training scripts save the state dict.  Self-distillation evaluates the teacher,
# so it comes before the student.
WRAPPERS = (
    "state_dict", "model", "model_state_dict", "model_state", "teacher", "student", "network",
    "net", "encoder", "backbone", "state_dict_ema", "model_ema", "ema_state_dict", "ema", "module",
)  # fmt: skip

# Prefixes that training adds to the keys of a backbone; up to three are removed, outermost first.
# MoCo evaluates the base encoder, DINO the teacher.
PREFIXES = (
    "module.", "_orig_mod.", "model.", "teacher.", "student.", "base_encoder.", "backbone.",
    "encoder.", "visual.", "net.", "network.", "ema_model.", "ema.",
)  # fmt: skip

# Heads of pretraining methods, which are not part of the encoder.
HEADS = ("head.", "head_dist.", "projector.", "projection_head.", "predictor.", "decoder",
         "mask_token", "momentum_encoder.")  # fmt: skip

# Class of the arguments of a model, where Lightning has kept it over the years.
_ARGUMENTS = (
    "pytorch_lightning.utilities.parsing.AttributeDict",
    "lightning.pytorch.utilities.parsing.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict",
    "lightning.fabric.utilities.data.AttributeDict",
)


def check_file(path: Path) -> None:
    """Raise WeightsError unless the file exists and has the extension of a checkpoint."""
    if not expand(path).is_file():
        raise WeightsError(f"there is no checkpoint file {str(path)!r}.")
    if not path.name.endswith(SUFFIXES):
        kinds = ", ".join(SUFFIXES)
        raise WeightsError(f"{str(path)!r} is not a checkpoint of a known kind ({kinds}).")


def read(path: str | Path) -> dict[str, Tensor]:
    """Read the state dict of a checkpoint, at the top of the file or nested in it.

    Never runs code from the file.

    Raises
    ------
    WeightsError
        The file is damaged, holds objects other than tensors and plain values, or has no state
        dict.
    """
    path = Path(path).expanduser()
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals(plain_values()):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise WeightsError(
            f"{str(path)!r} is refused: it holds Python objects besides tensors, so loading it "
            "would run code from the file. Save the state dict alone, as .safetensors."
        ) from error
    except Exception as error:  # a damaged file raises anything
        reason = (str(error).splitlines() or ["it is empty or cut off"])[0][:200]
        raise WeightsError(f"{str(path)!r} cannot be read as a checkpoint: {reason}") from error
    return _unwrap(content, path)


@functools.cache
def plain_values() -> list[Any]:
    """List the constructors that may be called for values beside the weights; none runs code.

    These are numbers of NumPy, such as a best accuracy, with their dtypes; and the arguments of
    training scripts, in objects that only store attributes.

    Examples
    --------
    >>> argparse.Namespace in plain_values()
    True
    """
    scalar = np.float64(0).__reduce__()[0]
    dtypes = {type(np.dtype(code)) for code in (*np.typecodes["AllInteger"], "?", "e", "f", "d")}
    return [
        argparse.Namespace,
        np.dtype,
        *sorted(dtypes, key=str),
        *((scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
        *((OrderedDict, name) for name in _ARGUMENTS),
    ]


def _unwrap(content: Any, path: Path) -> dict[str, Tensor]:
    """Find the first state dict under the names of `WRAPPERS`; a dictionary may hold itself."""
    waiting, seen = [content], set()
    while waiting:
        one = waiting.pop(0)
        if not isinstance(one, Mapping) or id(one) in seen:
            continue
        seen.add(id(one))
        names = [key for key in WRAPPERS if isinstance(one.get(key), Mapping)]
        inner = [one[key] for key in names]
        if len(names) > 1:
            LOG.info("%s: weights are read from %s, before %s", path.name, names[0], names[1:])
        waiting = inner + waiting
        tensors = {key: value for key, value in one.items() if _is_weight(key, value)}
        if tensors and not inner:
            return tensors
    raise WeightsError(
        f"{str(path)!r} has no state dict, neither at its top nor under {', '.join(WRAPPERS)}."
    )


def _is_weight(key: Any, value: Any) -> bool:
    return isinstance(key, str) and isinstance(value, Tensor) and value.layout == torch.strided


def fit(state: Mapping[str, Tensor], model: nn.Module, *, path: str, arch: str) -> list[str]:
    """Load a state dict into a model without classifier; every other key must match.

    Parameters
    ----------
    state : mapping of str to Tensor
        Weights; common prefixes (``module.backbone.`` ...) are removed.
    model : torch.nn.Module
        timm model with ``num_classes=0``.
    path, arch : str
        File and architecture, for the message.

    Returns
    -------
    list of str
        First parts of the ignored keys, sorted: classifier, projector, decoder.

    Raises
    ------
    WeightsError
        Lists keys that are missing, unexpected or of another shape.
    """
    wanted = model.state_dict()
    prefix = _prefix(state, wanted)
    inside = {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}
    heads = (*HEADS, *(f"{head}." for head in _classifiers(model)))
    extra = [key for key in inside if key not in wanted and not key.startswith(heads)]
    # Evaluation does not use batch counters, and checkpoints before torch 0.4.1 lack them.
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
    """Find the chain of known prefixes shared by most of the wanted keys."""
    chains = [""]
    for length in (1, 2, 3):
        chains += ["".join(words) for words in product(PREFIXES, repeat=length)]
    counts: Counter[str] = Counter()
    for key in state:
        words = key.split(".")
        for n in range(min(4, len(words))):
            if ".".join(words[n:]) in wanted:
                counts[".".join([*words[:n], ""]) if n else ""] += 1
    return max(chains, key=lambda chain: counts[chain])  # the first one wins a tie


def _classifiers(model: nn.Module) -> tuple[str, ...]:
    named = getattr(model, "pretrained_cfg", {}).get("classifier") or ()
    return (named,) if isinstance(named, str) else tuple(named)


def _does_not_fit(
    path: str, arch: str, *, missing: list[str], shapes: list[str], extra: list[str]
) -> InputError:
    faults = {"missing": missing, "of another shape": shapes, "unexpected": extra}
    said = "; ".join(f"{len(keys)} {what}: {_few(keys)}" for what, keys in faults.items() if keys)
    return WeightsError(
        f"the checkpoint {path!r} does not fit arch={arch} ({said}). "
        "Is it the checkpoint of another architecture, size or library?"
    )


def _few(keys: Iterable[str], n: int = 3) -> str:
    keys = list(keys)
    return ", ".join(keys[:n]) + (", ..." if len(keys) > n else "")

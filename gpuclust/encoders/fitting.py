"""Load a state dict into a model: every key must match, with a list of exceptions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product

from torch import Tensor, nn

from ..errors import WeightsError
from .checkpoint import few

# Prefixes that training adds to the keys of a backbone; up to three are removed, outermost first.
# MoCo evaluates the base encoder, DINO the teacher.
PREFIXES = (
    "module.", "_orig_mod.", "model.", "teacher.", "student.", "base_encoder.", "backbone.",
    "encoder.", "visual.", "net.", "network.", "ema_model.", "ema.",
)  # fmt: skip

# Heads of pretraining methods, which are not part of the encoder.
HEADS = ("head.", "head_dist.", "projector.", "projection_head.", "predictor.", "decoder",
         "mask_token", "momentum_encoder.")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Keys:
    """Keys of a published format; every other key is an error.

    Attributes
    ----------
    prefixes : tuple of str
        Prefixes of the encoder's keys; the first one with the most keys is removed.
    left_out : tuple of str
        Beginnings of the keys that belong to no encoder, such as ``"module.predictor."``.
    untrained : tuple of str
        Keys of the encoder that the file does not have: they keep their initial value.
    renamed : tuple of (str, str)
        Parts of keys with their newer names.
    outside : bool
        Whether keys without the prefix are left out too.
    """

    prefixes: tuple[str, ...] = ("",)
    left_out: tuple[str, ...] = ()
    untrained: tuple[str, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    outside: bool = False

    def renaming(self, key: str) -> str:
        """Return the newer name of a key."""
        for old, new in self.renamed:
            key = key.replace(old, new)
        return key


def fit(
    state: Mapping[str, Tensor],
    model: nn.Module,
    *,
    path: str,
    arch: str,
    keys: Keys | None = None,
    adapt: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]] | None = None,
) -> list[str]:
    """Load a state dict into a model without classifier; every other key must match.

    Parameters
    ----------
    state : mapping of str to Tensor
        Weights.
    model : torch.nn.Module
        Model without classifier.
    path, arch : str
        File and architecture, for the message.
    keys : Keys, optional
        Published format.  Without one, a common prefix (``module.backbone.`` ...) is removed, and
        classifiers, projectors, decoders and keys without the prefix are left out.
    adapt : callable, optional
        Makes the weights of the model from those of another image size; used where only shapes
        differ.

    Returns
    -------
    list of str
        First parts of the keys that were left out, sorted: classifier, projector, decoder.

    Raises
    ------
    WeightsError
        Lists keys that are missing, unexpected or of another shape.
    """
    wanted = model.state_dict()
    keys = keys or _guessed(state, model)
    named = {keys.renaming(key): key for key in state}
    prefix = max(keys.prefixes, key=lambda start: sum(start + key in named for key in wanted))
    found = {
        key: state[named[prefix + key]]
        for key in wanted
        if prefix + key in named and key not in keys.untrained
    }
    rest = set(named.values()) - {named[prefix + key] for key in found}
    extra = [
        key
        for key in state
        if key in rest
        and not key.startswith(keys.left_out)
        and (key.startswith(prefix) or not keys.outside)
    ]
    missing = [prefix + key for key in wanted if _is_missing(key, found, keys)]
    if adapt and not missing and not extra and _other_shapes(found, wanted, prefix):
        found = dict(adapt(found))
    faults = {
        "missing": missing,
        "of another shape": _other_shapes(found, wanted, prefix),
        "unexpected": extra,
    }
    if any(faults.values()):
        raise _does_not_fit(path, arch, faults)
    model.load_state_dict(found, strict=False)
    return sorted({key.removeprefix(prefix).split(".")[0] for key in rest})


def _other_shapes(
    found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], prefix: str
) -> list[str]:
    return [
        f"{prefix}{key} {tuple(value.shape)} instead of {tuple(wanted[key].shape)}"
        for key, value in found.items()
        if value.shape != wanted[key].shape
    ]


def _is_missing(key: str, found: Mapping[str, Tensor], keys: Keys) -> bool:
    # Evaluation does not use batch counters, and checkpoints before torch 0.4.1 lack them.
    optional = key in keys.untrained or key.endswith("num_batches_tracked")
    return key not in found and not optional


def _guessed(state: Mapping[str, Tensor], model: nn.Module) -> Keys:
    prefix = _prefix(state, model.state_dict())
    heads = (*HEADS, *(f"{head}." for head in _classifiers(model)))
    left_out = tuple(prefix + head for head in heads)
    return Keys(prefixes=(prefix,), left_out=left_out, outside=True)


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


def _does_not_fit(path: str, arch: str, faults: Mapping[str, list[str]]) -> WeightsError:
    said = "; ".join(f"{len(keys)} {what}: {few(keys)}" for what, keys in faults.items() if keys)
    return WeightsError(
        f"the checkpoint {path!r} does not fit arch={arch} ({said}). "
        "Is it the checkpoint of another architecture, size or library?"
    )

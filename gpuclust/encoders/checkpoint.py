"""Read checkpoints of unknown origin without running code."""

from __future__ import annotations

import argparse
import functools
import logging
import zipfile
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path
from pickle import UnpicklingError  # noqa: TID251 - the exception only: torch.load raises it
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from ..errors import WeightsError
from ..files.paths import expand

LOG = logging.getLogger("gpuclust")
SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".pth.tar", ".ckpt")

# Keys under which training scripts save the state dict.  Self-distillation evaluates the teacher,
# so it comes before the student; I-JEPA calls it the target encoder.
WRAPPERS = (
    "state_dict", "model", "model_state_dict", "model_state", "teacher", "target_encoder",
    "student", "network", "net", "encoder", "backbone", "state_dict_ema", "model_ema",
    "ema_state_dict", "ema", "module",
)  # fmt: skip

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


def read(path: str | Path, *, under: str | None = None) -> dict[str, Tensor]:
    """Read the state dict of a checkpoint, at the top of the file or nested in it.

    Never runs code from the file.

    Parameters
    ----------
    path : str or Path
        File; ``.safetensors`` or a file of `torch.save`.
    under : str, optional
        Key of the state dict in a file of `torch.save`; empty when it is the file's content.
        Without one it is looked for under the names of `WRAPPERS`.

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
        if "Unsupported operand" in str(error):  # no pickle at all
            raise _unreadable(path, error) from error
        raise WeightsError(
            f"{str(path)!r} is refused: it holds Python objects besides tensors, so loading it "
            "would run code from the file. Save the state dict alone, as .safetensors."
        ) from error
    except Exception as error:  # a damaged file raises anything
        raise _unreadable(path, error) from error
    if under is None:
        return _unwrap(content, path)
    return _at(content, under, path)


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


def _unreadable(path: Path, error: Exception) -> WeightsError:
    """Make the error for a damaged file, with a reason that a person can act on."""
    reason = (str(error).splitlines() or ["it is empty or cut off"])[0][:200]
    if path.is_file():
        with path.open("rb") as file:
            start = file.read(64).lstrip()
        # A zip archive ends with its table of contents.
        if "unexpected EOF" in reason or (start.startswith(b"PK") and not zipfile.is_zipfile(path)):
            reason = "it is cut off or damaged. Download it again."
        elif start.startswith(b"<"):
            reason = "it is a web page, not a weights file. Download it again."
        elif start.startswith(b"version https://git-lfs"):
            reason = "it is a pointer of Git LFS, not the file. Fetch it with `git lfs pull`."
    return WeightsError(f"{str(path)!r} cannot be read as a checkpoint: {reason}")


def _at(content: Any, under: str, path: Path) -> dict[str, Tensor]:
    """Take the state dict from one place of a file."""
    state = content.get(under) if under and isinstance(content, Mapping) else content
    if under and not isinstance(state, Mapping):
        raise WeightsError(f"{str(path)!r} has no {under!r}, where its format has the state dict.")
    tensors = dict(state) if isinstance(state, Mapping) else {}
    others = [str(key) for key, value in tensors.items() if not _is_weight(key, value)]
    if others or not tensors:
        raise WeightsError(
            f"{str(path)!r} has no state dict {f'under {under!r}' if under else 'at its top'}, "
            f"where its format has it{f'; it has {few(others)}' if others else ''}."
        )
    return tensors


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


def few(keys: Iterable[str], n: int = 3) -> str:
    """Name the first keys of many, for a message.

    Examples
    --------
    >>> few("abcde")
    'a, b, c, ...'
    """
    keys = list(keys)
    return ", ".join(keys[:n]) + (", ..." if len(keys) > n else "")

"""Tensors of .pt and .safetensors files, read without running code."""

from __future__ import annotations

import contextlib
import functools
import struct
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from .contents import NUMBERS, OTHER, Contents, Field, check_memory, of_array
from .numpy_files import DAMAGED, damaged

if TYPE_CHECKING:
    import torch

_REAL = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "BOOL": "bool"}
_REAL |= {f"{k}{bits}": f"{n}{bits}" for k, n in (("I", "int"), ("U", "uint")) for bits in (8, 16)}
_REAL |= {f"{k}{bits}": f"{n}{bits}" for k, n in (("I", "int"), ("U", "uint")) for bits in (32, 64)}


def torch_file(path: Path) -> Contents:
    """Open a .pt file: a tensor, or a dict or list of tensors, numbers and texts.

    It is read with ``weights_only=True``, so that it cannot run code; a zip file is mapped into
    memory.

    Examples
    --------
    >>> import torch
    >>> torch.save({"X": torch.ones(2, 3), "label": ["a", "b"]}, tmp_path / "x.pt")
    >>> [str(field) for field in torch_file(tmp_path / "x.pt").fields]
    ['X (2, 3) float32', 'label (2,) text']
    """
    import torch

    found = _loaded(path)
    if isinstance(found, torch.Tensor):
        return Contents(str(path), (_field("", found),))
    if isinstance(found, list | tuple) and found and isinstance(found[0], torch.Tensor):
        found = {str(k): value for k, value in enumerate(found)}
    if isinstance(found, list) and (field := _field("", found)).kind != OTHER:
        return Contents(str(path), (field,))
    if not isinstance(found, Mapping):
        raise InputError(
            f"{path} holds a {type(found).__name__}; expected a tensor (n, d) or a dict of them."
        )
    return Contents(str(path), tuple(_field(str(name), value) for name, value in found.items()))


def _loaded(path: Path) -> Any:
    import torch

    mapped = zipfile.is_zipfile(path)
    try:
        if mapped:
            with zipfile.ZipFile(path) as archive:
                size = sum(info.file_size for info in archive.infolist())
                mapped = all(info.compress_type == 0 for info in archive.infolist())
            if not mapped:
                check_memory((size,), 1, str(path))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except (*DAMAGED, ImportError, torch.serialization.pickle.UnpicklingError) as error:
        if isinstance(error, InputError):
            raise
        raise _refused(path, error) from error


def _refused(path: Path, error: Exception) -> InputError:
    if "weights" in str(error).lower() and "only" in str(error).lower():
        return InputError(
            f"{path} holds Python objects beside tensors, which can run code when read. Save "
            "tensors only: torch.save({'X': X, 'y': y}, path)."
        )
    return damaged(path, error, "torch")


def _field(name: str, value: Any) -> Field:
    import torch

    if isinstance(value, torch.Tensor):
        return _tensor_field(name, value)
    if isinstance(value, list | tuple) and value:
        kinds = {type(one) for one in value}
        if kinds <= {str} or kinds <= {int, float, bool}:
            with contextlib.suppress(ValueError, OverflowError):
                return of_array(name, np.array(value))
    return Field(name, (), OTHER, type(value).__name__, lambda: value)


def _tensor_field(name: str, tensor: torch.Tensor) -> Field:
    import torch

    dtype = str(tensor.dtype).removeprefix("torch.")
    real = tensor.layout == torch.strided and not tensor.is_complex() and not tensor.is_quantized
    if not real:
        kind = "complex numbers" if tensor.is_complex() else f"{tensor.layout}, {dtype}"
        return Field(name, tuple(tensor.shape), OTHER, kind, lambda: tensor)
    load = functools.partial(to_numpy, tensor)
    return Field(name, tuple(tensor.shape), NUMBERS, dtype, load)


def to_numpy(tensor: torch.Tensor) -> np.ndarray:
    """Return a dense tensor of any device as NumPy, without a copy where possible.

    float8 and bfloat16, unknown to NumPy, become float32, which holds their values exactly.

    Examples
    --------
    >>> import torch
    >>> to_numpy(torch.ones(2, dtype=torch.bfloat16, requires_grad=True))
    array([1., 1.], dtype=float32)
    """
    import torch

    tensor = tensor.detach().cpu()
    if tensor.dtype.is_floating_point and tensor.dtype not in (
        *(torch.float16, torch.float32, torch.float64),
    ):
        tensor = tensor.float()
    array: np.ndarray = tensor.resolve_neg().numpy()
    return array


def safetensors_file(path: Path) -> Contents:
    """Open a .safetensors file; its header is read, and a tensor when it is wanted.

    Examples
    --------
    >>> from safetensors.numpy import save_file
    >>> save_file({"emb": np.eye(3)}, tmp_path / "x.safetensors")
    >>> [str(field) for field in safetensors_file(tmp_path / "x.safetensors").fields]
    ['emb (3, 3) float64']
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            facts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            return Contents(
                str(path),
                tuple(
                    _slice_field(path, name, tuple(one.get_shape()), one.get_dtype())
                    for name, one in facts.items()
                ),
            )
    except (*DAMAGED, SafetensorError) as error:
        if isinstance(error, InputError):
            raise
        raise damaged(path, error, "safetensors") from error


def _slice_field(path: Path, name: str, shape: tuple[int, ...], dtype: str) -> Field:
    known = _REAL.get(dtype)
    load = functools.partial(_load_tensor, path, name)
    return Field(name, shape, NUMBERS if known else OTHER, known or dtype, load)


def _load_tensor(path: Path, name: str) -> np.ndarray:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return to_numpy(file.get_tensor(name))
    except (*DAMAGED, SafetensorError) as error:
        raise damaged(path, error, "safetensors") from error


def is_safetensors(start: bytes) -> bool:
    """Return whether the first 9 bytes of a file start a safetensors file.

    Examples
    --------
    >>> is_safetensors((2).to_bytes(8, "little") + b"{")
    True
    """
    if len(start) < 9 or start[8:9] != b"{":
        return False
    (length,) = struct.unpack("<Q", start[:8])
    return bool(length < 2**32)

"""Copies between the host and the device of an array."""

from __future__ import annotations

from typing import Any

import array_api_compat
import numpy as np


def to_device(xp: Any, values: np.ndarray, like: Any) -> Any:
    """Copy a NumPy array to the device of `like`, an array of the namespace `xp`.

    Examples
    --------
    >>> to_device(np, np.arange(3), like=np.zeros(1)).tolist()
    [0, 1, 2]
    """
    return xp.asarray(values, device=array_api_compat.device(like))


def to_host(values: Any) -> np.ndarray:
    """Copy an array of any namespace and device to NumPy; return NumPy arrays unchanged.

    Examples
    --------
    >>> to_host(np.arange(3)).tolist()
    [0, 1, 2]
    """
    if isinstance(values, np.ndarray):
        return values
    if array_api_compat.is_cupy_array(values):
        return values.get()
    return np.from_dlpack(values, device="cpu")

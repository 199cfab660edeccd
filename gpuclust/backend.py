"""The one switch between CPU and GPU.

`select` decides once, with a reason that is shown to the user; everything below the runner follows
the array it is given and has no device parameter.  Nothing falls back silently: what a backend
cannot do is an error that names what can.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import BackendError, unknown
from .methods import Fit, Method

BACKENDS = ("auto", "cpu", "gpu")


@dataclass(frozen=True)
class Backend:
    """Where the clustering engine runs.

    Attributes
    ----------
    name : {"cpu", "gpu"}
        What really runs; part of the key of every row.
    reason : str
        Why this one, in words.
    asked : {"auto", "cpu", "gpu"}
        What the user asked for.
    """

    name: str
    reason: str
    asked: str

    def build(self, name: str, method: Method, params: Mapping[str, Any], fit: Fit) -> Any:
        """Import the class of a method for this backend and construct it.

        Raises
        ------
        CellError
            When the method cannot work on data of this shape.
        BackendError
            When this backend has no form of the method, or its package is not installed.
        """
        method.needs(params, fit)
        path = getattr(method, self.name)
        if path is None:
            other = "cpu" if self.name == "gpu" else "gpu"
            raise BackendError(
                f"{name} has no {self.name} form. Run it with --device {other}, "
                f"or choose another method (`gpuclust list` shows which run where)."
            )
        return load_class(path, method.extra)(**method.bind(params, fit))

    def torch_device(self) -> str:
        """Where the encoder runs: CUDA where torch has it, unless the CPU was asked for."""
        if self.asked == "cpu":
            return "cpu"
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"


def select(asked: str = "auto") -> Backend:
    """Choose the backend.

    Parameters
    ----------
    asked : {"auto", "cpu", "gpu"}
        ``auto`` takes the GPU where it can do the whole unit, and says why not otherwise.

    Raises
    ------
    BackendError
        When ``gpu`` was asked for and cannot be had; the message says why.
    """
    if asked not in BACKENDS:
        raise unknown("device", asked, BACKENDS)
    if asked == "cpu":
        return Backend("cpu", "the CPU was asked for", asked)
    missing = why_no_gpu()
    if missing is None:
        return Backend("gpu", "a GPU with RAPIDS is here", asked)
    if asked == "gpu":
        raise BackendError(f"--device gpu is not available: {missing}. Use --device cpu or auto.")
    return Backend("cpu", f"no GPU engine: {missing}", asked)


def why_no_gpu() -> str | None:
    """Say what keeps the GPU engine from running here; None when nothing does."""
    for package in ("cupy", "cuml"):
        if importlib.util.find_spec(package) is None:
            return f"the package {package} is not installed (extra gpu-cu13 or gpu-cu12)"
    import cupy

    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"CUDA does not answer ({error})"
    if count == 0:
        return "CUDA sees no device"
    return _why_no_methods()


def _why_no_methods() -> str | None:
    from .methods import CLUSTERERS, REDUCERS

    if any(method.gpu for method in (REDUCERS | CLUSTERERS).values()):
        return None
    return "this version has a GPU form of no method yet; encoders are sent to the GPU all the same"


def load_class(path: str, extra: str | None = None) -> Any:
    """Import ``"module:attribute"``.

    Raises
    ------
    BackendError
        When the package is not installed; names the extra that brings it.
    """
    module, _, attribute = path.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        install = f'pip install "gpuclust[{extra}]"' if extra else f"pip install {error.name}"
        raise BackendError(f"{error.name} is not installed. Run {install}.") from error

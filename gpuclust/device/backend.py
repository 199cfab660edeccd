"""The one switch between CPU and GPU.

`select` decides once, with a reason that is shown to the user; everything below the runner follows
the array it is given and has no device parameter.  Nothing falls back silently: what a backend
cannot do is an error that names what can.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ..errors import BackendError, unknown

Trace = Callable[[], contextlib.AbstractContextManager[dict[str, int]]]
BACKENDS = ("auto", "cpu", "gpu")
PACKAGES = ("cupy", "rmm", "cuml")
# What the GPU forms import when they are used: seconds that no stage should be charged with.
LIBRARIES = ("cuml.cluster", "cuml.decomposition", "cuml.manifold", "cuml.neighbors")


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

    def prepare(self) -> str | None:
        """Set up the memory that all libraries share and import them; None on the CPU.

        To be called before anything allocates on the device.

        Returns
        -------
        str or None
            How the memory is laid out, see `gpuclust.device.memory.Layout`.
        """
        if self.name == "cpu":
            return None
        from . import memory

        layout = memory.share_pool()
        for library in LIBRARIES:
            importlib.import_module(library)
        return layout.name

    def put(self, values: Any) -> Any:
        """Bring an array to this backend; what is there already is not copied.

        Bytes to the device: those of the array.
        """
        if self.name == "cpu":
            return values
        import cupy

        return cupy.asarray(values)

    def place(self, data: Any) -> Any:
        """Bring the arrays X and y of a `gpuclust.embeddings.data.Data` to this backend."""
        y = None if data.y is None else self.put(data.y)
        return dataclasses.replace(data, X=self.put(data.X), y=y)

    @contextlib.contextmanager
    def watch(self, trace: Trace | None = None) -> Iterator[dict[str, Any]]:
        """Measure device memory, and with `trace` the copies, while the block runs.

        Parameters
        ----------
        trace : callable, optional
            Context manager that yields a dict and fills it, such as `transfers.trace`.

        Yields
        ------
        dict
            Filled when the block ends: ``peak_bytes`` and the items of `trace`.  Empty on the CPU.
        """
        found: dict[str, Any] = {}
        if self.name == "cpu":
            yield found
            return
        from . import memory

        with contextlib.ExitStack() as stack:
            peak = stack.enter_context(memory.stage_peak())
            copied = stack.enter_context(trace()) if trace else {}
            yield found
        found["peak_bytes"] = peak.bytes
        found.update(copied)

    def synchronize(self) -> None:
        """Wait until the device has done what it was asked to: before every reading of a clock."""
        if self.name == "gpu":
            import cupy

            cupy.cuda.Device().synchronize()

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


def named(name: str) -> Backend:
    """Name a backend whose rows are read or which others compute on: that takes no device here."""
    if name not in BACKENDS[1:]:
        raise unknown("device", name, BACKENDS[1:])
    return Backend(name, "only its rows are read", name)


def why_no_gpu() -> str | None:
    """Say what keeps the GPU engine from running here; None when nothing does."""
    for package in PACKAGES:
        if importlib.util.find_spec(package) is None:
            return f"the package {package} is not installed (extra gpu-cu13 or gpu-cu12)"
    try:
        import cupy
    except ImportError as error:  # installed, but not whole: a library of CUDA is missing, say
        return f"cupy cannot be imported ({error})"
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"CUDA does not answer ({error})"
    return None if count else "CUDA sees no device"

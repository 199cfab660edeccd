"""Choose between CPU and GPU, once per run.

`select` returns the backend and the reason, shown to the user.  The runner copies the arrays to it;
all code below the runner follows its input arrays and has no device parameter.  There is no silent
fallback: a method without an implementation for the backend is an error that names the supported
ones.
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
# Imported in `prepare`, because these imports take seconds that would count in the first stage.
LIBRARIES = ("cuml.cluster", "cuml.decomposition", "cuml.manifold", "cuml.neighbors")
# What `select` was asked last in this process.  Readers of datasets have no device parameter.
_asked = "auto"


@dataclass(frozen=True)
class Backend:
    """CPU or GPU backend of one run.

    Attributes
    ----------
    name : {"cpu", "gpu"}
        Backend in use; part of the key of every row.
    reason : str
        Why `select` chose it.
    asked : {"auto", "cpu", "gpu"}
        Value of ``--device``.

    Examples
    --------
    >>> from gpuclust.device import backend
    >>> on = backend.select("cpu")
    >>> on.name, on.torch_device()
    ('cpu', 'cpu')
    """

    name: str
    reason: str
    asked: str

    def prepare(self) -> str | None:
        """Set up one memory pool for all GPU libraries and import them; does nothing on the CPU.

        Call it before the first allocation on the device.

        Returns
        -------
        str or None
            Name of the memory layout, see `gpuclust.device.memory.Layout`; None on the CPU.
        """
        if self.name == "cpu":
            return None
        from . import memory

        layout = memory.share_pool()
        for library in LIBRARIES:
            importlib.import_module(library)
        return layout.name

    def put(self, values: Any) -> Any:
        """Copy an array to this backend, or return it unchanged when it is there already.

        Copies ``values.nbytes`` from host to device.  On the CPU nothing is copied.
        """
        if self.name == "cpu":
            return values
        import cupy

        return cupy.asarray(values)

    def place(self, data: Any) -> Any:
        """Copy the arrays of a `gpuclust.embeddings.data.Data` to this backend."""
        y = None if data.y is None else self.put(data.y)
        labelled = None if data.labelled is None else self.put(data.labelled)
        return dataclasses.replace(data, X=self.put(data.X), y=y, labelled=labelled)

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
        """Wait until the device has finished all queued work; call it before reading a clock."""
        if self.name == "gpu":
            import cupy

            cupy.cuda.Device().synchronize()

    def torch_device(self) -> str:
        """Return the encoder's device: CUDA if torch has it, except with ``--device cpu``."""
        if self.asked == "cpu":
            return "cpu"
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"


@dataclass(frozen=True)
class Frames:
    """Library of data frames.

    Attributes
    ----------
    name : {"pandas", "cudf"}
        Name of the library.
    library : module
        The library.
    """

    name: str
    library: Any

    @property
    def title(self) -> str:
        """Name and version, such as ``"pandas 3.0.1"``."""
        return f"{self.name} {self.library.__version__}"


def frames(asked: str | None = None) -> Frames:
    """Return the library of data frames of this process: cuDF with the GPU backend, else pandas.

    Follows the last `select` of this process: after ``select("cpu")`` it is pandas on any machine.
    Before the first `select` it follows ``auto``.  Both libraries read the same values, so a second
    thread with another backend changes no result.

    Parameters
    ----------
    asked : {"auto", "cpu", "gpu"}, optional
        Value of ``--device``; that of the last `select` when None.

    Examples
    --------
    >>> from gpuclust.device import backend
    >>> _ = backend.select("cpu")
    >>> backend.frames().name
    'pandas'
    """
    if (asked or _asked) == "cpu" or why_no_gpu() is not None:
        return Frames("pandas", importlib.import_module("pandas"))
    from . import memory

    memory.share_pool()
    return Frames("cudf", importlib.import_module("cudf"))


def select(asked: str = "auto") -> Backend:
    """Choose the backend of a run, and of the data frames of this process, see `frames`.

    Parameters
    ----------
    asked : {"auto", "cpu", "gpu"}
        ``auto`` takes the GPU if a device and RAPIDS are available, otherwise the CPU;
        `Backend.reason` says why.

    Raises
    ------
    UnknownNameError
        `asked` is none of the three.
    BackendError
        `asked` is ``gpu`` and no GPU backend is available; the message says why.

    Examples
    --------
    >>> from gpuclust.device import backend
    >>> backend.select("cpu")
    Backend(name='cpu', reason='requested by --device cpu', asked='cpu')
    """
    global _asked
    if asked not in BACKENDS:
        raise unknown("device", asked, BACKENDS)
    _asked = asked
    if asked == "cpu":
        return Backend("cpu", "requested by --device cpu", asked)
    missing = why_no_gpu()
    if missing is None:
        return Backend("gpu", "a GPU with RAPIDS is available", asked)
    if asked == "gpu":
        raise BackendError(f"--device gpu is not available: {missing}. Use --device cpu or auto.")
    return Backend("cpu", f"no GPU backend: {missing}", asked)


def named(name: str) -> Backend:
    """Return a backend by name, without a check of this machine.

    For reading the rows of a backend, and for runs computed on other machines.

    Parameters
    ----------
    name : {"cpu", "gpu"}
        Name of the backend.

    Examples
    --------
    >>> from gpuclust.device import backend
    >>> backend.named("gpu").name
    'gpu'
    """
    if name not in BACKENDS[1:]:
        raise unknown("device", name, BACKENDS[1:])
    return Backend(name, "only its rows are read", name)


def why_no_gpu() -> str | None:
    """Return the reason why the GPU backend cannot run here, or None if it can.

    Examples
    --------
    >>> from gpuclust.device import backend
    >>> backend.why_no_gpu()  # doctest: +SKIP
    'the package cupy is not installed (extra gpu-cu13 or gpu-cu12)'
    """
    for package in PACKAGES:
        if importlib.util.find_spec(package) is None:
            return f"the package {package} is not installed (extra gpu-cu13 or gpu-cu12)"
    try:
        import cupy
    except ImportError as error:  # installed, but a CUDA library that it needs may be missing
        return f"cupy cannot be imported ({error})"
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"CUDA does not answer ({error})"
    return None if count else "CUDA sees no device"

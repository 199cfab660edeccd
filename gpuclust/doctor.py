"""Checks of this machine; a failed check says how to fix it."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from .device import backend, caches, machine
from .errors import BackendError, InputError, StorageError
from .store.store import Store

INSTALL = 'pip install "gpuclust[gpu-cu13]" (driver for CUDA 13; "gpuclust[gpu-cu12]" for 12)'
# A process that loads two copies of one of these crashes sooner or later.
_CUDA_LIBRARIES = re.compile(
    r"lib(nvJitLink|nvrtc|cublasLt|cublas|cusolver|cusparse|cufft|curand|nccl|cudart)\.so"
)


class Check(NamedTuple):
    """One line of the report; `ok` is None for plain information."""

    name: str
    ok: bool | None
    found: str


def checks(*, root: Path, data_dir: Path | None = None, fits: bool = True) -> Iterator[Check]:
    """Run all checks one after another; a failed check does not stop the next.

    Parameters
    ----------
    root : Path
        Folder of results; a file is written there, and the free disk space checked.
    data_dir : Path, optional
        Folder of the image datasets.
    fits : bool
        Also fit every library on 200 samples; takes seconds to half a minute with imports.

    Examples
    --------
    >>> found = list(checks(root=Path("."), fits=False))
    >>> found[0].name
    'machine'
    """
    facts = machine.facts()
    yield Check(
        "machine", None, f"{facts['cpu']}, {facts['cores']} cores, {facts['memory_gib']} GiB"
    )
    yield Check("system", None, f"{facts['system']}, Python {facts['python']}")
    yield Check("packages", None, ", ".join(f"{n} {v}" for n, v in facts["versions"].items()))
    yield _attempt("root", lambda: _root(root))
    yield _attempt("caches", _caches)
    yield _attempt("encoder weights", _weights)
    yield _fashionmnist(data_dir)
    on = backend.select("auto")
    yield Check("clustering backend", None, f"{on.name}: {on.reason}")
    if fits:
        yield from (_attempt(f"fit: {name}", fit) for name, fit in _CPU_FITS.items())
    if on.name == "cpu":
        yield Check("GPU", None, f"{backend.why_no_gpu()}. To use one: {INSTALL}")
        return
    yield from (_attempt(name, check) for name, check in _GPU_CHECKS.items())
    if fits:
        yield from (_attempt(f"fit: {name}", fit) for name, fit in _GPU_FITS.items())


def _attempt(name: str, check: Callable[[], str]) -> Check:
    """Run one check; an exception becomes a failed check with its message."""
    try:
        return Check(name, ok=True, found=check())
    except Exception as error:  # noqa: BLE001 - any error is a finding
        return Check(name, ok=False, found=f"{type(error).__name__}: {error}")


# ---- any machine --------------------------------------------------------------------------------


def _root(root: Path) -> str:
    there = _try_writing(Store(root).root)
    free = shutil.disk_usage(there).free / 2**30
    if free < 0.1:
        raise StorageError(f"{root.resolve()} has {free:.2f} GiB free; give another --root")
    return f"{root.resolve()}, {free:.1f} GiB free, can be written"


def _try_writing(folder: Path) -> Path:
    """Write a file to a folder, or where it would be made; return the place of the attempt."""
    folder = folder.expanduser().resolve()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir():
        raise StorageError(f"{there} is a file, not a folder")
    try:
        with tempfile.NamedTemporaryFile(prefix=".gpuclust-", dir=there) as file:
            file.write(b"1")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise StorageError(f"{there} cannot be written: {error.strerror}") from error
    return there


def _caches() -> str:
    """Try the folders where hubs keep weights and numba its compiled code."""
    import torch
    from huggingface_hub import constants

    named = {"HF_HOME": Path(constants.HF_HUB_CACHE), "TORCH_HOME": Path(torch.hub.get_dir())}
    for name, folder in named.items():
        try:
            _try_writing(folder)
        except StorageError as error:
            raise StorageError(f"{error}; set {name} to a folder that you can write to") from error
    if caches.numba_folder() is not None:
        raise StorageError(
            "no folder for numba's compiled code can be written, so every process compiles for "
            "half a minute; set NUMBA_CACHE_DIR to a folder that you can write to"
        )
    return "of hubs and of numba can be written"


def _weights() -> str:
    from . import encoders

    encoders.load("efficientnet_lite0")
    return "EfficientNet-Lite0 (ImageNet-1k) was loaded; it needs no hub"


def _fashionmnist(data_dir: Path | None) -> Check:
    from . import datasets

    try:
        found = datasets.load("fashionmnist", split="test", data_dir=data_dir)
    except InputError as error:
        return Check("Fashion-MNIST", None, f"optional, missing: {error}")
    except Exception as error:  # noqa: BLE001 - any error is a finding
        return Check("Fashion-MNIST", ok=False, found=f"{type(error).__name__}: {error}")
    return _attempt("Fashion-MNIST", lambda: _first_and_last(found))


def _first_and_last(found: Any) -> str:
    """Decode two images."""
    for i in (0, len(found) - 1):
        found[i][0].load()
    return f"{len(found)} test images, the first and the last were read"


def _digits() -> tuple[Any, Any]:
    import numpy as np
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    return X[:200].astype(np.float32), y[:200]


def _timed(fit: Callable[[], Any]) -> str:
    start = time.perf_counter()
    found = fit()
    return f"{found}, {time.perf_counter() - start:.1f} s with imports"


def _fit_on(device: str, reducer: str, clusterer: str) -> str:
    """Run one cell on 200 digits through the pipeline of all runs."""
    from .cell import Cell, units_of
    from .embeddings.data import Data
    from .pipeline import run_unit

    cell = Cell.of(
        dataset="digits", split="all", encoder="raw", reducer=reducer, clusterer=clusterer
    )
    (unit,) = units_of([cell])
    (result,) = run_unit(unit, Data(*_digits(), "doctor"), backend.select(device))
    ami, ran = result.row["scores"]["ami"], result.row["ran"]["clusterer"]
    if ami < 0.3:
        raise BackendError(f"{ran} found AMI {ami:.2f} on 200 digits, where 0.6 is usual")
    return f"AMI {ami:.2f} on 200 digits"


_CPU_FITS: dict[str, Callable[[], str]] = {
    "scikit-learn": lambda: _timed(lambda: _fit_on("cpu", "none", "kmeans")),
    "umap-learn": lambda: _timed(lambda: _fit_on("cpu", "umap(n_components=2)", "kmeans")),
    "linkage trees (CPU)": lambda: _timed(lambda: _fit_on("cpu", "none", "agglomerative")),
}

# ---- with a GPU ---------------------------------------------------------------------------------


def _device() -> str:
    import cupy

    device = cupy.cuda.runtime.getDeviceProperties(0)
    free, total = cupy.cuda.runtime.memGetInfo()
    name = device["name"].decode()
    capability = f"{device['major']}.{device['minor']}"
    if device["major"] * 10 + device["minor"] < 75:
        raise BackendError(f"{name} has compute capability {capability}; RAPIDS needs 7.5 or newer")
    return (
        f"{name}, compute capability {capability}, "
        f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB free"
    )


def _cuda() -> str:
    """Compare the CUDA versions of the driver, CuPy, torch and the RAPIDS packages."""
    import cupy
    import torch

    driver = cupy.cuda.runtime.driverGetVersion() // 1000
    built = {"cupy": cupy.cuda.runtime.runtimeGetVersion() // 1000}
    built["torch"] = int((torch.version.cuda or "0").partition(".")[0])
    built |= {name: int(name[-2:]) for name in _installed("cuml-cu12", "cuml-cu13")}
    versions = ", ".join(f"{name} {major}" for name, major in built.items())
    if len(set(built.values())) > 1 or max(built.values()) > driver:
        raise BackendError(
            f"CUDA versions do not agree: driver {driver}, {versions}. Install all packages for "
            "one CUDA version, at most that of the driver."
        )
    return f"driver {driver}, {versions}"


def _installed(*packages: str) -> Iterator[str]:
    for package in packages:
        try:
            importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
        yield package


def _libraries() -> str:
    """Look for CUDA libraries loaded twice in this process."""
    import cuml  # noqa: F401 - loads the libraries of RAPIDS
    import torch  # noqa: F401

    lines = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    paths = {line.split()[-1] for line in lines if ".so" in line}
    seen: dict[str, set[Path]] = {}
    for path in paths:
        if match := _CUDA_LIBRARIES.match(Path(path).name):
            seen.setdefault(match[1], set()).add(Path(path).resolve())
    if double := {name: sorted(map(str, at)) for name, at in seen.items() if len(at) > 1}:
        raise BackendError(f"two copies of one CUDA library are loaded: {double}")
    return f"{len(seen)} CUDA libraries, one copy of each"


def _allocator() -> str:
    from .device import memory

    layout = memory.share_pool()
    return f"{layout.name}: {layout.reason}"


def _round_trip() -> str:
    """Pass an array from torch to CuPy and back; both must use the same memory."""
    import cupy
    import torch

    from .device import dlpack

    tensor = torch.arange(12, dtype=torch.float32, device="cuda").reshape(3, 4)
    array = dlpack.from_torch(tensor)
    back = torch.from_dlpack(array)
    if not array.data.ptr == tensor.data_ptr() == back.data_ptr():
        raise BackendError("torch and CuPy copied an array that they should share")
    if float(cupy.sum(array)) != 66.0:
        raise BackendError("CuPy read different numbers than torch wrote")
    return "torch and CuPy share memory"


_GPU_CHECKS: dict[str, Callable[[], str]] = {
    "GPU": _device,
    "CUDA versions": _cuda,
    "CUDA libraries": _libraries,
    "allocator": _allocator,
    "DLPack": _round_trip,
}
_GPU_FITS: dict[str, Callable[[], str]] = {
    "cuML K-Means": lambda: _timed(lambda: _fit_on("gpu", "none", "kmeans")),
    "cuML UMAP": lambda: _timed(lambda: _fit_on("gpu", "umap(n_components=2)", "kmeans")),
    "cuML PCA, HDBSCAN": lambda: _timed(lambda: _fit_on("gpu", "pca(20)", "hdbscan")),
    "cuML spectral embedding": lambda: _timed(lambda: _fit_on("gpu", "none", "spectral")),
    "linkage trees (GPU)": lambda: _timed(lambda: _fit_on("gpu", "none", "agglomerative")),
    "affinity propagation (GPU)": lambda: _timed(lambda: _fit_on("gpu", "none", "affinity")),
}

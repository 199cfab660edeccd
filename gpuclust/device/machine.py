"""Facts about the machine and its software, for rows, metadata files and `gpuclust doctor`."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .threads import cores

PACKAGES = (
    "gpuclust",
    "numpy",
    "scipy",
    "scikit-learn",
    "umap-learn",
    "pacmap",
    "pandas",
    "torch",
    "torchvision",
    "timm",
    "open_clip_torch",
    "pillow",
    "cupy-cuda13x",
    "cuml-cu13",
    "cudf-cu13",
    "rmm-cu13",
    "cupy-cuda12x",
    "cuml-cu12",
    "cudf-cu12",
    "rmm-cu12",
)


def now() -> str:
    """Return the current time in UTC as ISO 8601 text, to the second.

    Examples
    --------
    >>> from gpuclust.device import machine
    >>> machine.now()  # doctest: +SKIP
    '2026-11-28T09:30:00+00:00'
    """
    return datetime.now(UTC).isoformat(timespec="seconds")


@functools.cache
def facts() -> dict[str, Any]:
    """Return the name, processor, usable cores, memory (GiB) and package versions.

    Examples
    --------
    >>> from gpuclust.device import machine
    >>> sorted(machine.facts())
    ['cores', 'cpu', 'memory_gib', 'name', 'python', 'system', 'versions']
    """
    return {
        "name": platform.node(),
        "cpu": _cpu(),
        "cores": cores(),
        "memory_gib": round(_memory() / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": versions(),
    }


@functools.cache
def gpu() -> dict[str, Any]:
    """Return facts about CuPy's current GPU: name, PCI address, compute capability, memory, driver.

    Raises
    ------
    ImportError
        CuPy is not installed.
    """
    import cupy

    device = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
    return {
        # A GPU's index can differ between processes; its PCI address does not.
        "pci_bus_id": cupy.cuda.Device().pci_bus_id,
        "name": device["name"].decode(),
        "compute_capability": f"{device['major']}.{device['minor']}",
        "memory_gib": round(device["totalGlobalMem"] / 2**30, 1),
        "driver_cuda": cupy.cuda.runtime.driverGetVersion(),
    }


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.exists() else None
    return found.group(1).strip() if found else platform.processor() or platform.machine()


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@functools.cache
def versions() -> dict[str, str]:
    """Return the versions of the installed `PACKAGES`, without importing them.

    Examples
    --------
    >>> from gpuclust.device import machine
    >>> "numpy" in machine.versions()
    True
    """
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found

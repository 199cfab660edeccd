"""Energy of the processor and of the GPU, where the machine lets us read it."""

from __future__ import annotations

import sys
from pathlib import Path

RAPL = Path("/sys/class/powercap")


def joules() -> dict[str, float]:
    """Read the counters in joules, by package of the processor and by GPU; empty where none can be.

    Linux lets only root read those of the processor; those of the GPU need the package pynvml.
    """
    return {**_rapl(), **_nvml()}


def since(before: dict[str, float]) -> dict[str, float]:
    """Give the joules spent since a reading; a counter that has wrapped around is left out."""
    now = joules()
    spent = {name: now[name] - value for name, value in before.items() if name in now}
    return {name: value for name, value in spent.items() if value >= 0}


def _rapl() -> dict[str, float]:
    found = {}
    for path in RAPL.glob("intel-rapl:[0-9]"):
        try:
            found[f"cpu {path.name[-1]}"] = int((path / "energy_uj").read_text()) / 1e6
        except (OSError, ValueError):
            continue
    return found


def _nvml() -> dict[str, float]:
    if "cupy" not in sys.modules:  # our side is not on a GPU
        return {}
    try:
        import pynvml
    except ImportError:
        return {}
    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        return {"gpu 0": pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3}
    except pynvml.NVMLError:
        return {}

"""Measure the bytes copied between host and device.

Data that moves without a copy is not counted: pages of managed memory, and pinned host memory read
by kernels.  gpuclust uses neither.
"""

from __future__ import annotations

import contextlib
import json
import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ..errors import BackendError, InputError
from .backend import Backend

LARGE = 1 << 20
# Kineto names a copy "Memcpy DtoH (Device -> Pageable)"; A is a CUDA array, P another GPU.
_COPY = re.compile(r"Memcpy ([HDAP])to([HDAP])\b")
_ON_GPU = {"kernel", "gpu_memcpy", "gpu_memset"}


def check_trace(on: Backend) -> None:
    """Raise `InputError` for the CPU backend: it has no device to trace.

    Examples
    --------
    >>> from gpuclust.device import backend, transfers
    >>> transfers.check_trace(backend.named("gpu"))
    """
    if on.name != "gpu":
        raise InputError(
            f"--trace-transfers measures copies between host and device, but this run uses the "
            f"CPU ({on.reason}). Leave it out, or run with --device gpu."
        )


@contextlib.contextmanager
def trace() -> Iterator[dict[str, int]]:
    """Measure the bytes copied between host and device while the block runs.

    torch's profiler reads the driver's records (CUPTI) for the whole process, so copies by cuML
    and CuPy count too.  It also records every kernel, which takes time and host memory: trace
    single stages, not whole grids.

    Yields
    ------
    dict
        Filled in when the block ends without an error.  ``to_host``, ``to_device`` and
        ``on_device`` are bytes, ``to_host_large`` is the number of device-to-host copies above
        1 MiB.

    Raises
    ------
    BackendError
        There is no CUDA device, another profiler is running, or CUPTI records nothing.
    """
    import torch

    if not torch.cuda.is_available():
        raise BackendError(
            "transfers cannot be traced: torch sees no CUDA device here. Run without tracing."
        )
    profiler = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA])
    found: dict[str, int] = {}
    torch.cuda.synchronize()
    try:
        profiler.start()
    except RuntimeError as error:
        raise BackendError(
            f"transfers cannot be traced: torch's profiler does not start ({error}). A process can "
            "run only one: end the other one, or run without tracing."
        ) from error
    try:
        torch.zeros(1, device="cuda")  # makes an empty trace mean that CUPTI failed
        yield found
        torch.cuda.synchronize()
    finally:
        profiler.stop()
    found.update(count_copies(_events_of(profiler)))


def _events_of(profiler: Any) -> list[dict[str, Any]]:
    """Return the events of a profiler from its exported trace; its API omits the bytes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        return json.loads(path.read_text(encoding="utf-8"))["traceEvents"]


def count_copies(events: Iterable[dict[str, Any]]) -> dict[str, int]:
    """Sum the bytes of the copies in a Chrome trace; for the keys see `trace`.

    Raises
    ------
    BackendError
        The trace has no GPU events, or a copy of unknown kind.

    Examples
    --------
    >>> from gpuclust.device.transfers import count_copies
    >>> name = "Memcpy DtoH (Device -> Pageable)"
    >>> count_copies([{"cat": "gpu_memcpy", "name": name, "args": {"bytes": 24}}])
    {'to_host': 24, 'to_device': 0, 'on_device': 0, 'to_host_large': 0}
    """
    events = [event for event in events if event.get("cat") in _ON_GPU]
    if not events:
        raise BackendError(
            "transfers cannot be traced: CUPTI recorded nothing. Either another profiler (nsys, "
            "ncu, a debugger) uses it, or this container may not: start it with "
            "--cap-add=SYS_ADMIN, or set the driver option NVreg_RestrictProfilingToAdminUsers to "
            "0. Otherwise run without tracing."
        )
    total = {"to_host": 0, "to_device": 0, "on_device": 0, "to_host_large": 0}
    for event in events:
        if event["cat"] == "gpu_memcpy":
            _add_copy(total, event["name"], event["args"]["bytes"])
    return total


def _add_copy(total: dict[str, int], name: str, size: int) -> None:
    ends = _COPY.match(name)
    if ends is None:
        raise BackendError(
            f"the trace has a copy of unknown kind: {name!r}, {size} bytes. The sums would be "
            "wrong: run without tracing, and please report this."
        )
    source, target = (end == "H" for end in ends.groups())
    if not source:
        total["to_host" if target else "on_device"] += size
        total["to_host_large"] += target and size > LARGE
    elif not target:
        total["to_device"] += size

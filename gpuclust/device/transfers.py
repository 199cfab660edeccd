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
# Kineto's name of a copy: "Memcpy DtoH (Device -> Pageable)"; A is an array, P a peer.
_COPY = re.compile(r"Memcpy ([HDAP])to([HDAP])\b")
_ON_GPU = {"kernel", "gpu_memcpy", "gpu_memset"}


def check_trace(on: Backend) -> None:
    """Raise `InputError` on a backend without a device: it has no copies to trace."""
    if on.name != "gpu":
        raise InputError(
            f"--trace-transfers measures copies between host and device, and this run has no "
            f"device ({on.reason}). Leave it out, or run with --device gpu."
        )


@contextlib.contextmanager
def trace() -> Iterator[dict[str, int]]:
    """Measure the bytes that the block copies between host and device, by whichever library.

    Torch's profiler records what the driver (CUPTI) tells of the whole process, cuML and CuPy
    included.  Every kernel is recorded too, which costs time and host memory: trace stages, not
    whole grids.

    Yields
    ------
    dict
        Filled in when the block ends without an error.  ``to_host``, ``to_device`` and
        ``on_device`` are bytes, ``to_host_large`` the number of copies to the host above 1 MiB.

    Raises
    ------
    BackendError
        Without a CUDA device, where another profiler is at work, or where CUPTI records nothing.
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
            f"transfers cannot be traced: torch's profiler does not start ({error}). Only one can "
            "run in a process: end the other one, or run without tracing."
        ) from error
    try:
        torch.zeros(1, device="cuda")  # so that there is something to be seen
        yield found
        torch.cuda.synchronize()
    finally:
        profiler.stop()
    found.update(count_copies(_events_of(profiler)))


def _events_of(profiler: Any) -> list[dict[str, Any]]:
    """Read what a profiler recorded: its own events do not carry bytes, those it exports do."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        return json.loads(path.read_text(encoding="utf-8"))["traceEvents"]


def count_copies(events: Iterable[dict[str, Any]]) -> dict[str, int]:
    """Sum the copies among the events of a Chrome trace; for the keys see `trace`.

    Raises
    ------
    BackendError
        When nothing that runs on a GPU is among the events, or a copy of unknown kind.
    """
    events = [event for event in events if event.get("cat") in _ON_GPU]
    if not events:
        raise BackendError(
            "transfers cannot be traced: CUPTI recorded nothing. Another profiler (nsys, ncu, a "
            "debugger) may hold it, or the container may not: start it with --cap-add=SYS_ADMIN, "
            "or have the driver's NVreg_RestrictProfilingToAdminUsers set to 0. Or run without "
            "tracing."
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
            f"the trace has a copy of a kind that is not known here: {name!r}, {size} bytes. Its "
            "figures would be wrong; run without tracing and report this."
        )
    source, target = (end == "H" for end in ends.groups())
    if not source:
        total["to_host" if target else "on_device"] += size
        total["to_host_large"] += target and size > LARGE
    elif not target:
        total["to_device"] += size

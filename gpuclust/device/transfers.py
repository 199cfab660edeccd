"""What crosses between host and device: `trace` measures all of it, `guard` finds who did it.

Neither sees what moves without a copy: pages of managed memory, and kernels that read pinned host
memory.  Gpuclust uses neither.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import json
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

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


class Crossing(NamedTuple):
    """One copy to the host: the call that made it, where it stands (file:line), and its bytes."""

    call: str
    site: str
    bytes: int


class TransferError(AssertionError):
    """More was copied to the host than a `guard` allows."""


@dataclass
class Crossings:
    """What a `guard` saw so far, in order."""

    seen: list[Crossing] = field(default_factory=list)

    @property
    def calls(self) -> int:
        """The number of copies to the host."""
        return len(self.seen)

    @property
    def bytes(self) -> int:
        """Their bytes, all together."""
        return sum(crossing.bytes for crossing in self.seen)


# torch.Tensor.numpy copies with force=True only; cupy.asnumpy calls ndarray.get.
_WATCHED = {
    "cupy": ("ndarray", ("get", "item", "tolist")),
    "torch": ("Tensor", ("cpu", "numpy", "item", "tolist", "to")),
}


@contextlib.contextmanager
def guard(budget: int | None = None) -> Iterator[Crossings]:
    """Count the copies to the host that Python code asks for while the block runs.  For tests.

    It sees the methods of `cupy.ndarray` and of CUDA tensors that copy, ``cupy.asnumpy`` and what
    else is made of them; not the copies inside compiled code (cuML's, and those of ``float(x)`` and
    ``if x``), which `trace` sees.  Not for several threads.

    Parameters
    ----------
    budget : int, optional
        The bytes that may be copied.

    Yields
    ------
    Crossings
        Grows as the block runs.

    Raises
    ------
    TransferError
        When the block ends and more than the budget was copied; names each call and its place.
    """
    crossings = Crossings()
    busy: list[str] = []  # the call under way: one that another makes inside is the same copy
    with contextlib.ExitStack() as undo:
        for module in filter(importlib.util.find_spec, _WATCHED):
            owner, names = _WATCHED[module]
            cls = getattr(importlib.import_module(module), owner)
            for name in names:
                counted = _counting(getattr(cls, name), f"{owner}.{name}", crossings, busy)
                _replace(undo, cls, name, counted)
        yield crossings
    if budget is not None and crossings.bytes > budget:
        raise TransferError(_over(crossings, budget))


def _replace(undo: contextlib.ExitStack, cls: type, name: str, value: Any) -> None:
    """Set an attribute of a class until `undo` closes; an inherited one is then inherited again."""
    if name in vars(cls):
        undo.callback(setattr, cls, name, vars(cls)[name])
    else:
        undo.callback(delattr, cls, name)
    setattr(cls, name, value)


def _counting(
    original: Callable[..., Any], call: str, crossings: Crossings, busy: list[str]
) -> Callable[..., Any]:
    @functools.wraps(original)
    def counted(array: Any, *args: Any, **kwargs: Any) -> Any:
        if busy or not _on_device(array):
            return original(array, *args, **kwargs)
        busy.append(call)
        try:
            result = original(array, *args, **kwargs)
        finally:
            busy.pop()
        if not _on_device(result):
            crossings.seen.append(Crossing(call, _site(), array.nbytes))
        return result

    return counted


def _on_device(value: Any) -> bool:
    if hasattr(value, "is_cuda"):
        return value.is_cuda
    return hasattr(type(value), "__cuda_array_interface__")  # of the type: it is costly to make


def _site() -> str:
    """Find the nearest caller outside this file, CuPy and torch."""
    inside = ("gpuclust.device.transfers", "cupy", "torch")
    frame = sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").startswith(inside):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _over(crossings: Crossings, budget: int) -> str:
    largest = sorted(crossings.seen, key=lambda crossing: -crossing.bytes)
    shown = [f"  {one.site}: {one.call}, {one.bytes} bytes" for one in largest[:20]]
    if len(largest) > 20:
        shown.append(f"  ... and {len(largest) - 20} more")
    copied = f"{crossings.bytes} bytes were copied to the host in {crossings.calls} calls"
    return "\n".join([f"{copied}; {budget} are allowed:", *shown])

"""Count the device-to-host copies made by Python code, and name the line of each."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Copy(NamedTuple):
    """One device-to-host copy: the method called, the calling line (file:line) and the bytes."""

    call: str
    site: str
    bytes: int


class TooManyCopiesError(AssertionError):
    """More bytes were copied to the host than `guard` allows."""


@dataclass
class Copies:
    """Copies seen by `guard` up to now, in order."""

    seen: list[Copy] = field(default_factory=list)

    @property
    def calls(self) -> int:
        """Number of copies."""
        return len(self.seen)

    @property
    def bytes(self) -> int:
        """Sum of their bytes."""
        return sum(copy.bytes for copy in self.seen)


# torch.Tensor.numpy copies with force=True only; cupy.asnumpy calls ndarray.get.
_WATCHED = {
    "cupy": ("ndarray", ("get", "item", "tolist")),
    "torch": ("Tensor", ("cpu", "numpy", "item", "tolist", "to")),
}


@contextlib.contextmanager
def guard(budget: int | None = None) -> Iterator[Copies]:
    """Count the device-to-host copies of the block, and limit them to `budget` bytes.

    Counts the copying methods of `cupy.ndarray` and of CUDA tensors, and functions built on them
    such as ``cupy.asnumpy``.  Copies made inside compiled code (cuML, ``float(x)``, ``if x``) are
    counted by `gpuclust.device.transfers.trace` only.  Not safe with several threads.

    Raises
    ------
    TooManyCopiesError
        When the block ends with more than `budget` bytes copied; lists the calls and their lines.
    """
    copies = Copies()
    busy: list[str] = []  # call in progress: a watched call inside it makes the same copy
    with contextlib.ExitStack() as undo:
        for module in filter(importlib.util.find_spec, _WATCHED):
            owner, names = _WATCHED[module]
            cls = getattr(importlib.import_module(module), owner)
            for name in names:
                counted = _counting(getattr(cls, name), f"{owner}.{name}", copies, busy)
                _replace(undo, cls, name, counted)
        yield copies
    if budget is not None and copies.bytes > budget:
        raise TooManyCopiesError(_report(copies, budget))


def _replace(undo: contextlib.ExitStack, cls: type, name: str, value: Any) -> None:
    """Set an attribute of a class until `undo` closes; restore inheritance of inherited ones."""
    if name in vars(cls):
        undo.callback(setattr, cls, name, vars(cls)[name])
    else:
        undo.callback(delattr, cls, name)
    setattr(cls, name, value)


def _counting(
    original: Callable[..., Any], call: str, copies: Copies, busy: list[str]
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
            copies.seen.append(Copy(call, _site(), array.nbytes))
        return result

    return counted


def _on_device(value: Any) -> bool:
    if hasattr(value, "is_cuda"):
        return value.is_cuda
    # Asked of the type: on an instance the property builds the interface.
    return hasattr(type(value), "__cuda_array_interface__")


def _site() -> str:
    """Find the nearest caller outside this file, CuPy and torch."""
    inside = (__name__, "cupy", "torch")
    frame = sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").startswith(inside):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _report(copies: Copies, budget: int) -> str:
    largest = sorted(copies.seen, key=lambda copy: -copy.bytes)
    shown = [f"  {one.site}: {one.call}, {one.bytes} bytes" for one in largest[:20]]
    if len(largest) > 20:
        shown.append(f"  ... and {len(largest) - 20} more")
    copied = f"{copies.bytes} bytes were copied to the host in {copies.calls} calls"
    return "\n".join([f"{copied}; {budget} are allowed:", *shown])

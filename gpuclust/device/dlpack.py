"""Pass arrays from torch to CuPy in stream order, without a copy where it is safe.

Freed memory returns to the allocator of the stream it was allocated on, which may reuse it at once
in that stream's order.  ``record_stream``, torch's protection against early reuse, does nothing
under a pluggable allocator such as RMM's.  So a tensor is copied if CuPy uses another stream.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from . import memory

if TYPE_CHECKING:
    import torch

LOG = logging.getLogger("gpuclust")
# Pointers of CUDA streams that synchronise with each other: 0 and 1 are the legacy default stream,
# the default of torch and CuPy; 2 is the per-thread default stream, used by cuML.
_DEFAULTS = (0, 1, 2)


def from_torch(tensor: torch.Tensor, stream: torch.cuda.Stream | None = None) -> Any:
    """Convert a tensor to an array: CuPy for a CUDA tensor, NumPy for a CPU tensor.

    The array shares the tensor's memory and keeps it alive.  Three kinds of tensors are copied, on
    their own device: bfloat16 and float16, which become float32; tensors that are not contiguous;
    and tensors of a stream other than CuPy's current one, unless both are default streams.

    Parameters
    ----------
    tensor : torch.Tensor
        Any shape; the result is detached from the gradient.
    stream : torch.cuda.Stream, optional
        Stream that computed the tensor; torch's current stream by default.  CuPy's current stream
        waits for it; the host does not.

    Returns
    -------
    cupy.ndarray or numpy.ndarray
        In C order, with the tensor's shape.

    Examples
    --------
    >>> import torch
    >>> from gpuclust.device.dlpack import from_torch
    >>> from_torch(torch.tensor([1.5, -2.0], dtype=torch.bfloat16))
    array([ 1.5, -2. ], dtype=float32)
    """
    tensor = tensor.detach()
    if not tensor.is_cuda:
        return _without_halves(tensor).contiguous().numpy()
    import torch

    device = tensor.device
    maker = torch.cuda.current_stream(device) if stream is None else stream
    with torch.cuda.device(device), torch.cuda.stream(maker):
        return _imported(_without_halves(tensor).contiguous(), maker)


def _without_halves(tensor: torch.Tensor) -> torch.Tensor:
    import torch

    return tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor


def _imported(tensor: torch.Tensor, maker: torch.cuda.Stream) -> Any:
    """Import a tensor on CuPy's current stream; `maker` is torch's current stream."""
    import cupy

    user = cupy.cuda.get_current_stream()
    if user.ptr in _DEFAULTS:
        # torch refuses to export to the per-thread stream; the legacy stream orders the same work.
        user = cupy.cuda.Stream.null
    with user:
        array = cupy.from_dlpack(tensor)  # torch makes `user` wait for the work on `maker`
        if maker.cuda_stream == user.ptr or {maker.cuda_stream, user.ptr} <= set(_DEFAULTS):
            return array
        array = array.copy()
    # The caller may free the tensor now: `maker` must not reuse its memory before the copy is done.
    # (By pointer, because torch takes 0 for "a new stream", and CuPy deprecates ExternalStream.)
    cupy.cuda.runtime.streamWaitEvent(maker.cuda_stream, user.record().ptr)
    return array


class Rows:
    """Collect the batches of an encoder in one device array, allocated at the first batch.

    The array takes 4 n d bytes; concatenating the batches at the end would take twice that.
    Nothing is collected from CPU batches, or if the array would take more than half of the free
    device memory, because the clusterers need the rest.

    Parameters
    ----------
    n : int
        Largest possible number of rows.

    Examples
    --------
    >>> import torch
    >>> from gpuclust.device.dlpack import Rows
    >>> rows = Rows(4)
    >>> rows.add(torch.ones(4, 8))  # on the CPU
    >>> rows.array() is None
    True
    """

    def __init__(self, n: int):
        self._n, self._filled = n, 0
        self._rows: torch.Tensor | None = None

    def add(self, batch: torch.Tensor) -> None:
        """Append a batch (b, d) of any float dtype."""
        if not self._filled:
            self._rows = _allocate(self._n, batch)
        stop = self._filled + len(batch)
        if self._rows is not None:
            self._rows[self._filled : stop] = batch
        self._filled = stop

    def array(self) -> Any | None:
        """Return the rows as a CuPy array (rows, d) float32, or None if none were collected."""
        return None if self._rows is None else from_torch(self._rows[: self._filled])


def _allocate(n: int, batch: torch.Tensor) -> torch.Tensor | None:
    import torch

    if not batch.is_cuda:
        return None
    shape = (n, batch.shape[1])
    needed, free = 4 * n * batch.shape[1], memory.free_bytes()
    if 2 * needed <= free:
        try:
            return torch.empty(shape, dtype=torch.float32, device=batch.device)
        except (MemoryError, RuntimeError) as error:  # the free memory is fragmented
            if not memory.is_out_of_memory(error):
                raise
    LOG.warning(
        "the embedding %s is not kept on the GPU: it needs %d MiB of %d MiB free, and half of the "
        "free memory is reserved for clustering. It is read from disk instead.",
        shape,
        needed >> 20,
        free >> 20,
    )
    return None

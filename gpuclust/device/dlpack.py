"""Hand arrays over from torch to CuPy: in the right order, and without a copy where that is safe.

Memory goes back to the allocator of the stream it was made on, which may use it again at once, in
the order of that stream.  Torch's remedy, ``record_stream``, does nothing under a plugged-in
allocator such as RMM's.  So memory of one stream is handed to another as a copy.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from . import memory

if TYPE_CHECKING:
    import torch

LOG = logging.getLogger("gpuclust")
# CUDA's names of streams that wait for each other by themselves: 0 and 1 the legacy default stream,
# where torch and CuPy work unless told otherwise, and 2 that of the thread, where cuML works.
_DEFAULTS = (0, 1, 2)


def from_torch(tensor: torch.Tensor, stream: torch.cuda.Stream | None = None) -> Any:
    """Give the values of a tensor as an array: CuPy's for a CUDA tensor, else NumPy's.

    It shares the tensor's memory and keeps it alive, but for these, which are copied on the
    tensor's own device: halves (bfloat16 and float16 become float32, which CuPy can compute with),
    tensors that are not contiguous, and those of another stream than CuPy's current one, unless
    both are default streams.

    Parameters
    ----------
    tensor : torch.Tensor
        Of any shape; a gradient is left behind.
    stream : torch.cuda.Stream, optional
        Where the tensor was made; torch's current stream by default.  Work on CuPy's current stream
        waits for it; the host does not.

    Returns
    -------
    cupy.ndarray or numpy.ndarray
        In C order, with the tensor's shape.
    """
    tensor = tensor.detach()
    if not tensor.is_cuda:
        return _wide(tensor).contiguous().numpy()
    import torch

    device = tensor.device
    maker = torch.cuda.current_stream(device) if stream is None else stream
    with torch.cuda.device(device), torch.cuda.stream(maker):
        return _imported(_wide(tensor).contiguous(), maker)


def _wide(tensor: torch.Tensor) -> torch.Tensor:
    import torch

    return tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor


def _imported(tensor: torch.Tensor, maker: torch.cuda.Stream) -> Any:
    """Import a tensor on CuPy's current stream; `maker` is torch's current one."""
    import cupy

    user = cupy.cuda.get_current_stream()
    if user.ptr in _DEFAULTS:
        # Torch refuses to export to the stream of the thread, 2; the legacy one is as good.
        user = cupy.cuda.Stream.null
    with user:
        array = cupy.from_dlpack(tensor)  # torch makes `user` wait for what `maker` has to do
        if maker.cuda_stream == user.ptr or {maker.cuda_stream, user.ptr} <= set(_DEFAULTS):
            return array
        array = array.copy()
    # The tensor can be freed any time now, and `maker` use its memory again: not before the copy.
    # (By its pointer: torch takes 0 for "a new stream", and CuPy deprecates its ExternalStream.)
    cupy.cuda.runtime.streamWaitEvent(maker.cuda_stream, user.record().ptr)
    return array


class Rows:
    """Gather the batches of an encoder on the device, as one array that is made once for all.

    One array of the final size takes n d 4 bytes; joining the batches at the end would take twice
    that.  Nothing is gathered from the CPU, nor what would take more than half of the memory that
    is free when the first batch comes: the rest is needed to compute.

    Parameters
    ----------
    n : int
        The most rows that can come.
    """

    def __init__(self, n: int):
        self._n, self._filled = n, 0
        self._rows: torch.Tensor | None = None

    def add(self, batch: torch.Tensor) -> None:
        """Copy the next rows (b, d)."""
        if not self._filled:
            self._rows = _room(self._n, batch)
        stop = self._filled + len(batch)
        if self._rows is not None:
            self._rows[self._filled : stop] = batch
        self._filled = stop

    def array(self) -> Any | None:
        """Return what came as a CuPy array (rows, d) float32; None when nothing was gathered."""
        return None if self._rows is None else from_torch(self._rows[: self._filled])


def _room(n: int, batch: torch.Tensor) -> torch.Tensor | None:
    import torch

    if not batch.is_cuda:
        return None
    shape = (n, batch.shape[1])
    needed, free = 4 * n * batch.shape[1], memory.free_bytes()
    if 2 * needed <= free:
        try:
            return torch.empty(shape, dtype=torch.float32, device=batch.device)
        except (MemoryError, RuntimeError) as error:  # free, but in fragments
            if not memory.is_out_of_memory(error):
                raise
    LOG.warning(
        "the embedding %s does not stay on the GPU: it takes %d MiB of the %d MiB that are free "
        "there, and half must be left to compute. It is read from the disk instead.",
        shape,
        needed >> 20,
        free >> 20,
    )
    return None

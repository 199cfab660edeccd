"""Claims on ranges of a plan: each range is encoded by one process at a time.

The operating system releases the lock of a range when its process ends, for any reason.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from filelock import BaseFileLock

from ..store import claims
from .parts import Parts, Plan


class Claims:
    """Claims of this process on the ranges of a plan.

    Parameters
    ----------
    plan, parts : Plan, Parts
        The plan, and its parts on the disk.
    sequential : bool
        The images can only be read in order: all ranges are taken without a claim.

    Attributes
    ----------
    issued : deque of (start, stop)
        Positions of the lists that `indices` has yielded, for the reader of the batches.
    ignored : bool
        Take ranges of other processes too, because they write nothing.
    """

    def __init__(self, plan: Plan, parts: Parts, *, sequential: bool):
        self.plan, self.parts, self.sequential = plan, parts, sequential
        self.issued: deque[tuple[int, int]] = deque()
        self.ignored = False
        self._ranges = plan.ranges()
        self._held: dict[int, BaseFileLock | None] = {}

    def any_free(self) -> bool:
        """Return whether this process may encode an image."""
        if self.ignored or self.sequential:
            return not self.parts.done.all()
        return has_free_range(self.plan, self.parts)

    def indices(self) -> Iterator[list[int]]:
        """Claim one range after another; yield the indices of its images, some at a time."""
        for number, (first, last) in enumerate(self._ranges):
            if self.sequential or self._claim(number):
                for start, stop in self._steps(first, last):
                    self.issued.append((start, stop))
                    yield self.plan.order[start:stop].tolist()

    def _claim(self, number: int) -> bool:
        first, last = self._ranges[number]
        if self.parts.done[first:last].all() or not self.plan.exists():
            return False
        lock = claims.lock_now(self.plan.lock(number))
        if lock is None and not self.ignored:
            return False
        self._held[number] = lock
        self.parts.scan()  # its last owner may have written a part in the meantime
        if self.parts.done[first:last].all():
            self._release(number)
            return False
        return True

    def _steps(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Divide a range into steps, without encoded images.

        A stream is read from its beginning, so nothing is left out of it.
        """
        chunk, step = self.plan.chunk, self.plan.step
        for start in range(first, last, step):
            stop = min(start + step, last)
            missing = ~self.parts.done[start:stop]
            if self.sequential:
                yield start, stop
            elif missing.any():
                # Parts end with a forward pass.
                low = int(missing.argmax()) // chunk * chunk
                yield start + low, stop - int(missing[::-1].argmax())

    def release_done(self) -> None:
        """Release the encoded ranges."""
        for number in list(self._held):
            first, last = self._ranges[number]
            if self.parts.done[first:last].all():
                self._release(number)

    def release_all(self) -> None:
        """Release all ranges."""
        self.issued.clear()
        for number in list(self._held):
            self._release(number)

    def _release(self, number: int) -> None:
        lock = self._held.pop(number)
        if lock is not None:
            lock.release()


def has_free_range(plan: Plan, parts: Parts | None = None) -> bool:
    """Return whether images of a plan are neither encoded nor claimed by a process."""
    if parts is None:
        parts = Parts(plan)
        parts.scan()
    return any(
        not parts.done[a:b].all() and not claims.is_locked(plan.lock(number))
        for number, (a, b) in enumerate(plan.ranges())
    )

"""Claims on ranges of a plan: each range is encoded by one process at a time.

The operating system releases the lock of a range when its process ends, for any reason.
"""

from __future__ import annotations

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
    ignored : bool
        Take ranges of other processes too, because they write nothing.
    """

    def __init__(self, plan: Plan, parts: Parts, *, sequential: bool):
        self.plan, self.parts, self.sequential = plan, parts, sequential
        self.ignored = False
        self._ranges = plan.ranges()
        self._held: dict[int, BaseFileLock | None] = {}

    def any_free(self) -> bool:
        """Return whether this process may encode an image."""
        if self.ignored or self.sequential:
            return not self.parts.done.all()
        return has_free_range(self.plan, self.parts)

    def take(self, number: int) -> bool:
        """Claim a range; return whether this process encodes its images."""
        if self.sequential:
            return True
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

    def missing(self, start: int, stop: int) -> tuple[int, int] | None:
        """Return the part of a step from its first to its last missing image.

        A stream is read from its beginning, so nothing is left out of it.
        """
        if self.sequential:
            return start, stop
        missing = ~self.parts.done[start:stop]
        if not missing.any():
            return None
        # Parts end with a forward pass.
        low = int(missing.argmax()) // self.plan.chunk * self.plan.chunk
        return start + low, stop - int(missing[::-1].argmax())

    def release_done(self) -> None:
        """Release the encoded ranges."""
        for number in list(self._held):
            first, last = self._ranges[number]
            if self.parts.done[first:last].all():
                self._release(number)

    def release_all(self) -> None:
        """Release all ranges."""
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

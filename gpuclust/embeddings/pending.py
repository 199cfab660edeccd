"""Encoded vectors, not yet on the disk."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

# A part is written after so many seconds or bytes of vectors.
PART_SECONDS = 5.0
_PART_BYTES = 1 << 26


@dataclass
class Pending:
    """Encoded vectors, not yet on the disk."""

    ranges: list[list[int]] = field(default_factory=list)
    rows: list[np.ndarray] = field(default_factory=list)
    labels: list[int | None] = field(default_factory=list)
    bad: list[tuple[int, str]] = field(default_factory=list)
    began: float = field(default_factory=time.perf_counter)
    images: int = 0
    seconds: float = 0.0  # of this encoder alone

    def add(self, start: int, stop: int) -> None:
        """Add a range of positions."""
        self.images += stop - start
        if self.ranges and self.ranges[-1][1] == start:
            self.ranges[-1][1] = stop
        else:
            self.ranges.append([start, stop])

    @property
    def is_due(self) -> bool:
        """Return whether the vectors should be written."""
        size = sum(block.nbytes for block in self.rows)
        return time.perf_counter() - self.began > PART_SECONDS or size > _PART_BYTES

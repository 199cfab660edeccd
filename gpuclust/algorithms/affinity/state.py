"""Named tuples of arrays: arguments of the compiled functions in `kernels`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class State(NamedTuple):
    """Messages of all n samples, in s slots for tracked columns and q segments of 64 columns."""

    similarity: np.ndarray  # (n, n) float32, tracked columns hidden
    availability: np.ndarray  # (n, n) float32, valid in stored segments only
    segment_max: np.ndarray  # (n, q) float32, largest similarity of a segment
    offset: np.ndarray  # (n,) float64
    self_responsibility: np.ndarray  # (n,) float32
    rival: np.ndarray  # (n,) int64, column of the largest a + s that is not tracked
    tracked: np.ndarray  # (n, s) int32, columns that once had the largest a + s of the row
    tracked_similarity: np.ndarray  # (n, s) float32
    tracked_bonus: np.ndarray  # (n, s) float32
    tracked_availability: np.ndarray  # (n, s) float32
    tracked_count: np.ndarray  # (n,) int64
    stored: np.ndarray  # (n, q) int32, segments with availabilities of their own
    stored_count: np.ndarray  # (n,) int64


class Columns(NamedTuple):
    """Values by column (n,) or by segment (q,), float32, the same for all rows."""

    total: np.ndarray  # sum of max(r, 0), and of r itself on the diagonal
    previous: np.ndarray  # common availability of the last iteration
    common: np.ndarray  # common availability of this iteration
    threshold: np.ndarray  # responsibilities above it need an availability of their own
    segment_threshold: np.ndarray  # smallest threshold of a segment
    segment_common: np.ndarray  # largest common availability of a segment


class Step(NamedTuple):
    """Factors of one iteration: the damping (float), and the scale before and after (float32)."""

    damping: float
    scale: np.float32
    next_scale: np.float32


class Rule(NamedTuple):
    """Coefficients, float32, of ``r = scale s - offset`` and ``a' = keep a + change new``."""

    scale: np.float32
    offset: np.float32
    keep: np.float32
    change: np.float32


class Row(NamedTuple):
    """One row of the matrices; `scratch` (q + 1,) int64 has room for a list of segments."""

    sample: int
    similarity: np.ndarray
    availability: np.ndarray
    segment_max: np.ndarray
    scratch: np.ndarray


class Tracked(NamedTuple):
    """Tracked columns of one row; the first `used` entries are in use."""

    column: np.ndarray
    similarity: np.ndarray
    bonus: np.ndarray
    availability: np.ndarray
    used: int


class Stored(NamedTuple):
    """Stored segments of one row; the first `used` entries are in use."""

    segment: np.ndarray
    used: int


class Best(NamedTuple):
    """Two largest a + s of a row, and the largest one (`rival`) of the columns not tracked."""

    first: np.float32
    second: np.float32
    column: int
    rival_value: np.float32
    rival: int

"""Encode the images of a plan: the vectors of this process, in parts on the disk.

A part has the vectors of a few seconds.  A forward pass always takes the same images, so the
vectors do not depend on the number of processes or on interruptions.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from ..device import dlpack
from ..errors import GpuclustError
from .files import check_space
from .job import Job
from .parts import Part, Parts, Plan, write_part
from .pending import Pending
from .ranges import Claims

if TYPE_CHECKING:
    import torch

    from .decoding import Batch, Sample


class Share:
    """Work of this process on a plan; see `convoy` for its stream of images.

    Parameters
    ----------
    job : Job
        Images, encoder and options.
    plan : Plan
        The order of encoding.
    keep : bool
        Also collect the vectors on the GPU.
    examines : bool
        Look for all bad images after the first one.

    Attributes
    ----------
    parts : Parts
        Parts on the disk.
    claims : Claims
        Ranges of this process.
    encoded : int
        Images this process encoded or found bad.
    """

    def __init__(self, job: Job, plan: Plan, *, keep: bool = False, examines: bool = True):
        self.job, self.plan, self.parts = job, plan, Parts(plan)
        self.examines = examines
        self.encoded = 0
        self._kept = dlpack.Rows(len(job.dataset)) if keep else None
        self.claims = Claims(plan, self.parts, sequential=job.dataset.sequential)
        self._pending = Pending()
        self._since = time.perf_counter()
        self._has_room = False
        self._next = 0
        job.forward.chunk = plan.chunk
        self.parts.scan()
        limits = [part.used["limit"] for part in self._fresh_parts()]
        job.forward.limit = min([job.forward.limit, *limits])

    def start(self) -> None:
        """Forget unwritten vectors, before a new stream of images."""
        self._pending = Pending()

    def take(self, start: int, stop: int, batch: Batch, *, waited: float = 0.0) -> None:
        """Encode the images of positions start to stop, one forward pass at a time.

        `waited` are the seconds for which this encoder waited for the batch.
        """
        self._since = time.perf_counter() - waited
        reasons = {sample.index: sample.reason or "" for sample in batch.bad}
        row = 0
        for low in range(start, stop, self.plan.chunk):
            high = min(low + self.plan.chunk, stop)
            bad = [p for p in range(low, high) if int(self.plan.order[p]) in reasons]
            count = high - low - len(bad)
            samples, images = batch.good[row : row + count], None
            if count and batch.images is not None:
                images = batch.images[row : row + count]
            row += count
            if low != self._next:
                self._kept = None
            self._next = high
            if self.parts.done[low:high].all():  # of a stream, or of an earlier part
                self._kept = None
                continue
            if images is not None:
                self._encode(images, samples)
            self._pending.labels += [sample.label for sample in samples]
            self._pending.bad += [(p, reasons[int(self.plan.order[p])]) for p in bad]
            self._pending.add(low, high)
            self.encoded += high - low
            self._count_time()
            if self._pending.is_due:
                self.write()
        self.report()

    def _count_time(self) -> None:
        """Count the seconds since the last call for this encoder."""
        now = time.perf_counter()
        self._pending.seconds += now - self._since
        self._since = now

    def _encode(self, images: torch.Tensor, samples: list[Sample]) -> None:
        features = self.job.forward(images)
        rows = np.ascontiguousarray(features.cpu().numpy())
        self._check(rows, samples)
        if self._kept:
            self._kept.add(features)
        self._pending.rows.append(rows)

    def _check(self, rows: np.ndarray, samples: list[Sample]) -> None:
        d = self._pending.rows[0].shape[1] if self._pending.rows else self.parts.d
        if not self._has_room:
            # Once for the missing parts, and once for the embedding.
            n = 2 * len(self.plan.order) - int(self.parts.done.sum())
            check_space(self.plan.folder, n * rows.shape[1] * 4)
            self._has_room = True
        if d and rows.shape[1] != d:
            raise GpuclustError(
                f"the encoder returned {d} features per image, then {rows.shape[1]}."
            )
        finite = np.isfinite(rows).all(axis=1)
        if not finite.all():
            precision = self.job.forward.precision
            where = self.job.dataset.where(samples[int(np.argmin(finite))].index)
            hint = "Check the weights." if precision == "float32" else "Try dtype float32."
            raise GpuclustError(
                f"the encoder returned NaN or inf, first for {where}, computing in {precision}. "
                f"{hint}"
            )

    def write(self) -> None:
        """Write the pending vectors as a part, and release complete ranges."""
        pending, self._pending = self._pending, Pending()
        if pending.ranges and self.plan.exists():
            part = write_part(
                self.plan,
                pending.rows,
                ranges=pending.ranges,
                bad=pending.bad,
                labels=pending.labels,
                used={"limit": self.job.forward.limit, "layers": self.job.forward.layers},
                seconds=pending.seconds,
            )
            self.parts.add(part)
        self.claims.release_done()

    def _fresh_parts(self) -> list[Part]:
        return [part for part in self.parts.found.values() if not part.used.get("carried")]

    def report(self) -> None:
        """Report progress to the caller; images from before count as done."""
        if self.job.progress is not None:
            missing = len(self.parts.done) - int(self.parts.done.sum()) - self._pending.images
            total = len(self.job.dataset)
            self.job.progress(total - missing, total)

    def kept(self, n: int) -> Any | None:
        """Return the vectors on the GPU (n, d), if this process encoded all of them in order."""
        if self._kept is None or self.encoded != len(self.plan.order):
            return None
        array = self._kept.array()
        return array if array is not None and len(array) == n else None

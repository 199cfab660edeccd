"""Encode the images of a plan: this process's share, or all of them.

Several processes may work on one plan.  Each claims a range of images at a time, and writes its
vectors in parts of a few seconds.  A forward pass always takes the same images, so the vectors do
not depend on the number of processes or on interruptions.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..device import dlpack
from ..errors import BadImagesError, GpuclustError
from . import decoding
from .files import check_space
from .inference import Forward
from .job import Job, refuse_bad
from .parts import Part, Parts, Plan, write_part
from .pending import Pending
from .ranges import Claims

if TYPE_CHECKING:
    from .decoding import Batch, Sample

# Longest wait for a process that has claimed a range and writes no part.
PATIENCE_SECONDS = 60.0
_LOOK_SECONDS = 0.2


class Share:
    """Work of this process on a plan.

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
    encoded : int
        Images this process encoded or found bad.
    """

    def __init__(self, job: Job, plan: Plan, *, keep: bool = False, examines: bool = True):
        self.job, self.plan, self.parts = job, plan, Parts(plan)
        self.examines = examines
        self.encoded = 0
        self._kept = dlpack.Rows(len(job.dataset)) if keep else None
        self._claims = Claims(plan, self.parts, sequential=job.dataset.sequential)
        self._pending = Pending()
        self._has_room = False
        self._next = 0
        job.forward.chunk = plan.chunk
        self.parts.scan()
        limits = [part.used["limit"] for part in self._fresh_parts()]
        job.forward.limit = min([job.forward.limit, *limits])

    # ---- the whole plan -----------------------------------------------------------------------

    def complete(self) -> None:
        """Encode until every image is encoded, here or in another process.

        Raises
        ------
        BadImagesError
            Without `skip_bad`, for images that cannot be decoded; all of them are listed.
        """
        if self.parts.bad() and not self.job.skip_bad:
            raise self._all_bad([], range(0))
        self._report()
        waited = time.monotonic()
        while not self.parts.done.all():
            before = int(self.parts.done.sum())
            self.work()
            self.parts.scan()
            if self.parts.done.sum() > before:
                waited = time.monotonic()
                continue
            # Another process may be stopped, and hold a range without end.
            self._claims.ignored = time.monotonic() - waited > PATIENCE_SECONDS
            self._report()
            time.sleep(_LOOK_SECONDS)

    def work(self) -> None:
        """Encode free ranges until none is free."""
        job = self.job
        if not self._claims.any_free():
            return
        stream = decoding.batches(
            job.dataset,
            job.encoder.transform,
            indices=self._claims.indices(),
            workers=job.workers,
            pin_memory=job.forward.device.type == "cuda",
        )
        self._pending = Pending()
        try:
            with _threads(self.plan, job.forward), contextlib.closing(stream):
                self._take_all(stream)
            self._write()
        except BaseException:
            # Encoded vectors are kept after any error, unless the disk is the reason.
            with contextlib.suppress(GpuclustError, OSError):
                self._write()
            raise
        finally:
            self._claims.release_all()

    def _take_all(self, stream: Generator[Batch]) -> None:
        for batch in stream:
            start, stop = self._claims.issued.popleft()
            if batch.bad and not self.job.skip_bad:
                stream.close()
                self._write()
                raise self._all_bad(batch.bad, range(start, stop))
            self._take(start, stop, batch)
            self._report()

    # ---- encoding -----------------------------------------------------------------------------

    def _take(self, start: int, stop: int, batch: Batch) -> None:
        """Encode a batch, one forward pass at a time."""
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
            if self._pending.is_due:
                self._write()

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

    def _write(self) -> None:
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
                seconds=time.perf_counter() - pending.began,
            )
            self.parts.add(part)
        self._claims.release_done()

    def _fresh_parts(self) -> list[Part]:
        return [part for part in self.parts.found.values() if not part.used.get("carried")]

    def _report(self) -> None:
        """Report progress to the caller; images from before count as done."""
        if self.job.progress is not None:
            missing = len(self.parts.done) - int(self.parts.done.sum()) - self._pending.images
            total = len(self.job.dataset)
            self.job.progress(total - missing, total)

    # ---- bad images ---------------------------------------------------------------------------

    def _all_bad(self, bad: list[Sample], taken: range) -> BadImagesError:
        """Decode the other images without the model; return the error with all bad images."""
        job, order, step = self.job, self.plan.order, self.plan.step
        found = self.parts.bad() | {s.index: s.reason or "" for s in bad}
        rest = [p for p in range(self.plan.fresh) if p not in taken and not self.parts.done[p]]
        if job.dataset.sequential:
            rest = list(range(taken.stop, self.plan.fresh))
        steps = [order[rest[i : i + step]].tolist() for i in range(0, len(rest), step)]
        stream = decoding.batches(job.dataset, None, indices=steps, workers=job.workers)
        with contextlib.closing(stream):
            for batch in stream if self.examines else ():
                found |= {sample.index: sample.reason or "" for sample in batch.bad}
                self._report()
        return refuse_bad(job.dataset, found, kept=int(self.parts.done.sum()))

    def kept(self, n: int) -> Any | None:
        """Return the vectors on the GPU (n, d), if this process encoded all of them in order."""
        if self._kept is None or self.encoded != len(self.plan.order):
            return None
        array = self._kept.array()
        return array if array is not None and len(array) == n else None


@contextlib.contextmanager
def _threads(plan: Plan, forward: Forward) -> Iterator[None]:
    """Compute with the threads of the plan: sums round differently with another number."""
    before = torch.get_num_threads()
    wanted = int(plan.facts["threads"]) if forward.device.type == "cpu" else before
    if wanted != before:
        torch.set_num_threads(wanted)
    try:
        yield
    finally:
        if wanted != before:
            torch.set_num_threads(before)

"""Feed one stream of decoded images to the encoders of one or several plans.

Several processes may work on one plan.  Each claims a range of images at a time, so that no image
is encoded twice.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence

import numpy as np
import torch

from ..errors import GpuclustError
from ..events import Stopped
from . import decoding
from .decoding import Batch, Sample
from .encode import Share
from .job import refuse_bad

# Longest wait for a process that has claimed a range and writes no part.
PATIENCE_SECONDS = 60.0
_LOOK_SECONDS = 0.2


def work(share: Share) -> None:
    """Encode free ranges of one plan until none is free."""
    _raise_first(Convoy([share]))


def complete(share: Share) -> None:
    """Encode until every image of a plan is encoded, here or in another process.

    Raises
    ------
    BadImagesError
        Without `skip_bad`, for images that cannot be decoded; all of them are listed.
    """
    refuse_known([share])
    share.report()
    waited = time.monotonic()
    while not share.parts.done.all():
        before = int(share.parts.done.sum())
        work(share)
        share.parts.scan()
        if share.parts.done.sum() > before:
            waited = time.monotonic()
            continue
        # Another process may be stopped, and hold a range without end.
        share.claims.ignored = time.monotonic() - waited > PATIENCE_SECONDS
        share.report()
        time.sleep(_LOOK_SECONDS)


def _raise_first(convoy: Convoy) -> None:
    for error in convoy.run().values():
        raise error


def refuse_known(shares: Sequence[Share]) -> None:
    """Raise for bad images of an earlier run with `skip_bad`, unless they are skipped.

    Raises
    ------
    BadImagesError
        With all bad images: the others are decoded to find them.
    """
    first, known = shares[0], set[int]().union(*(share.parts.bad() for share in shares))
    if known and not first.job.skip_bad:
        found = _examine(shares, {}, range(0))
        raise refuse_bad(first.job.dataset, found, kept=int(first.parts.done.sum()))


class Convoy:
    """Encoders of plans with the same order of images, on one stream of decoded images.

    Parameters
    ----------
    shares : sequence of Share
        With the same images, transform, order and sizes of passes; see `key`.
    """

    def __init__(self, shares: Sequence[Share]):
        self.shares = list(shares)
        self.failed: dict[Share, GpuclustError] = {}
        self._issued: deque[tuple[int, int, list[Share]]] = deque()

    def run(self) -> dict[Share, GpuclustError]:
        """Encode free ranges until none is free; return the errors of single encoders.

        An encoder that fails does not end the others.

        Raises
        ------
        Stopped
            From a report of progress.
        GpuclustError
            When the images cannot be loaded.  All encoded vectors are kept after any error, unless
            the disk is the reason.
        """
        if not any(share.claims.any_free() for share in self.shares):
            return self.failed
        first = self.shares[0]
        stream = decoding.batches(
            first.job.dataset,
            first.job.transform,
            indices=self._indices(),
            workers=first.job.workers,
            pin_memory=first.job.forward.device.type == "cuda",
        )
        for share in self.shares:
            share.start()
        try:
            with _threads(first), contextlib.closing(stream):
                self._take_all(stream)
            for share in self._running():
                self._guard(share, share.write)
        except BaseException:
            for share in self._running():
                _save(share)
            raise
        finally:
            for share in self.shares:
                share.claims.release_all()
        return self.failed

    def _running(self) -> list[Share]:
        return [share for share in self.shares if share not in self.failed]

    def _take_all(self, stream: Generator[Batch]) -> None:
        began = time.perf_counter()
        for batch in stream:
            start, stop, takers = self._issued.popleft()
            if batch.bad and not self.shares[0].job.skip_bad:
                stream.close()
                self._refuse(batch.bad, range(start, stop))
                return
            takers = [share for share in takers if share not in self.failed]
            waited = (time.perf_counter() - began) / max(1, len(takers))
            for share in takers:
                self._guard(share, lambda: share.take(start, stop, batch, waited=waited))  # noqa: B023
            if not self._running():
                return
            began = time.perf_counter()

    def _guard(self, share: Share, step: Callable[[], None]) -> None:
        """Run a step of one encoder; after an error its vectors are kept, and it ends."""
        try:
            step()
        except Stopped:
            raise
        except GpuclustError as error:
            _save(share)
            share.claims.release_all()
            self.failed[share] = error

    # ---- ranges -------------------------------------------------------------------------------

    def _indices(self) -> Iterator[list[int]]:
        """Claim one range after another; yield the indices of its missing images, in steps."""
        plan = self.shares[0].plan
        for number, (first, last) in enumerate(plan.ranges()):
            takers = [share for share in self._running() if share.claims.take(number)]
            for start in range(first, last, plan.step):
                wanted = {
                    share: span
                    for share in takers
                    if (span := share.claims.missing(start, min(start + plan.step, last)))
                }
                if wanted:
                    low = min(span[0] for span in wanted.values())
                    high = max(span[1] for span in wanted.values())
                    self._issued.append((low, high, list(wanted)))
                    yield plan.order[low:high].tolist()

    # ---- bad images ---------------------------------------------------------------------------

    def _refuse(self, bad: list[Sample], taken: range) -> None:
        """End all encoders because of a bad image; the other images are examined once."""
        for share in self._running():
            self._guard(share, share.write)
        running = self._running()
        found = _examine(running, {one.index: one.reason or "" for one in bad}, taken)
        for share in running:
            kept = int(share.parts.done.sum())
            self.failed[share] = refuse_bad(share.job.dataset, found, kept=kept)


def key(share: Share) -> tuple[object, ...]:
    """Return a value to compare: shares with equal ones can take one stream of images."""
    plan = share.plan
    sizes = plan.fresh, plan.chunk, plan.step, int(plan.facts["threads"])
    return (*sizes, share.job.skip_bad, plan.order[: plan.fresh].tobytes())


def _save(share: Share) -> None:
    with contextlib.suppress(GpuclustError, OSError):
        share.write()


def _examine(shares: Sequence[Share], bad: dict[int, str], taken: range) -> dict[int, str]:
    """Decode the images without a vector; return the reasons of all bad ones."""
    if not shares:
        return bad
    first = shares[0]
    job, plan = first.job, first.plan
    found = bad | {index: why for share in shares for index, why in share.parts.bad().items()}
    done = np.any([share.parts.done[: plan.fresh] for share in shares], axis=0)
    rest = [p for p in np.flatnonzero(~done).tolist() if p not in taken]
    if job.dataset.sequential:
        rest = list(range(taken.stop, plan.fresh))
    steps = [plan.order[rest[i : i + plan.step]].tolist() for i in range(0, len(rest), plan.step)]
    stream = decoding.batches(job.dataset, None, indices=steps, workers=job.workers)
    with contextlib.closing(stream):
        for batch in stream if any(share.examines for share in shares) else ():
            found |= {sample.index: sample.reason or "" for sample in batch.bad}
            for share in shares:
                share.report()
    return found


@contextlib.contextmanager
def _threads(share: Share) -> Iterator[None]:
    """Compute with the threads of the plan: sums round differently with another number."""
    before = torch.get_num_threads()
    on_cpu = share.job.forward.device.type == "cpu"
    wanted = int(share.plan.facts["threads"]) if on_cpu else before
    if wanted != before:
        torch.set_num_threads(wanted)
    try:
        yield
    finally:
        if wanted != before:
            torch.set_num_threads(before)

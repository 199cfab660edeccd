"""Units of one dataset with their encoders, and their shares of the work."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..device import memory
from ..device.backend import Backend
from ..encoders import geometry
from ..errors import GpuclustError
from ..events import Watcher
from ..store.store import EmbeddingFiles
from . import convoy, embed, planning
from .encode import Share
from .headers import Known
from .load import Lookup, Options

if TYPE_CHECKING:
    from ..cell import Unit
    from ..datasets import Dataset
    from ..encoders.encoder import Encoder


@dataclass(frozen=True, eq=False)
class Member:
    """Unit with its encoder in memory, and its share of the work."""

    unit: Unit
    files: EmbeddingFiles
    encoder: Encoder
    share: Share

    @property
    def key(self) -> tuple[object, ...]:
        """Value to compare: members with equal ones can take one stream of images."""
        split = geometry.split(self.encoder.transform)
        shape = id(self) if split is None else split.key
        return (shape, *convoy.key(self.share))

    @property
    def bytes(self) -> int:
        """Bytes of the weights."""
        values = [*self.encoder.module.parameters(), *self.encoder.module.buffers()]
        return sum(one.numel() * one.element_size() for one in values)


@dataclass
class Opener:
    """Opens the encoders of one dataset.

    Attributes
    ----------
    dataset : Dataset
        The images.
    on, options, watcher
        See `together.embed_together`.
    known : Known
        Identities and headers of the images, found once for all encoders.
    """

    dataset: Dataset
    on: Backend
    options: Options
    watcher: Watcher
    known: Known = field(init=False)

    def __post_init__(self) -> None:
        self.known = Known(self.dataset)

    def own(self, found: Lookup, files: EmbeddingFiles) -> Member:
        """Open the encoder of a unit claimed by this process, and make its plan.

        Raises
        ------
        BadImagesError, WeightsError, StorageError, GpuclustError
            As `embed.embed`, before anything is encoded.
        """
        from . import compute

        compute.refuse_without_k(found.unit, self.dataset)
        encoder, job = self._job(found.unit)
        size = self.options.batch_size or embed.BATCH_SIZE
        with embed.nothing_empty(files):
            plan = planning.prepare(files, job, batch_size=size, reuse_rows=found.reuse)
            return Member(found.unit, files, encoder, Share(job, plan))

    def help(self, unit: Unit, files: EmbeddingFiles) -> Member | None:
        """Open the encoder of a unit of another process; None when its plan is another one."""
        encoder, job = self._job(unit)
        plan = planning.find_plan(files, job)
        if plan is None:
            return None
        return Member(unit, files, encoder, Share(job, plan, examines=False))

    def _job(self, unit: Unit) -> tuple[Encoder, Any]:
        from .. import encoders

        size = self.dataset.image_size
        encoder = encoders.load(unit.encoder, preprocess=unit.preprocess, image_size=size)
        job = embed.make_job(
            self.dataset,
            encoder,
            batch_size=self.options.batch_size or embed.BATCH_SIZE,
            workers=self.options.workers,
            known=self.known,
            device=self.on.torch_device(),
        )
        progress = functools.partial(self.watcher.embedding, unit)
        skip = self.options.skip_bad
        return encoder, job._replace(skip_bad=skip, progress=progress, note=self.watcher.note)


def encode(members: Iterable[Member]) -> dict[Member, GpuclustError]:
    """Encode the free images of all members, in one pass for each geometry.

    Returns
    -------
    dict of Member to GpuclustError
        Members that failed.

    Raises
    ------
    Stopped
        From a report of progress; everything encoded is kept.
    """
    groups: dict[tuple[object, ...], list[Member]] = {}
    for member in members:
        groups.setdefault(member.key, []).append(member)
    return {one: why for group in groups.values() for one, why in _encode_group(group).items()}


def _encode_group(group: list[Member]) -> dict[Member, GpuclustError]:
    from ..events import Stopped

    shares = [member.share for member in group]
    try:
        convoy.refuse_known(shares)
        for share in shares:
            share.report()
        failed = convoy.Convoy(shares).run()
    except Stopped:
        raise
    except GpuclustError as error:
        return dict.fromkeys(group, error)
    return {member: failed[member.share] for member in group if member.share in failed}


class Room:
    """Memory for several encoders.

    A quarter of the memory that is free at the beginning is kept for images and feature maps.  On
    a CPU an encoder may need a second copy of its weights, see `fold`.
    """

    def __init__(self, on: Backend):
        self._on_gpu = on.torch_device() != "cpu"
        self._least = self._free() // 4

    def for_another(self, members: Iterable[Member]) -> bool:
        """Return whether another encoder fits, as large as the largest of the members."""
        sizes = [member.bytes for member in members]
        if not sizes:
            return True
        copies = 0 if self._on_gpu else sum(sizes)
        return self._free() - copies - 2 * max(sizes) > self._least

    def _free(self) -> int:
        return memory.free_bytes() if self._on_gpu else _free_host_bytes()


def _free_host_bytes() -> int:
    """Return the free memory of this machine; on systems other than Linux, all there is."""
    info = Path("/proc/meminfo")
    found = re.search(r"MemAvailable:\s+(\d+) kB", info.read_text()) if info.exists() else None
    if found:
        return int(found[1]) << 10
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

"""Embed the missing units of one dataset, as many at a time as memory holds."""

from __future__ import annotations

import contextlib
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..device import memory
from ..device.backend import Backend
from ..errors import GpuclustError
from ..events import Stopped, Watcher
from ..store.store import EmbeddingFiles, Store
from . import compute, embed, load, parts, ranges
from .load import Lookup, Options

if TYPE_CHECKING:
    from ..cell import Unit
    from ..datasets import Dataset
    from .files import EmbeddingMeta
    from .members import Member, Opener

# Pause before units that another process embeds are tried again.
_WAIT_SECONDS = 0.5


def embed_missing(
    wanted: dict[Unit, Lookup],
    store: Store,
    on: Backend,
    *,
    options: Options,
    watcher: Watcher,
    stop: Callable[[], bool] = lambda: False,
) -> dict[Unit, EmbeddingMeta | GpuclustError]:
    """Embed the missing units of one dataset; see `embed_together`.

    The images are those of a lookup that has them, else the dataset is opened.
    """
    work = _Dataset(wanted, store, on, options, watcher, stop)
    try:
        work.embed()
    except Stopped:
        raise
    except GpuclustError as error:  # of the dataset
        return dict.fromkeys(wanted, error) | work.found
    return work.found


def look(
    unit: Unit, store: Store, options: Options, watcher: Watcher
) -> Lookup | EmbeddingMeta | GpuclustError:
    """Return the outcome of a stored unit or of a failed lookup, else the lookup."""
    try:
        found = load.look_up(unit, store, options, watcher)
    except Stopped:
        raise
    except GpuclustError as error:
        return error
    return found.problem or found.meta or found


@dataclass
class _Dataset:
    """Missing units of one dataset.

    Attributes
    ----------
    wanted : dict of Unit to Lookup
        Units to embed.
    found : dict of Unit to EmbeddingMeta or GpuclustError
        Outcomes so far.
    """

    wanted: dict[Unit, Lookup]
    store: Store
    on: Backend
    options: Options
    watcher: Watcher
    stop: Callable[[], bool]
    found: dict[Unit, EmbeddingMeta | GpuclustError] = field(default_factory=dict)
    _no_help: set[Unit] = field(default_factory=set)
    _said: set[str] = field(default_factory=set)

    def embed(self) -> None:
        """Embed all units, as many at a time as memory holds.

        Raises
        ------
        GpuclustError
            When the dataset cannot be read.
        """
        from .members import Opener

        dataset = self._load()
        compute.say_guesses(next(iter(self.wanted)), dataset, self.watcher)
        opener = Opener(dataset, self.on, self.options, self.watcher)
        while self._pending():
            if self.stop():
                raise Stopped("the run was asked to stop")
            if not self._embed_some(opener) and not self._help_some(opener):
                self.watcher.note(f"another process is computing {self._pending()[0]}: waiting")
                time.sleep(_WAIT_SECONDS)

    def _pending(self) -> list[Unit]:
        return [unit for unit in self.wanted if unit not in self.found]

    def _load(self) -> Dataset:
        from .. import datasets

        for looked in self.wanted.values():
            if looked.dataset is not None:
                return looked.dataset
        unit = next(iter(self.wanted))
        return datasets.load(unit.dataset, split=unit.split, data_dir=self.options.data_dir)

    def _embed_some(self, opener: Opener) -> bool:
        """Embed units without another owner; return False when there is none."""
        before = len(self.found)
        with contextlib.ExitStack() as claims:
            members = list(self._owned(opener, claims))
            self._say_group(members)
            self._run(members)
            del members
        self._release()
        return len(self.found) > before

    def _owned(self, opener: Opener, claims: contextlib.ExitStack) -> Iterator[Member]:
        """Claim units and open their encoders until memory has no room for another one."""
        from .members import Room

        room = Room(self.on)
        members: list[Member] = []
        for unit in self._pending():
            if not room.for_another(members):
                return
            if self.stop():
                raise Stopped("the run was asked to stop")
            say = claims.enter_context(self.store.claim(unit))
            looked = self._look_again(unit) if say is not None else None
            if say is None or looked is None:
                continue
            say({"unit": str(unit), "host": platform.node(), "pid": os.getpid()})
            files = self.store.embedding(unit)
            try:
                members.append(opener.own(looked, files))
            except Stopped:
                raise
            except GpuclustError as error:
                self.found[unit] = error
                continue
            claims.enter_context(embed.nothing_empty(files))
            yield members[-1]

    def _look_again(self, unit: Unit) -> Lookup | None:
        """Return the lookup of a unit; None when another process has embedded it meanwhile."""
        looked = self.wanted[unit]
        if load.is_current(looked, self.store):
            return looked
        again = look(unit, self.store, self.options, self.watcher)
        if isinstance(again, Lookup):
            self.wanted[unit] = again
            return again
        self.found[unit] = again
        return None

    def _run(self, members: Sequence[Member]) -> None:
        """Encode all images of the members, and write their embeddings."""
        from .members import encode

        failed = encode(members)
        for member in members:
            error = failed.get(member)
            if error is not None:
                embed.remove_empty(member.files)
            self.found[member.unit] = error or self._finish(member)

    def _finish(self, member: Member) -> EmbeddingMeta | GpuclustError:
        try:
            meta = embed.finish(member.files, member.share)
        except Stopped:
            raise
        except GpuclustError as error:
            embed.remove_empty(member.files)
            return error
        if skipped := compute.skipped_images(meta):
            self._say_once(skipped)
        return meta

    # ---- other processes ----------------------------------------------------------------------

    def _help_some(self, opener: Opener) -> bool:
        """Help other processes to embed their units; return False when there is nothing to do."""
        from .members import encode

        members = list(self._helped(opener))
        failed = encode(members)
        for member, error in failed.items():
            self._cannot_help(member.unit, error)
        count = sum(member.share.encoded for member in members)
        del members, failed
        self._release()
        return count > 0

    def _helped(self, opener: Opener) -> Iterator[Member]:
        from .members import Room

        room = Room(self.on)
        members: list[Member] = []
        for unit in self._pending():
            files = self.store.embedding(unit)
            if opener.dataset.sequential or unit in self._no_help or not _has_work(files):
                continue
            if not room.for_another(members):
                return
            self.watcher.note(f"another process embeds {unit}: this one helps")
            try:
                member = opener.help(unit, files)
            except Stopped:
                raise
            except GpuclustError as error:
                self._cannot_help(unit, error)
                continue
            if member is not None:
                members.append(member)
                yield member

    def _cannot_help(self, unit: Unit, error: GpuclustError) -> None:
        """Report an error while helping: the owner of the unit meets it too."""
        self._no_help.add(unit)
        self.watcher.note(f"could not help to embed {unit}: {error}")

    # ---- notes and memory ---------------------------------------------------------------------

    def _say_group(self, members: Sequence[Member]) -> None:
        keys = [member.key for member in members]
        for key in dict.fromkeys(keys):
            if (count := keys.count(key)) > 1:
                unit = members[keys.index(key)].unit
                self.watcher.note(
                    f"{unit.dataset}: the images are decoded once for {count} encoders"
                )
        left = len(self._pending()) - len(members)
        if members and left:
            follow = "1 more encoder follows" if left == 1 else f"{left} more encoders follow"
            self.watcher.note(
                f"{follow} in another pass: no room in memory now, or another process is at work"
            )

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self.watcher.note(text)

    def _release(self) -> None:
        if self.on.torch_device() != "cpu":
            memory.release()


def _has_work(files: EmbeddingFiles) -> bool:
    """Return whether the embedding of another process has images without a claim."""
    return parts.home(files).is_dir() and any(map(ranges.has_free_range, parts.plans(files)))

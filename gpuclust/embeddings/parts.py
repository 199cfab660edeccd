"""Parts of an embedding: vectors on the disk before the embedding is complete.

Layout, beside the files of the embedding::

    <encoder>.parts/<id>/images.npz                    identity of each image, order of encoding
                         plan.json                     the rest of the plan, written last
                         <start>-<stop>-<random>.part  vectors of a range of images
                         <number>.lock                 range that a process encodes at present

The name of a folder hashes everything the vectors depend on, so a part never meets vectors of other
weights, another preprocessing or other images.  A part has its own checksum and is written with
`store.atomic`.  It is removed when the embedding is complete.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import DamagedFileError
from ..store.store import atomic

if TYPE_CHECKING:
    from ..store.store import EmbeddingFiles

# Ranges of a plan, at most; each has a lock file while it is encoded.
_MOST_RANGES = 1024


def home(files: EmbeddingFiles) -> Path:
    """Return the folder of the plans of an embedding.

    Examples
    --------
    >>> from pathlib import Path
    >>> from gpuclust.store.store import EmbeddingFiles
    >>> home(EmbeddingFiles(Path("a.b.npy"), Path("a.b.labels.parquet"), Path("a.b.json"))).name
    'a.b.parts'
    """
    return files.array.with_name(f"{files.array.name.removesuffix('.npy')}.parts")


@dataclass(frozen=True, eq=False)
class Plan:
    """Order of encoding of the images of a dataset, for all processes and restarts.

    Attributes
    ----------
    folder : Path
        Folder of the parts.
    facts : dict
        Content of plan.json: ``identity``, ``chunk`` (images per forward pass), ``threads``,
        ``bad`` ([index, reason] of the images with a bad header) and more.
    images : ndarray (n, 16) uint8
        Identity of each image of the dataset.
    order : ndarray (m,) int64
        Indices of the usable images: first those to encode, then the carried ones.
    fresh : int
        Number of images to encode.
    """

    folder: Path
    facts: dict[str, Any]
    images: np.ndarray
    order: np.ndarray
    fresh: int

    @property
    def chunk(self) -> int:
        """Images per forward pass; ranges and parts begin at a multiple of it."""
        return int(self.facts["chunk"])

    @property
    def step(self) -> int:
        """Images decoded at a time: whole forward passes."""
        return int(self.facts["step"])

    @property
    def bad(self) -> dict[int, str]:
        """Reasons by index of the images with a bad header."""
        return {int(index): reason for index, reason in self.facts["bad"]}

    def ranges(self) -> list[tuple[int, int]]:
        """Divide the images to encode into ranges of whole steps for processes to claim."""
        steps = -(-self.fresh // self.step)
        size = self.step * max(1, -(-steps // _MOST_RANGES))
        return [(a, min(a + size, self.fresh)) for a in range(0, self.fresh, size)]

    def lock(self, number: int) -> Path:
        """Return the path of the lock of a range."""
        return self.folder / f"{number}.lock"

    def exists(self) -> bool:
        """Return False when the embedding is complete and its parts are removed."""
        return (self.folder / "plan.json").exists()


def read_plan(folder: Path) -> Plan | None:
    """Read a plan; None when there is none, or a file of it is damaged."""
    try:
        facts = json.loads((folder / "plan.json").read_bytes())
        with np.load(folder / "images.npz", allow_pickle=False) as file:
            images, order, fresh = file["images"], file["order"], int(file["fresh"])
        plan = Plan(folder, facts, images, order, fresh)
        sound = plan.step >= plan.chunk > 0 and images.shape[1:] == (16,) and plan.bad is not None
        return plan if sound and 0 <= fresh <= len(order) else None
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None


def write_plan(plan: Plan) -> None:
    """Write a plan; without its last file there is no plan."""
    with atomic(plan.folder / "images.npz") as path, path.open("wb") as file:
        np.savez(file, images=plan.images, order=plan.order, fresh=np.int64(plan.fresh))
    with atomic(plan.folder / "plan.json") as path:
        path.write_text(json.dumps(plan.facts), encoding="utf-8")


def plans(files: EmbeddingFiles) -> Iterator[Plan]:
    """Read all plans of an embedding."""
    folder = home(files)
    if folder.is_dir():
        for each in sorted(folder.iterdir()):
            if (plan := read_plan(each)) is not None:
                yield plan


def remove(folder: Path) -> None:
    """Remove the parts of a plan, the plan first."""
    (folder / "plan.json").unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


class DamagedPart(DamagedFileError):
    """Part with changed content."""

    def __init__(self, part: Part):
        super().__init__(f"the part {part.path.name} of an embedding is damaged.")
        self.part = part


class Part(NamedTuple):
    """Header of a part.

    Attributes
    ----------
    path : Path
        File of the part.
    ranges : list of [start, stop]
        Positions in `Plan.order`.
    bad : list of [position, reason]
        Images that could not be decoded; they have no row.
    labels : list of int or None
        One per row.
    d : int
        Dimension; 0 without rows.
    used : dict
        Settings that may change the last digits: ``limit``, ``layers``, and ``workers``.
    seconds : float
        Time to encode the part.
    sha256 : str
        Hash of the rows.
    """

    path: Path
    ranges: list[list[int]]
    bad: list[tuple[int, str]]
    labels: list[int | None]
    d: int
    used: dict[str, Any]
    seconds: float
    sha256: str

    def positions(self) -> np.ndarray:
        """Return the position of each row in `Plan.order`."""
        every = np.concatenate([np.arange(a, b) for a, b in self.ranges])
        return every[~np.isin(every, [position for position, _ in self.bad])]

    def rows(self) -> np.ndarray:
        """Read the rows (b, d) float32.

        Raises
        ------
        DamagedPart
            When the content is not the one that was written.
        """
        try:
            with self.path.open("rb") as file:
                file.readline()
                content = file.read()
        except FileNotFoundError:
            content = b""
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise DamagedPart(self)
        return np.frombuffer(content, np.float32).reshape(len(self.labels), self.d)


def write_part(plan: Plan, rows: list[np.ndarray], **header: Any) -> Part:
    """Write rows and their header to a new file of the plan."""
    content = b"".join(np.ascontiguousarray(block).tobytes() for block in rows)
    header |= {"sha256": hashlib.sha256(content).hexdigest(), "d": rows[0].shape[1] if rows else 0}
    start, stop = header["ranges"][0][0], header["ranges"][-1][1]
    path = plan.folder / f"{start:09d}-{stop:09d}-{uuid.uuid4().hex[:8]}.part"
    with atomic(path) as temporary, temporary.open("wb") as file:
        file.write(json.dumps(header).encode() + b"\n")
        file.write(content)
    return Part(path=path, **header)


def read_part(path: Path) -> Part:
    """Read the header of a part and compare the size of the file with it; see `Part.rows`.

    Raises
    ------
    DamagedFileError
        When the file is cut off, or is no part.  An `OSError` is passed on.
    """
    try:
        with path.open("rb") as file:
            line = file.readline()
        part = Part(path=path, **json.loads(line))
        expected = len(line) + 4 * part.d * len(part.labels)
        if path.stat().st_size == expected and len(part.positions()) == len(part.labels):
            return part
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedFileError(f"the part {path} of an embedding is damaged: {error}.") from error
    raise DamagedFileError(f"the part {path} of an embedding is cut off.")


@dataclass
class Parts:
    """Parts of a plan found so far.

    Attributes
    ----------
    plan : Plan
        The plan.
    found : dict of str to Part
        Readable parts by the name of their file.
    done : ndarray (m,) bool
        Positions in `Plan.order` of these parts.
    """

    plan: Plan
    found: dict[str, Part] = field(default_factory=dict)
    done: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.done = np.zeros(len(self.plan.order), bool)

    def scan(self) -> None:
        """Read the headers of new parts, also of other processes; remove damaged parts."""
        try:
            names = sorted(entry.name for entry in os.scandir(self.plan.folder))
        except FileNotFoundError:
            names = []
        for name in names:
            is_part = name.endswith(".part") and not name.startswith(".")
            if is_part and name not in self.found:
                try:
                    self.add(read_part(self.plan.folder / name))
                except DamagedFileError:
                    (self.plan.folder / name).unlink(missing_ok=True)
                except OSError:  # gone meanwhile, or not readable now: it may be whole
                    continue

    def add(self, part: Part) -> None:
        """Count a part, unless all of its images were encoded before."""
        if part.ranges[-1][1] > len(self.done):
            raise DamagedFileError(f"the part {part.path} belongs to another plan.")
        if not all(self.done[a:b].all() for a, b in part.ranges):
            self.found[part.path.name] = part
            for a, b in part.ranges:
                self.done[a:b] = True

    def forget(self, part: Part) -> None:
        """Remove a damaged part; its images are encoded again."""
        part.path.unlink(missing_ok=True)
        self.found.clear()
        self.done[:] = False
        self.scan()

    @property
    def d(self) -> int:
        """Dimension of the vectors; 0 when none is there."""
        return max((part.d for part in self.found.values()), default=0)

    def bad(self) -> dict[int, str]:
        """Return the reasons of the undecodable images, by index."""
        order = self.plan.order
        late = {int(order[p]): why for part in self.found.values() for p, why in part.bad}
        return self.plan.bad | late

"""Explain how a folder of images is read, without encoding anything."""

from __future__ import annotations

import shlex
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from ..errors import InputError
from ..files.visible import visible
from . import image
from .folders import digests, layout, messages, names, walk
from .folders.walk import Listing, printable
from .photo.header import Header
from .readers import folder

_SHOWN = 20  # classes, and files per reason
_BATCH = 256  # images between two looks at the clock


class _Headers(NamedTuple):
    """Headers of the images that were checked in time, and reasons of those that are bad."""

    good: dict[str, Header]
    bad: dict[str, str]
    checked: int


def inspect_folder(path: str | Path, *, seconds: float = 20.0) -> list[str]:
    r"""List splits, classes and problems of a folder of images, and the reason for the decision.

    Opens the headers of all images in parallel, about 3,000 per second and core, and compares the
    content of files of equal size.

    Parameters
    ----------
    path : path
        Folder of images.
    seconds : float
        Limit for opening headers and comparing files; the report says how many were opened.

    Returns
    -------
    list of str
        Lines: the decision and its reason, classes and splits with their numbers of images,
        formats, sizes, ignored files, bad images, copies, and the command to run next.

    Raises
    ------
    InputError
        There is no such folder, or it cannot be read.

    Examples
    --------
    >>> from PIL import Image
    >>> for name in ("cat", "dog"):
    ...     (tmp_path / name).mkdir()
    ...     Image.new("RGB", (8, 8)).save(tmp_path / name / "1.png")
    >>> print("\n".join(inspect_folder(tmp_path)[1:4]))
    decision: the 2 folders at the top level are the classes
    classes: 2
      cat: 1
    """
    return [visible(line) for line in _lines(folder.check(f"folder:{path}"), seconds)]


def _lines(root: Path, seconds: float) -> list[str]:
    found = walk.listing(root)
    at = printable(str(root))
    lines = [f"{at}: {len(found.images):,} images"]
    if not found.images:
        return [*lines, messages.no_images(root, found), *_ignored(found)]
    until = time.monotonic() + seconds
    try:
        decided = layout.decide(found, at)
    except InputError as error:
        return [*lines, f"refused: {error}", *_ignored(found)]
    lines += [f"decision: {decided.reason}", *_counts(decided)]
    said = [line for line in decided.warnings if not line.startswith(decided.reason)]
    lines += [f"note: {line}" for line in (*said, *messages.about_files(found))]
    headers = _headers(root, decided.files, until)
    lines += [*_formats(headers, len(decided.files)), *_ignored(found), *_bad(headers)]
    lines += _copies(root, decided.files, found, until)
    return [*lines, _next(root, decided, bad=bool(headers.bad))]


def _counts(decided: layout.Layout) -> list[str]:
    lines = []
    for split, files in decided.splits.items():
        classes = {decided.class_of[path] for path in files if path in decided.class_of}
        of = f" in {len(classes)} classes" if classes else ", no labels"
        kind = names.split_of(split)
        lines.append(f"split {printable(split)} ({kind}): {len(files):,} images{of}")
    if decided.classes:
        sizes = Counter(decided.class_of.values())
        lines.append(f"classes: {len(decided.classes):,}")
        lines += [f"  {printable(name)}: {sizes[name]:,}" for name in decided.classes[:_SHOWN]]
        if len(decided.classes) > _SHOWN:
            lines.append(f"  ... and {len(decided.classes) - _SHOWN:,} more")
    return lines


def _headers(root: Path, files: Sequence[str], until: float) -> _Headers:
    """Open the headers of the images in parallel, until the time is over."""
    image.formats()  # imports Pillow's plugins once, before the threads start
    good, bad, checked = {}, {}, 0
    with warnings.catch_warnings(), ThreadPoolExecutor(8) as pool:
        warnings.simplefilter("ignore")
        for start in range(0, len(files), _BATCH):
            if time.monotonic() > until:
                break
            batch = files[start : start + _BATCH]
            opened = pool.map(image.header_of, (root / path for path in batch))
            for path, header in zip(batch, opened, strict=True):
                if isinstance(header, str):
                    bad[path] = header
                else:
                    good[path] = header
            checked += len(batch)
    return _Headers(good, bad, checked)


def _formats(headers: _Headers, n: int) -> list[str]:
    good = list(headers.good.values())
    lines = []
    if headers.checked < n:
        lines.append(f"headers: {headers.checked:,} of {n:,} opened in the time given")
    if not good:
        return lines
    kinds = Counter(header.format for header in good)
    lines.append("formats: " + ", ".join(f"{kind} {k:,}" for kind, k in kinds.most_common()))
    small = min(good, key=lambda header: header.width * header.height)
    large = max(good, key=lambda header: header.width * header.height)
    lines.append(
        f"sizes: {small.width} x {small.height} to {large.width} x {large.height} pixels"
        if (small.width, small.height) != (large.width, large.height)
        else f"sizes: all about {small.width} x {small.height} pixels"
    )
    deep = sum(header.mode in ("I", "F") or header.mode.startswith("I;16") for header in good)
    if deep:
        lines.append(
            f"depth: {deep:,} with more than 8 bits, each scaled by the smallest range of 8, 10, "
            f"12, 14 or 16 bits that holds its values"
        )
    return lines


def _ignored(found: Listing) -> list[str]:
    """Name the unread files, by reason."""
    reasons = {**found.system}
    if found.heif:
        reasons["HEIC, not read without pillow-heif"] = found.heif
    if found.others:
        reasons["not an image"] = found.others
    return [
        f"ignored, {reason}: {len(paths):,} ({_first(paths)})"
        for reason, paths in sorted(reasons.items())
    ]


def _bad(headers: _Headers) -> list[str]:
    if not headers.bad:
        return []
    shown = list(headers.bad.items())[:_SHOWN]
    lines = [f"cannot be decoded: {len(headers.bad):,} images; --skip-bad leaves them out"]
    lines += [f"  {printable(path)}: {reason}" for path, reason in shown]
    more = len(headers.bad) - len(shown)
    return [*lines, f"  ... and {more:,} more"] if more else lines


def _copies(root: Path, files: Sequence[str], found: Listing, until: float) -> list[str]:
    """Count images with the content of another one; only files of equal size are read."""
    sizes = Counter(found.images[path].size for path in files)
    same = [path for path in files if sizes[found.images[path].size] > 1]
    first: dict[tuple[int, str], str] = {}
    copies = []
    for path in same:
        if time.monotonic() > until:
            return ["copies: not all files could be compared in the time given"]
        try:
            key = (found.images[path].size, digests.digest(root / path))
        except OSError:
            continue
        if first.setdefault(key, path) != path:
            copies.append((path, first[key]))
    if not copies:
        return []
    path, original = copies[0]
    example = f"{printable(path)} = {printable(original)}"
    return [f"copies: {len(copies):,} images have the content of another one ({example})"]


def _next(root: Path, decided: layout.Layout, *, bad: bool) -> str:
    quoted = shlex.quote(f"folder:{printable(str(root.absolute()))}")
    k = "" if decided.classes else " --k 10"
    skip = " --skip-bad" if bad else ""
    return (
        f"next: gpuclust run --dataset {quoted} --encoder efficientnet_lite0 --reducer umap "
        f"--clusterer kmeans{k}{skip}"
    )


def _first(paths: Iterable[str]) -> str:
    listed = sorted(paths)
    first = ", ".join(map(printable, listed[:3]))
    return f"{first}, ..." if len(listed) > 3 else first

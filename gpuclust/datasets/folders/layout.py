"""Decide from the paths of images: splits, classes, or neither.

The rules, in this order; `gpuclust inspect` explains the one that was applied.

1. While all images lie in one sub-folder with folders of its own, it is entered.
2. Folders named as splits (train, val, test and the like) are splits, if no other folder has
   images, or if there are two different splits and at least as many split folders as others.  The
   classes are the folders below the splits.
3. Folders named by a camera (100APPLE) or by dates (2021-06) are no classes.
4. All other folders at the first level are classes, with all images below them.
5. Images without sub-folders have no labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from ...errors import InputError
from . import names
from .walk import Listing, printable


@dataclass(frozen=True)
class Layout:
    """Decision about the images of a folder.

    Attributes
    ----------
    kind : {"flat", "classes", "splits"}
        Meaning of the first level of folders.
    reason : str
        Sentence with the rule that was applied and its counts.
    base : str
        Folder with the classes or splits, relative, with ``/`` at its end; empty for the top.
    splits : dict of str to tuple of str
        Images of each split, relative paths; only for ``"splits"``.
    files : tuple of str
        All images that belong to the dataset, sorted.
    classes : tuple of str
        Sorted names of the classes; empty without classes.
    class_of : dict of str to str
        Class per image; images without a class are missing.
    warnings : tuple of str
        Sentences about classes and images to be shown in a run.
    """

    kind: str
    reason: str
    base: str
    splits: dict[str, tuple[str, ...]]
    files: tuple[str, ...]
    classes: tuple[str, ...]
    class_of: dict[str, str]
    warnings: tuple[str, ...]


def decide(found: Listing, root: str) -> Layout:
    """Apply the rules to a listing with at least one image.

    Parameters
    ----------
    found : Listing
        Files below the folder.
    root : str
        Name of the folder in messages.

    Raises
    ------
    InputError
        Images lie both beside and inside the folders that would be classes.

    Examples
    --------
    >>> from gpuclust.datasets.folders.walk import Listing, Stat
    >>> paths = ("train/cat/1.png", "val/cat/2.png", "val/dog/3.png")
    >>> layout = decide(Listing(images={path: Stat(1, 1) for path in paths}), "photos")
    >>> layout.kind, layout.classes, list(layout.splits)
    ('splits', ('cat', 'dog'), ['train', 'val'])
    """
    files = sorted(found.images, key=lambda path: path.split("/"))
    base = _base(files)
    tops = Counter(_top(path, base) for path in files)
    named = {top: names.split_of(top) for top in tops if top and names.split_of(top)}
    others = len(tops) - len(named) - ("" in tops)
    if named and "" not in tops:
        kinds = set(named.values())
        if not others or (len(kinds) > 1 and len(named) >= others):
            return _splits(files, base, found, root, named)
    if set(tops) == {""}:
        where = "no sub-folder has images"
        if base:
            where = f"all images are in the folder {printable(base.rstrip('/'))}"
        return _flat(files, base, f"{where}, so the {len(files)} have no labels")
    for is_named, by in ((names.is_camera, "a camera"), (names.is_date, "dates")):
        if all(is_named(top) for top in tops if top):
            what = f"the sub-folders are named by {by} ({_some(top for top in tops if top)})"
            return _flat(files, base, f"{what}, so they are not taken as classes", said=True)
    _refuse_mixed(files, base, root)
    return _classes(files, base, found, root)


def _base(files: Sequence[str]) -> str:
    """Return the folder below which images lie in more than one place, or in a class."""
    base = ""
    while True:
        tops = {_top(path, base) for path in files}
        if len(tops) > 1 or "" in tops:
            return base
        top = tops.pop()
        below = f"{base}{top}/"
        direct = any("/" not in path[len(below) :] for path in files)
        if names.split_of(top) or (direct and top.lower() not in names.CONTAINERS):
            return base
        base = below


def _top(path: str, base: str) -> str:
    """Return the first folder of a path below `base`; empty for an image directly in `base`."""
    return path[len(base) :].rpartition("/")[0].partition("/")[0]


def _refuse_mixed(files: Sequence[str], base: str, root: str) -> None:
    flat = [path for path in files if not _top(path, base)]
    nested = [path for path in files if _top(path, base)]
    if flat and nested:
        at = f"{root}/{printable(base)}".rstrip("/")
        raise InputError(
            f"{at} has images at the top level ({printable(flat[0])}, ...) and in sub-folders "
            f"({printable(nested[0])}, ...), so the classes are ambiguous. Move the {len(flat)} "
            f"images at the top level into a sub-folder, or move the sub-folders elsewhere."
        )


def _flat(files: Sequence[str], base: str, reason: str, *, said: bool = False) -> Layout:
    warnings = (f"{reason}.",) if said else ()
    return Layout("flat", reason, base, {}, tuple(files), (), {}, warnings)


def _classes(files: Sequence[str], base: str, found: Listing, root: str) -> Layout:
    class_of = {path: _top(path, base) for path in files}
    classes = tuple(sorted(set(class_of.values())))
    at = f"in {printable(base)}" if base else "at the top level"
    reason = f"the {len(classes)} folders {at} are the classes"
    warnings = [*_about_classes(classes, found, [base]), *_about_depth(files, base, classes)]
    if base:
        warnings.insert(0, f"{reason}: no image lies above them in {root}.")
    like = [name for name in classes if names.split_of(name)]
    if like:
        warnings.append(f"the folder {_some(like)} is taken as a class, not as a split.")
    return Layout("classes", reason, base, {}, tuple(files), classes, class_of, tuple(warnings))


def _splits(
    files: Sequence[str], base: str, found: Listing, root: str, named: dict[str, str | None]
) -> Layout:
    splits: dict[str, tuple[str, ...]] = {}
    class_of: dict[str, str] = {}
    bases, unlabeled = [], []
    for top in named:
        below = f"{base}{top}/"
        mine = [path for path in files if path.startswith(below)]
        inner = _inner(mine, below)
        _refuse_mixed(mine, inner, root)
        found_classes = {path: name for path in mine if (name := _top(path, inner))}
        class_of |= found_classes
        bases.append(inner)
        splits[top] = tuple(mine)
        if not found_classes:
            unlabeled.append(top)
    classes = tuple(sorted(set(class_of.values())))
    counts = ", ".join(f"{printable(top)} ({len(mine)})" for top, mine in splits.items())
    one = len(splits) == 1
    reason = f"the folder {counts} is a split" if one else f"the folders {counts} are splits"
    below = "it" if one else "them"
    reason += f"; the classes are the {len(classes)} folders below {below}" if classes else ""
    warnings = [
        f"{reason}. All are taken together; --split {printable(next(iter(splits)))} takes one."
    ]
    if classes and unlabeled:
        warnings.append(f"the images of {_some(unlabeled)} have no labels.")
    outside = sorted({_top(path, base) for path in files} - set(named))
    if outside:
        n = sum(_top(path, base) in outside for path in files)
        warnings.append(f"{n} images in {_some(outside)}, beside the splits, are not used.")
    if classes:
        warnings += _about_classes(classes, found, bases)
    taken = tuple(path for mine in splits.values() for path in mine)
    return Layout("splits", reason, base, splits, taken, classes, class_of, tuple(warnings))


def _inner(files: Sequence[str], below: str) -> str:
    """Enter folders of a split that only contain images, such as ``train/images``."""
    tops = {_top(path, below) for path in files}
    top = next(iter(tops))
    return f"{below}{top}/" if len(tops) == 1 and top.lower() in names.CONTAINERS else below


def _about_classes(classes: Sequence[str], found: Listing, bases: Iterable[str]) -> list[str]:
    """Name classes that differ only in case, and folders without an image that is read."""
    said = []
    folded = Counter(name.casefold() for name in classes)
    same = [name for name in classes if folded[name.casefold()] > 1]
    if same:
        said.append(f"the classes {_some(same)} differ only in upper and lower case.")
    for base in bases:
        empty = sorted(
            folder
            for folder in found.folders
            if folder.startswith(base)
            and "/" not in folder[len(base) :]
            and folder[len(base) :] not in classes
        )
        if empty:
            all_named = ", ".join(f"{printable(one)} ({_content(one, found)})" for one in empty[:5])
            more = f" and {len(empty) - 5} more" if len(empty) > 5 else ""
            said.append(f"no images in {all_named}{more}, so this is no class.")
    return said


def _content(folder: str, found: Listing) -> str:
    heif = sum(path.startswith(f"{folder}/") for path in found.heif)
    others = sum(path.startswith(f"{folder}/") for path in found.others)
    return f"{heif} HEIC photos" if heif else f"{others} other files" if others else "empty"


def _about_depth(files: Sequence[str], base: str, classes: Sequence[str]) -> list[str]:
    deeper = {path.rpartition("/")[0] for path in files if path[len(base) :].count("/") > 1}
    if not deeper:
        return []
    where = f"the {len(classes)} folders at the first level ({_some(classes)})"
    return [f"the classes are {where}; the {len(deeper)} folders below them are not classes."]


def _some(values: Iterable[str]) -> str:
    """Join the first three names."""
    listed: Collection[str] = list(values)
    first = ", ".join(map(printable, list(listed)[:3]))
    return f"{first}, ..." if len(listed) > 3 else first

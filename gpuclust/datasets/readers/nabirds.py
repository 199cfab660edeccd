"""NABirds, photographs of North American birds, from its text files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from ...errors import InputError
from ..folders import walk
from ..folders.walk import printable
from ..listed import ListedImages
from ..location import find_folder

TABLES = ("images.txt", "image_class_labels.txt", "train_test_split.txt")
LEVELS = ("level_1", "level_2", "level_3")


def load(name: str, split: str, data_dir: Path | None) -> ListedImages:
    """List the images of a split: ``"test"`` (24,633), ``"train"`` (23,929) or ``"all"``.

    Labels are 0 to 554, the class ids of ``image_class_labels.txt`` in ascending order; rows are in
    the order of ``images.txt``.  The columns ``level_1`` to ``level_3`` name the ancestors of a
    class in ``hierarchy.txt``, most general first, without the root; a class that is no deeper than
    a level stands there itself, so every level divides the one before.

    Raises
    ------
    InputError
        The folder or a file is missing, an image has no label or no split, a class is not in
        ``classes.txt`` or ``hierarchy.txt``: the message has the file and the first id.
    """
    root = find_folder(name, data_dir, ["images", *TABLES])
    paths, targets, training = (read_pairs(root / table) for table in TABLES)
    _check_ids(root, paths, targets, training)
    wanted = [key for key in paths if _in_split(root, training, key, split)]
    keys, said, ignored = _present(root, paths, wanted)
    ids = sorted(_numbers(root / TABLES[1], targets))
    number = {raw: label for label, raw in enumerate(ids)}
    labels = np.array([number[int(targets[key])] for key in keys], np.int64)
    names, columns, missing = _taxonomy(root, ids)
    return ListedImages(
        name,
        split,
        root,
        tuple(f"images/{paths[key]}" for key in keys),
        labels,
        names,
        columns={level: values[labels] for level, values in columns.items()},
        said=(*said, *missing),
        ignored=ignored,
    )


def read_pairs(path: Path) -> dict[str, str]:
    r"""Read a file with two words per line: a key, and the rest of the line.

    Raises
    ------
    InputError
        The file cannot be read, a line has one word only, or a key is there twice.

    Examples
    --------
    >>> _ = (tmp_path / "classes.txt").write_text("0 Birds\n1 Ducks and Geese\n")
    >>> read_pairs(tmp_path / "classes.txt")
    {'0': 'Birds', '1': 'Ducks and Geese'}
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}.") from error
    found: dict[str, str] = {}
    for at, line in enumerate(lines, 1):
        words = line.split(maxsplit=1)
        if not words:
            continue
        if len(words) < 2:
            raise InputError(f"{path}, line {at}, has one word, {line!r}; two are needed.")
        if words[0] in found:
            raise InputError(f"{path}, line {at}: {words[0]} is there twice. Remove one line.")
        found[words[0]] = words[1].strip()
    return found


def _check_ids(root: Path, paths: Mapping[str, str], *tables: Mapping[str, str]) -> None:
    """Raise for the first id in one of the files only."""
    for file, table in zip(TABLES[1:], tables, strict=True):
        for have, lack, ids in (
            (TABLES[0], file, [key for key in paths if key not in table]),
            (file, TABLES[0], [key for key in table if key not in paths]),
        ):
            if ids:
                raise InputError(
                    f"{root / lack} does not match {root / have}: it has no image {ids[0]}"
                    f"{f' and {len(ids) - 1:,} more' if len(ids) > 1 else ''}. Use the text files "
                    f"of one archive."
                )


def _in_split(root: Path, training: Mapping[str, str], key: str, split: str) -> bool:
    """Return whether an image is in the split."""
    if training[key] not in ("0", "1"):
        raise InputError(
            f"{root / TABLES[2]} has {training[key]!r} for image {key}; 0 (test) or 1 (train) is "
            f"needed."
        )
    return split == "all" or training[key] == ("1" if split == "train" else "0")


def _numbers(path: Path, targets: Mapping[str, str]) -> set[int]:
    for key, target in targets.items():
        if not target.isdecimal():
            raise InputError(
                f"{path} has the class {target!r} for image {key}; a number is needed."
            )
    return {int(target) for target in targets.values()}


def _present(
    root: Path, paths: Mapping[str, str], keys: list[str]
) -> tuple[list[str], tuple[str, ...], tuple[str, ...]]:
    """Return the ids with a file, sentences about the others and about files without an id."""
    found = walk.listing(root / "images")
    there = [key for key in keys if paths[key] in found.images]
    if not there:
        raise InputError(
            f"{root / 'images'} has none of the {len(keys):,} images of this split, such as "
            f"{paths[keys[0]] if keys else 'any'}. Extract the archive again."
        )
    said = []
    if len(there) < len(keys):
        lost = next(paths[key] for key in keys if paths[key] not in found.images)
        said.append(
            f"{len(keys) - len(there):,} of {len(keys):,} images of images.txt are not in "
            f"{root / 'images'}, such as {lost}: they are left out"
        )
    extra = found.images.keys() - set(paths.values())
    if extra:
        said.append(f"images that images.txt does not list are not read: {len(extra):,}")
    return there, tuple(said), tuple(printable(f"images/{file}") for file in found.others)


def _taxonomy(
    root: Path, ids: Iterable[int]
) -> tuple[tuple[str, ...], dict[str, np.ndarray], tuple[str, ...]]:
    """Return names of the classes and of their ancestors, and sentences about missing files."""
    keys = [str(raw) for raw in ids]
    named, parents = (
        read_pairs(root / file) if (root / file).exists() else None
        for file in ("classes.txt", "hierarchy.txt")
    )
    said = []
    if named is None:
        said.append("without classes.txt the classes have numbers for names")
    names = tuple(keys if named is None else (_named(root, named, key) for key in keys))
    if parents is None:
        said.append("without hierarchy.txt the columns level_1 to level_3 are unknown")
        unknown = np.full(len(keys), None, object)
        return names, dict.fromkeys(LEVELS, unknown), tuple(said)
    lines = [_line(root, parents, key) for key in keys]
    columns = {
        level: np.array(
            [
                line[min(depth, len(line) - 1)]
                if named is None
                else _named(root, named, line[min(depth, len(line) - 1)])
                for line in lines
            ],
            object,
        )
        for depth, level in enumerate(LEVELS)
    }
    return names, columns, tuple(said)


def _named(root: Path, named: Mapping[str, str], key: str) -> str:
    if key not in named:
        raise InputError(
            f"{root / 'classes.txt'} has no class {key}. Use the files of one archive."
        )
    return named[key]


def _line(root: Path, parents: Mapping[str, str], key: str) -> list[str]:
    """Return the class and its ancestors, the most general first, without the root."""
    if key not in parents:
        raise InputError(
            f"{root / 'hierarchy.txt'} has no parent of class {key}. Use the files of one archive."
        )
    line = [key]
    while line[-1] in parents:
        if parents[line[-1]] in line:
            raise InputError(f"{root / 'hierarchy.txt'}: class {line[-1]} is its own ancestor.")
        line.append(parents[line[-1]])
    return line[-2::-1]

"""Files of the miniature trees, and their MD5 sums in the tables of torchvision.

The writers put the sums of the miniature into torchvision's tables of published sums;
`published_sums` brings the true ones back for a test of the check itself.
"""

import contextlib
import copy
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from torchvision import datasets as tv

from .pictures import photo

# Tables of torchvision with published MD5 sums.
_TABLES = (
    *((kind, table) for kind in (tv.CIFAR10, tv.CIFAR100) for table in ("train_list", "test_list")),
    (tv.CIFAR10, "meta"),
    (tv.CIFAR100, "meta"),
    (tv.SVHN, "split_list"),
    (tv.Places365, "_CATEGORIES_META"),
    (tv.Places365, "_FILE_LIST_META"),
    (tv.Flowers102, "_file_dict"),
    (tv.CelebA, "file_list"),
)
PUBLISHED = {key: copy.deepcopy(getattr(*key)) for key in _TABLES}


@contextlib.contextmanager
def published_sums() -> Iterator[None]:
    """Put the published MD5 sums back into torchvision's tables for a while."""
    now = {key: getattr(*key) for key in PUBLISHED}
    for (owner, table), value in PUBLISHED.items():
        setattr(owner, table, copy.deepcopy(value))
    try:
        yield
    finally:
        for (owner, table), value in now.items():
            setattr(owner, table, value)


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def jpg(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    photo(number).save(path, "JPEG")


def text(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def mat(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write a MATLAB file without its date: the same bytes in every run."""
    from scipy.io import savemat

    buffer = io.BytesIO()
    savemat(buffer, arrays)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(116) + buffer.getvalue()[116:])


def accept_celeba(root: Path) -> None:
    """Put the MD5 sums of the lists below `root` into torchvision's table."""
    tv.CelebA.file_list = [
        (key, value if file.endswith(".zip") else md5(root / file), file)
        for key, value, file in tv.CelebA.file_list
    ]

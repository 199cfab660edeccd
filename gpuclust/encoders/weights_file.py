"""Weights files in one folder: found there, or downloaded into it, with their hash checked.

The folder is named by the environment variable GPUCLUST_WEIGHTS; ``~/.cache/gpuclust/weights`` by
default.  A folder that has the files needs no network and is never written.
"""

from __future__ import annotations

import hashlib
import logging
import os
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from ..errors import StorageError, WeightsError
from ..files.paths import expand
from .download import download

LOG = logging.getLogger("gpuclust")
VARIABLE = "GPUCLUST_WEIGHTS"
DEFAULT = "~/.cache/gpuclust/weights"
SUFFIXES = (".pth", ".pth.tar", ".pt", ".safetensors", ".bin", ".ckpt")

# Published under this name by several projects, so it does not say whose weights they are.
AMBIGUOUS = ("resnet50.pth",)


@dataclass(frozen=True, kw_only=True)
class WeightsFile:
    """Weights file of an encoder, as its authors published it.

    Attributes
    ----------
    encoder : str
        Name of the encoder, for messages.
    stem : str
        Name of the file in the folder, without suffix; another one for each file.
    url : str
        Address of the file; empty if it was never published.
    page : str
        Page that describes the file.
    sha256, md5 : str
        Hash (hex), or its first digits; empty if it is not known.
    """

    encoder: str
    stem: str
    url: str = ""
    page: str = ""
    sha256: str = ""
    md5: str = ""

    @property
    def published(self) -> str:
        """File name at its authors."""
        return PurePosixPath(urlsplit(self.url).path).name

    @property
    def suffix(self) -> str:
        """Suffix of the published file; ``.pth`` if there is none."""
        suffixes = [suffix for suffix in SUFFIXES if self.published.endswith(suffix)]
        return max(suffixes, key=len, default=".pth")

    @property
    def name(self) -> str:
        """File name in the folder."""
        return self.stem + self.suffix

    def names(self) -> list[str]:
        """List the accepted file names, the preferred one first.

        Examples
        --------
        >>> WeightsFile(encoder="vicreg_resnet50", stem="vicreg_resnet50",
        ...             url="https://dl.fbaipublicfiles.com/vicreg/resnet50.pth").names()[:3]
        ['vicreg_resnet50.pth', 'vicreg_resnet50.pth.tar', 'vicreg_resnet50.pt']
        """
        own = [self.name, *(self.stem + suffix for suffix in SUFFIXES if suffix != self.suffix)]
        theirs = [self.published] if self.published not in (*AMBIGUOUS, *own, "") else []
        return [own[0], *theirs, *own[1:]]


def folder() -> Path:
    """Return the folder of weights files; it need not exist.

    Raises
    ------
    InputError
        When GPUCLUST_WEIGHTS is no possible path.
    WeightsError
        When it names a file.
    """
    path = expand(os.environ.get(VARIABLE) or DEFAULT)
    if path.exists() and not path.is_dir():
        raise WeightsError(f"{VARIABLE} names {path}, which is a file. Name a folder.")
    return path


def find(file: WeightsFile) -> Path | None:
    """Find a file in the folder by its accepted names; None when it is not there.

    Says on the log which file was taken, unless it is the only one and has the preferred name.
    """
    place = folder()
    there = [place / name for name in file.names() if (place / name).is_file()]
    if not there:
        return None
    if there[0].name != file.name or len(there) > 1:
        others = ", ".join(path.name for path in there[1:])
        more = f", not from {others}" if others else ""
        LOG.info("weights of %s are read from %s%s", file.encoder, there[0], more)
    return there[0]


def get(file: WeightsFile) -> Path:
    """Return the path of a weights file, downloading it if it is not in the folder.

    Costs one pass over the file for its hash.

    Raises
    ------
    WeightsError
        When the file is nowhere, cannot be downloaded, or has another hash than the published one.
        A downloaded file with another hash is removed, one that was in the folder stays.
    StorageError
        When the folder cannot be written, or has no room.
    """
    found = find(file)
    if found is not None:
        if found.name.endswith(file.suffix):
            check_hash(found, file)
        elif file.sha256 or file.md5:
            LOG.info("%s is not the published file: its hash is not compared", found)
        return found
    target = folder() / file.name
    if not file.url:
        raise WeightsError(f"there is no file {target}, and it was never published.")
    advice = f"Put the file of {file.url} there as {target.name}, or name another folder by "
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        download(file.url, target, lambda part: check_hash(part, file, shown=target))
    except WeightsError as error:
        raise WeightsError(
            f"cannot get the weights of {file.encoder!r} into {target.parent}: "
            f"{str(error).rstrip('.')}. {advice}{VARIABLE}."
        ) from error
    except (OSError, StorageError) as error:
        why = (error.strerror or "") if isinstance(error, OSError) else str(error)
        raise StorageError(
            f"cannot get the weights of {file.encoder!r}: they are not in {target.parent}, and it "
            f"cannot be written ({why.rstrip('.')}). {advice}{VARIABLE}."
        ) from error
    return target


def hash_of(path: Path, kind: str = "sha256") -> str:
    """Compute a hash (hex) of a file in one pass; remembered while the file is unchanged.

    Examples
    --------
    >>> (tmp_path / "a").write_bytes(b"gpuclust")
    8
    >>> hash_of(tmp_path / "a", "md5")
    '61d236399929514924cd515a8e408e3b'
    """
    status = path.stat()
    return _hash(path, kind, (status.st_ino, status.st_size, status.st_mtime_ns))


@lru_cache(maxsize=64)
def _hash(path: Path, kind: str, version: tuple[int, ...]) -> str:
    """Hash a file once for each `version` of it."""
    del version
    new = partial(hashlib.new, kind, usedforsecurity=False)
    with path.open("rb") as file:
        return hashlib.file_digest(file, new).hexdigest()


def check_hash(path: Path, file: WeightsFile, *, shown: Path | None = None) -> None:
    """Raise WeightsError unless a file has the published hash, if one is known.

    Parameters
    ----------
    shown : Path, optional
        Name of the file in the message; `path` by default.
    """
    wanted = {"sha256": file.sha256, "md5": file.md5}
    for kind, digits in wanted.items():
        found = hash_of(path, kind) if digits else ""
        if not found.startswith(digits):
            raise WeightsError(
                f"{shown or path} is not the published file: its {kind} is {found}, and that "
                f"of the published file {_shown(digits)}; see {file.page or file.url}."
            )


def _shown(digits: str) -> str:
    return f"is {digits}" if len(digits) in (32, 64) else f"starts with {digits}"

"""Download a dataset into ``--data-dir``, complete or not at all."""

from __future__ import annotations

import tarfile
import tempfile
import zipfile
import zlib
from pathlib import Path

from ..errors import GpuclustError, InputError
from ..files.paths import brief, expand
from ..registry import load_target
from . import location, registry

# Megabytes that torchvision fetches, by the publishers' pages and the checksum lists of TensorFlow
# Datasets; a dataset that is missing here has no size that could be confirmed.
MEGABYTES = {
    "cifar10": 170,
    "cifar100": 169,
    "mnist": 12,
    "fashionmnist": 31,
    "svhn": 246,
    "places365": 2_100,
    "flowers102": 345,
    "inaturalist": 8_400,
    "celeba": 1_485,
    "dtd": 625,
    "eurosat": 94,
    "imagenette": 1_557,
}

# Exceptions of libraries without a network, for a damaged archive, or on a full disk.
_FAILURES = (
    *(OSError, RuntimeError, ValueError, EOFError, ImportError),
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error),
)


def download(name: str, data_dir: str | Path) -> tuple[Path, bool]:
    """Download a dataset into the first of its folders below `data_dir`.

    A library downloads and extracts into a temporary folder beside the final one, which is moved
    when it is complete and can be read.  After a failure nothing remains, so a second attempt
    starts anew.

    Parameters
    ----------
    name : str
        Dataset with `DatasetEntry.download`.
    data_dir : path
        Folder of the datasets; made if it does not exist.

    Returns
    -------
    folder : Path
        Folder of the dataset.
    fetched : bool
        False when the dataset was there already.

    Raises
    ------
    InputError
        No library downloads it, or a part of it is there already.
    GpuclustError
        The download failed; the message has the reason and the page to go to.

    Examples
    --------
    >>> download("nabirds", tmp_path)
    Traceback (most recent call last):
        ...
    gpuclust.errors.InputError: no library downloads nabirds. Get it from ...
    """
    entry = registry.entry_of(name)
    if entry.download is None:
        page = f" Get it from {entry.url}." if entry.url else ""
        raise InputError(f"no library downloads {name}.{page} {location.see(name)}")
    root = expand(data_dir)
    folder = root / (entry.folders[0] if entry.folders else name)
    there = _there(name, root)
    if there is not None:
        return there, False
    if folder.is_dir() and any(folder.iterdir()):
        raise InputError(
            f"{brief(folder)} has files already, but {name} cannot be read from it: `gpuclust "
            f"datasets verify {name}` shows why. Move the folder away to download the dataset anew."
        )
    _fetch(name, entry.download, folder)
    return folder, True


def _there(name: str, root: Path) -> Path | None:
    """Return the readable folder of a dataset below `root`; None without one."""
    for place in location.places(name, root):
        if place.is_dir() and _readable(name, place):
            return place
    return None


def _readable(name: str, place: Path) -> bool:
    """Return whether the dataset is in a folder, and not elsewhere on this machine."""
    if name == "fashionmnist":  # is found elsewhere as well: in the package of Debian
        from .readers import fashionmnist

        return all(fashionmnist.pair_in(place, stem) for stem in fashionmnist.STEMS.values())
    try:
        dataset = registry.load(name, data_dir=place)
    except InputError:
        return False
    root = getattr(dataset, "root", None)
    return root is None or Path(root) == place.absolute()


def _fetch(name: str, target: str, folder: Path) -> None:
    """Download into a temporary folder, open the dataset there, and move its content."""
    made = _make(folder.parent)
    try:
        with tempfile.TemporaryDirectory(prefix=".gpuclust-", dir=folder.parent) as beside:
            place = Path(beside) / folder.name
            place.mkdir()
            load_target(target)(place)
            if not _readable(name, place):
                raise InputError("what was fetched cannot be read")
            place.replace(folder)  # an empty folder may be there
    except InputError as error:
        raise _failed(name, folder, error.__cause__ or error) from error
    except _FAILURES as error:
        raise _failed(name, folder, error) from error
    finally:
        for one in reversed(made):
            if not any(one.iterdir()):
                one.rmdir()


def _make(folder: Path) -> list[Path]:
    """Make a folder, and return all new folders, the outermost first."""
    new = [one for one in (*reversed(folder.parents), folder) if not one.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{brief(folder)} cannot be made: {error.strerror}. Give another --data-dir."
        ) from error
    return new


def _failed(name: str, folder: Path, error: BaseException) -> GpuclustError:
    said = str(error).strip().rstrip(".") or type(error).__name__
    page = registry.entry_of(name).url
    return GpuclustError(
        f"{name} was not downloaded to {brief(folder)}: {said}. Nothing of it remains there. Try "
        f"again, or get it from {page}. {location.see(name)}"
    )

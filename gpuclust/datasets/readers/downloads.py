"""Downloads by torchvision, each complete in its folder or not there at all.

torchvision checks the MD5 sums of most archives, but takes a half-extracted folder for a whole one.
So it works in a temporary folder beside the final one, and complete folders are moved at the end.
"""

from __future__ import annotations

import contextlib
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from ...errors import InputError
from ..location import see

_FAILURES: tuple[type[Exception], ...] = (
    *(OSError, RuntimeError, ValueError, EOFError),
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error),
)


@contextlib.contextmanager
def _beside(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder on the same disk; it is removed at the end."""
    parent = folder.parent
    is_new = not parent.exists()
    parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix=".gpuclust-download-", dir=parent) as place:
            yield Path(place)
    finally:
        if is_new:
            with contextlib.suppress(OSError):  # not empty: the download is in it
                parent.rmdir()


def _fetch(name: str, folder: Path, get: Callable[[Path], object], result: str = ".") -> None:
    """Download into a temporary folder with `get`, and move the content of its folder `result`.

    What `folder` holds already is kept.
    """
    failures = _FAILURES + _failures_of_gdown()
    try:
        with _beside(folder) as place:
            get(place)
            folder.mkdir(parents=True, exist_ok=True)
            for one in sorted((place / result).iterdir()):
                if not (folder / one.name).exists():
                    shutil.move(one, folder / one.name)
    except failures as error:
        said = str(error).strip().rstrip(".") or type(error).__name__
        raise InputError(f"{name} was not downloaded to {folder}: {said}. {see(name)}") from error


def _failures_of_gdown() -> tuple[type[Exception], ...]:
    """Return the exceptions of gdown, torchvision's client for Google Drive, if installed."""
    try:
        from gdown import exceptions
    except ImportError:
        return ()
    found = vars(exceptions).values()
    return tuple(one for one in found if isinstance(one, type) and issubclass(one, Exception))


def cifar10(folder: Path) -> None:
    """Download CIFAR-10.

    Raises
    ------
    InputError
        The download failed; nothing of it remains.
    """
    from torchvision.datasets import CIFAR10

    _fetch("cifar10", folder, lambda place: CIFAR10(place, download=True))


def cifar100(folder: Path) -> None:
    """Download CIFAR-100; errors as `cifar10`."""
    from torchvision.datasets import CIFAR100

    _fetch("cifar100", folder, lambda place: CIFAR100(place, download=True))


def mnist(folder: Path) -> None:
    """Download MNIST; errors as `cifar10`."""
    from torchvision.datasets import MNIST

    _fetch("mnist", folder, lambda place: MNIST(place, download=True), "MNIST/raw")


def fashionmnist(folder: Path) -> None:
    """Download Fashion-MNIST; errors as `cifar10`."""
    from torchvision.datasets import FashionMNIST

    _fetch(
        "fashionmnist", folder, lambda place: FashionMNIST(place, download=True), "FashionMNIST/raw"
    )


def svhn(folder: Path) -> None:
    """Download the train and test digits of SVHN, without the extra ones; errors as `cifar10`."""
    from torchvision.datasets import SVHN

    def get(place: Path) -> None:
        for split in ("test", "train"):
            SVHN(place, split=split, download=True)

    _fetch("svhn", folder, get)


def places365(folder: Path) -> None:
    """Download lists and full-size validation images of Places365; errors as `cifar10`."""
    from torchvision.datasets import Places365

    _fetch("places365", folder, lambda place: Places365(place, split="val", download=True))


def aircraft(folder: Path) -> None:
    """Download FGVC-Aircraft, without a check of its MD5 sum; errors as `cifar10`."""
    from torchvision.datasets import FGVCAircraft

    _fetch(
        "aircraft", folder, lambda place: FGVCAircraft(place, download=True), "fgvc-aircraft-2013b"
    )


def flowers102(folder: Path) -> None:
    """Download Oxford Flowers; errors as `cifar10`."""
    from torchvision.datasets import Flowers102

    _fetch("flowers102", folder, lambda place: Flowers102(place, download=True), "flowers-102")


def dtd(folder: Path) -> None:
    """Download the Describable Textures; errors as `cifar10`."""
    from torchvision.datasets import DTD

    _fetch("dtd", folder, lambda place: DTD(place, download=True), "dtd")


def celeba(folder: Path) -> None:
    """Download CelebA with the package gdown; errors as `cifar10`."""
    from torchvision.datasets import CelebA

    _fetch("celeba", folder, lambda place: CelebA(place, download=True), "celeba")


def inaturalist(folder: Path) -> None:
    """Download the validation images of iNaturalist 2021; errors as `cifar10`."""
    from torchvision.datasets import INaturalist

    _fetch(
        "inaturalist", folder, lambda place: INaturalist(place, version="2021_valid", download=True)
    )


def imagenette(folder: Path) -> None:
    """Download Imagenette at full size; errors as `cifar10`."""
    from torchvision.datasets import Imagenette

    _fetch("imagenette", folder, lambda place: Imagenette(place, download=True), "imagenette2")


def eurosat(folder: Path) -> None:
    """Download the older archive of EuroSAT, class folders only; errors as `cifar10`."""
    from torchvision.datasets import EuroSAT

    _fetch("eurosat", folder, lambda place: EuroSAT(place, download=True), "eurosat/2750")

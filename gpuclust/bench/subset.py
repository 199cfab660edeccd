"""Some images of a dataset, and photographs to time decoding with."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

    from ..datasets import Dataset

SIZE = (3000, 2000)


@dataclass(frozen=True)
class Subset:
    """`Dataset` of some images of another one.

    Attributes
    ----------
    whole : Dataset
        The other dataset.
    indices : ndarray (n,) int64
        Positions in it, ascending.
    """

    whole: Dataset
    indices: np.ndarray

    name = property(lambda self: self.whole.name)
    split = property(lambda self: self.whole.split)
    class_names = property(lambda self: self.whole.class_names)
    image_size = property(lambda self: self.whole.image_size)
    ignored = property(lambda self: ())
    said = property(lambda self: ())
    sequential = property(lambda self: self.whole.sequential)

    @property
    def labels(self) -> np.ndarray | None:
        """Labels (n,) int64, or None."""
        return None if self.whole.labels is None else self.whole.labels[self.indices]

    @property
    def columns(self) -> Mapping[str, np.ndarray]:
        """Further labels by name."""
        return {name: column[self.indices] for name, column in self.whole.columns.items()}

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the fingerprint of the whole and the positions."""
        digest = hashlib.sha256(self.whole.fingerprint.encode())
        digest.update(self.indices.tobytes())
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, i: int) -> tuple[Image.Image, int | None]:
        return self.whole[int(self.indices[i])]

    def where(self, i: int) -> str:
        """Return the place of image `i`."""
        return self.whole.where(int(self.indices[i]))

    def path(self, i: int) -> Path | None:
        """Return the file of image `i`, if it has one."""
        return self.whole.path(int(self.indices[i]))


def write_photos(folder: Path, count: int, size: tuple[int, int] = SIZE) -> None:
    """Write JPEG photographs (quality 90): crops of two photographs of scikit-learn, enlarged.

    Enlarged photographs are smoother than others of their size: they take fewer bytes, and decode
    somewhat faster.

    Examples
    --------
    >>> write_photos(tmp_path / "photos", 2, (60, 40))
    >>> sorted(path.name for path in (tmp_path / "photos").iterdir())
    ['0000.jpg', '0001.jpg']
    """
    from PIL import Image
    from sklearn.datasets import load_sample_images

    pictures = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    folder.mkdir(parents=True, exist_ok=True)
    drawn = np.random.default_rng(0)
    for i in range(count):
        picture = pictures[i % 2]
        width = int(drawn.integers(picture.width // 2, picture.width))
        height = width * size[1] // size[0]
        height = min(height, picture.height)
        left = int(drawn.integers(0, picture.width - width + 1))
        top = int(drawn.integers(0, picture.height - height + 1))
        crop = picture.crop((left, top, left + width, top + height))
        crop.resize(size, Image.Resampling.BICUBIC).save(folder / f"{i:04d}.jpg", quality=90)

"""Handwritten digits of scikit-learn: 1,797 images of 8 x 8 pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..dataset import ArrayDataset


def load(name: str, split: str, data_dir: Path | None) -> ArrayDataset:
    """Load the digits; grey levels 0..16 are scaled to 0..255.

    Examples
    --------
    >>> from gpuclust.datasets.readers import digits
    >>> digits.load("digits", "all", None).images.shape
    (1797, 8, 8)
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.rint(bunch.images * (255.0 / 16.0)).astype(np.uint8)  # (1797, 8, 8)
    return ArrayDataset(
        name=name,
        split=split,
        images=images,
        labels=bunch.target.astype(np.int64),
        class_names=tuple(map(str, bunch.target_names)),
    )

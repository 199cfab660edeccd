"""The 1,797 real handwritten digits (8 x 8) that scikit-learn ships."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..dataset import ArrayDataset


def load(split: str, data_dir: Path | None) -> ArrayDataset:
    """Load digits; its grey levels 0..16 become 0..255."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.rint(bunch.images * (255.0 / 16.0)).astype(np.uint8)  # (1797, 8, 8)
    return ArrayDataset(
        name="digits",
        split=split,
        images=images,
        labels=bunch.target.astype(np.int64),
        class_names=tuple(map(str, bunch.target_names)),
    )

"""Entry of an image dataset.

Groups say how a dataset relates to ImageNet-1k, the pretraining data of most encoders.  They are
the groups of the zero-shot clustering study (arXiv 2406.02465); "any" is for the user's own images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..registry import Resource

GROUPS = ("in-domain", "domain-shift", "near-ood", "fine-grained", "far-ood", "any")


@dataclass(frozen=True, kw_only=True)
class DatasetEntry(Resource):
    """Entry of a dataset.  `summary` and `target` suffice; all else has a default.

    Attributes
    ----------
    target : str
        ``"module:attribute"`` of a function (name, split, data_dir) -> `Dataset`.
    splits : mapping of str to int or None
        Number of images of each split, None when unknown; the first split is the default.
    any_split : bool
        Whether the reader may know further splits.
    classes : int or None
        Number of classes; None when unknown or without labels.
    imbalance : float or None
        Size of the largest class divided by the smallest, in the default split.
    group : str
        One of `GROUPS`.
    columns : tuple of str
        Names of the labels beside `Dataset.labels`; see `Dataset.columns`.
    folders : tuple of str
        Folders below ``--data-dir`` in which the dataset may lie, tried in order; ``--data-dir``
        itself comes last.
    layout : tuple of str
        Lines of the tree of files that is expected in the folder.
    download : str or None
        ``"module:attribute"`` of a function (folder: Path) that downloads the dataset into the
        folder; None when no library does.
    remark : str
        Peculiarities of the data: hidden labels, counts that differ, splits of the study.
    """

    splits: Mapping[str, int | None] = field(default_factory=lambda: {"all": None})
    any_split: bool = False
    classes: int | None = None
    imbalance: float | None = None
    group: str = "any"
    columns: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    layout: tuple[str, ...] = ()
    download: str | None = None
    remark: str = ""

"""Table of the names of arrays and columns, shared by all formats.

A name is compared without regard to case, and with ``-``, a blank and ``.`` read as ``_``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

VECTORS, LABELS, PATHS, NO_FEATURE = "vectors", "labels", "paths", "no feature"

# In order of preference: with several of them the first is taken.
NAMES: dict[str, tuple[str, ...]] = {
    VECTORS: (
        *("x", "embeddings", "embedding", "features", "feature", "vectors", "vector", "z"),
        *("emb", "embs", "image_embedding", "image_embeddings", "img_emb", "image_features"),
        *("latents", "latent", "data"),
    ),
    LABELS: (
        *("label", "labels", "y", "y_true", "target", "targets", "class", "classes", "class_id"),
        *("class_ids", "class_name", "class_label", "label_id", "label_name", "true_label"),
        *("ground_truth", "gt", "truth", "category", "categories", "category_id"),
    ),
    PATHS: (
        *("paths", "path", "filepath", "filepaths", "file_path", "filenames", "filename"),
        *("file_name", "file_names", "files", "file", "image_path", "image_paths", "img_path"),
        *("image", "images", "uri", "url", "image_id", "ids", "id", "key", "name", "names"),
    ),
    # Columns of numbers that describe a row and not its content.
    NO_FEATURE: (
        *("index", "idx", "row", "row_number", "rownames", "sample", "split", "fold", "subset"),
        *("cluster", "clusters", "pred", "preds", "prediction", "predictions", "y_pred", ""),
    ),
}
_RANK = {name: (role, rank) for role, names in NAMES.items() for rank, name in enumerate(names)}
# A name that ends so is no feature either: "sample_id", "imageId", "true_class".
_NO_FEATURE = re.compile(
    r"unnamed:_\d+|__index_level_\d+__|__\w+__"
    r"|.*_(id|ids|idx|index|uuid|guid|key|path|file|filename|label|labels|target|class|split|fold)"
)


def normal(name: object) -> str:
    """Write a name the way it is compared.

    Examples
    --------
    >>> normal(" File-Name"), normal("imageId")
    ('file_name', 'image_id')
    """
    text = re.sub(r"(?<=[a-z])(?=I[dD]$)", "_", str(name).strip())
    return re.sub(r"[\s.\-]+", "_", text).casefold()


def role(name: object) -> str | None:
    """Return the role of an array or column by its name; None for a name without one.

    Examples
    --------
    >>> role("Target"), role("Unnamed: 0"), role("f0")
    ('labels', 'no feature', None)
    """
    known = _RANK.get(normal(name))
    if known:
        return known[0]
    return NO_FEATURE if _NO_FEATURE.fullmatch(normal(name)) else None


def by_role(names: Iterable[str], wanted: str) -> list[str]:
    """List the names with a role, the preferred one first.

    Examples
    --------
    >>> by_role(["f0", "target", "Label"], LABELS)
    ['Label', 'target']
    """
    found = [name for name in names if _RANK.get(normal(name), ("",))[0] == wanted]
    # "X" before "x", should a file have both
    return sorted(found, key=lambda name: (_RANK[normal(name)][1], name))


def shown(name: str) -> str:
    r"""Write a name on one line, with unprintable characters escaped.

    Examples
    --------
    >>> print(shown("a b"), shown("a\nb"), shown(""))
    a b 'a\nb' ''
    """
    text = name if name and name.isprintable() else ascii(name)
    return text if len(text) <= 80 else f"{text[:77]}..."


def listed(names: Iterable[str], most: int = 12) -> str:
    """Join names by commas; numbered ones become a range, and after `most` only their count.

    Examples
    --------
    >>> listed(["f0", "f1", "f2", "area"])
    'f0 ... f2, area'
    """
    groups: list[list[str]] = []
    for name in names:
        if groups and _follows(groups[-1][-1], name):
            groups[-1].append(name)
        else:
            groups.append([name])
    texts: list[str] = []
    for group in groups:
        ends = [shown(group[0]), shown(group[-1])]
        texts += [" ... ".join(ends)] if len(group) > 2 else [shown(one) for one in group]
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more


def _follows(before: str, name: str) -> bool:
    """Return whether a name continues the numbers of another, as f1 after f0."""
    one, two = (re.fullmatch(r"(.*?)(\d{1,9})", text, re.DOTALL) for text in (before, name))
    return bool(one and two and one[1] == two[1] and int(two[2]) == int(one[2]) + 1)

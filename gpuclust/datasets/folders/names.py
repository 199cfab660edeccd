"""Names of folders and files with a meaning: system files, splits, cameras, dates."""

from __future__ import annotations

import re
from pathlib import Path

# Name in lower case, or its end after "*", -> the program or system that makes it. `gpuclust
# inspect` shows the entries that were found.
SYSTEM = {
    "@eadir": "thumbnails of a Synology NAS",
    "#recycle": "recycle bin of a Synology NAS",
    "#snapshot": "snapshots of a Synology NAS",
    "synophoto_thumb*": "thumbnails of a Synology NAS",
    "@recycle": "recycle bin of a QNAP NAS",
    "@recently-snapshot": "snapshots of a QNAP NAS",
    "@__thumb": "thumbnails of a QNAP NAS",
    "_thumb": "thumbnails",
    "_thumbs": "thumbnails",
    "_thumbnails": "thumbnails",
    "thumbs": "thumbnails",
    "thumbnail": "thumbnails",
    "thumbnails": "thumbnails",
    "picasaoriginals": "originals kept by Picasa",
    "*.lrdata": "previews of Lightroom",
    "*.photoscache": "cache of a photo program",
    "ipod photo cache": "cache of iTunes",
    "$recycle.bin": "recycle bin of Windows",
    "recycler": "recycle bin of Windows",
    "system volume information": "system folder of Windows",
    "thumbs.db": "thumbnails of Windows",
    "ehthumbs.db": "thumbnails of Windows",
    "ehthumbs_vista.db": "thumbnails of Windows",
    "desktop.ini": "settings of Windows",
    "albumartsmall.jpg": "album image made by Windows",
    "zbthumbnail.info": "thumbnails of a camera program",
    "__macosx": "metadata in a ZIP file of macOS",
    "icon\r": "settings of macOS",
    "lost+found": "system folder of Linux",
    "__pycache__": "cache of Python",
}

HIDDEN = "hidden (the name starts with a dot)"

_SPLITS = {
    "train": ("train", "training", "trn"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing", "tst"),
}
# Name in lower case -> split.
SPLITS = {name: split for split, names in _SPLITS.items() for name in names}

# Folders that only contain images: no class has such a name.
CONTAINERS = frozenset(
    ("image", "images", "img", "imgs", "photo", "photos", "picture", "pictures", "jpegimages")
)

# DCF, the standard of cameras: 100APPLE, 101_PANA; newer iPhones: 202401_a.
_CAMERA = re.compile(r"[1-9]\d\d[A-Z0-9_]{5}|(19|20)\d{4}_[a-z_]")
_DATE = re.compile(r"(19|20)\d\d([-_. ]?(0[1-9]|1[0-2])([-_. ]?(0[1-9]|[12]\d|3[01]))?)?")


def system(name: str) -> str | None:
    """Return the maker of a hidden or system file or folder; None for all others.

    Examples
    --------
    >>> system("@eaDir"), system("cat")
    ('thumbnails of a Synology NAS', None)
    """
    if name.startswith("."):
        return HIDDEN
    lower = name.lower()
    found = SYSTEM.get(lower) or SYSTEM.get("*" + Path(lower).suffix)
    if found is None and lower.startswith("synophoto_thumb"):
        return SYSTEM["synophoto_thumb*"]
    return found


def split_of(name: str) -> str | None:
    """Return the split ``"train"``, ``"val"`` or ``"test"`` of a folder name, in any case.

    Examples
    --------
    >>> split_of("Validation"), split_of("cat")
    ('val', None)
    """
    return SPLITS.get(name.lower())


def is_camera(name: str) -> bool:
    """Return whether a camera or phone gives its folders names of this kind.

    Examples
    --------
    >>> is_camera("100APPLE"), is_camera("001.Albatross")
    (True, False)
    """
    return _CAMERA.fullmatch(name) is not None


def is_date(name: str) -> bool:
    """Return whether a name is a year, a month or a day.

    Examples
    --------
    >>> is_date("2021-06"), is_date("1234")
    (True, False)
    """
    return _DATE.fullmatch(name) is not None

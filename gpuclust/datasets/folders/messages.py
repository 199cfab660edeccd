"""Sentences about files without an image, and unread ones."""

from __future__ import annotations

from pathlib import Path

from . import names
from .walk import Listing, printable

INSTALL_HEIC = 'Install pillow-heif for HEIC: pip install "gpuclust[heic]"'


def about_files(found: Listing) -> list[str]:
    """Name photos that are not read, and folders of photos that were skipped.

    Examples
    --------
    >>> from gpuclust.datasets.folders.walk import Listing
    >>> from gpuclust.datasets.folders import messages
    >>> messages.about_files(Listing(heif=["a.heic"]))[0][:22]
    '1 HEIC photos are not '
    """
    said = []
    if found.heif:
        first = printable(found.heif[0])
        said.append(
            f"{len(found.heif)} HEIC photos are not read, the first is {first}. {INSTALL_HEIC}"
        )
    for maker, paths in sorted(found.system.items()):
        folders = [path for path in paths if path.endswith("/")]
        if folders and maker != names.HIDDEN:
            first, more = printable(folders[0]), len(folders) - 1
            others = f" and {more} more" if more else ""
            said.append(f"skipped {maker}: {first}{others}")
    return said


def no_images(root: Path, found: Listing) -> str:
    """Return the message for a folder without an image.

    Examples
    --------
    >>> from pathlib import Path
    >>> from gpuclust.datasets.folders.walk import Listing
    >>> from gpuclust.datasets.folders import messages
    >>> messages.no_images(Path("photos"), Listing(heif=["a.heic"]))[:43]
    'photos has no images that can be read here:'
    """
    at = printable(str(root))
    if found.heif:
        n, first = len(found.heif), printable(found.heif[0])
        return (
            f"{at} has no images that can be read here: {n} are HEIC photos ({first}, ...). "
            f"{INSTALL_HEIC}, or convert them to JPEG."
        )
    listed = ", ".join(map(printable, found.others[:3]))
    content = f"only other files ({listed}, ...)" if listed else "nothing"
    return (
        f"{at} has no images: there is {content} in it. Give a folder of images, or one with a "
        f"sub-folder of images per class, in any format that Pillow reads (.jpg, .png, ...)."
    )

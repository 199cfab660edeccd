"""Images given from Python: a dataset's name, a folder, a list of files, or images in memory."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import array_api_compat
import numpy as np

from .. import datasets
from ..datasets.given import ImagesInMemory, ListedFiles
from ..datasets.table import DATASETS
from ..errors import InputError, UnknownNameError
from ..events import Watcher
from ..files.paths import expand
from ..registry import find
from ..vectors.formats import READERS

Named = str
Given = ListedFiles | ImagesInMemory
_ACCEPTED = (
    "Give a dataset's name, a folder, a list of image files, a list of PIL images, or an array of "
    "images (n, height, width, 3) uint8."
)


def images(given: Any, watcher: Watcher) -> Named | Given:
    """Return the name of a dataset, or a dataset made of files or of images in memory.

    Parameters
    ----------
    given : str, path, list or array
        See `gpuclust.embed`.
    watcher : Watcher
        Receives a note about every choice.

    Raises
    ------
    InputError
        When it is none of these.

    Examples
    --------
    >>> images("digits", Watcher())
    'digits'
    >>> images(np.zeros((2, 3, 8, 8), np.uint8), Watcher()).images.shape
    (2, 8, 8, 3)
    """
    if isinstance(given, str | os.PathLike):
        return named(given, watcher)
    if isinstance(given, np.ndarray) or array_api_compat.is_array_api_obj(given):
        return ImagesInMemory(_pixels(given, watcher))
    if isinstance(given, Sequence) and given:
        return _listed(given)
    raise InputError(f"images cannot be a {_kind(given)}. {_ACCEPTED}")


def named(given: str | os.PathLike[str], watcher: Watcher) -> str:
    """Return the name of a dataset for a name or a folder.

    A name of the table comes first; a path object is always a folder.

    Raises
    ------
    UnknownNameError
        When there is neither such a dataset nor such a folder.
    InputError
        When the path is a file.
    """
    path = expand(given)
    if isinstance(given, str) and find(given, DATASETS) is not None:
        if path.is_dir():
            watcher.note(f"{given!r} is the dataset; for the folder write 'folder:{given}'")
        return given
    if path.is_dir():
        return f"folder:{path}"
    if path.exists():
        raise InputError(
            f"{path} is a file. Give the folder of the images, or a list: [{str(path)!r}]."
        )
    if isinstance(given, str):
        _refuse(given)
    raise InputError(f"there is no folder {path}. Check the path.")


def _refuse(given: str) -> None:
    """Raise the error of an unknown name of a dataset, folder or file."""
    if "/" in given or given.startswith((".", "~")) or Path(given).suffix.lower() in READERS:
        raise InputError(f"there is no folder or file {given!r}, and no dataset of this name.")
    try:
        datasets.entry_of(given)
    except UnknownNameError as error:
        known = [entry.template(key) for key, entry in DATASETS.items()]
        close = difflib.get_close_matches(given, known, n=1, cutoff=0.5)
        text = f"there is no dataset, folder or file {given!r}."
        raise UnknownNameError(
            f"{text} Did you mean {close[0]!r}?" if close else f"{text} {_ACCEPTED}"
        ) from error


def _listed(given: Sequence[Any]) -> Given:
    from PIL import Image

    if all(isinstance(one, str | os.PathLike) for one in given):
        return ListedFiles.of(given)
    if all(isinstance(one, Image.Image) for one in given):
        return ImagesInMemory(list(given))
    if all(array_api_compat.is_array_api_obj(one) for one in given):
        return ImagesInMemory([_pixels(one[None], Watcher())[0] for one in given])
    kinds = sorted({_kind(one) for one in given})
    raise InputError(f"images cannot be a list of {' and '.join(kinds)}. {_ACCEPTED}")


def _pixels(given: Any, watcher: Watcher) -> np.ndarray:
    """Return images in one array (n, h, w) or (n, h, w, 3) uint8; channels go to the end."""
    from ..arrays.transfer import to_host

    torch = array_api_compat.is_torch_array(given)
    pixels = given.detach().cpu().numpy() if torch else to_host(given)
    shape = pixels.shape
    if pixels.dtype != np.uint8:
        raise InputError(
            f"images must be uint8, from 0 to 255; got {pixels.dtype}. Scale them first, for "
            "example (255 * images).round() of values from 0 to 1, and convert to uint8."
        )
    if pixels.ndim == 4 and shape[1] in (1, 3) and (torch or shape[3] not in (1, 3)):
        if shape[3] in (1, 3):
            watcher.note(f"images of shape {tuple(shape)} are read as (n, channels, height, width)")
        pixels = np.moveaxis(pixels, 1, 3)
    if pixels.ndim == 4 and pixels.shape[3] == 1:
        pixels = pixels[..., 0]
    good = pixels.ndim == 3 or (pixels.ndim == 4 and pixels.shape[3] == 3)
    if not good or not pixels.size:
        raise InputError(
            f"images have shape {tuple(shape)}; expected (n, height, width) or (n, height, width, "
            "3). Transparency must be removed first."
        )
    return np.ascontiguousarray(pixels)


def _kind(given: Any) -> str:
    if isinstance(given, Sequence) and not given:
        return "list without entries"
    return type(given).__name__

"""Find the folder of a published dataset below ``--data-dir``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError
from .registry import entry_of


def find_folder(name: str, data_dir: Path | None, marks: Sequence[str]) -> Path:
    """Return the absolute folder of a dataset, the first with all marks.

    Parameters
    ----------
    name : str
        Dataset with an entry in the registry; its `folders` are tried in order, then `data_dir`.
    data_dir : Path or None
        Value of ``--data-dir``.
    marks : sequence of str
        Relative paths that the folder must contain; with ``*``, one match suffices.

    Raises
    ------
    InputError
        No folder is given, it does not exist, or none has all marks: the message has the folders
        that were tried, and the missing paths of the one that is nearest to complete.

    Examples
    --------
    >>> (tmp_path / "images").mkdir()
    >>> find_folder("digits", tmp_path, ["images"]) == tmp_path
    True
    """
    if data_dir is None:
        raise InputError(
            f"{name} is read from a folder. Give the folder of your datasets with --data-dir (or "
            f"GPUCLUST_DATA). {see(name)}"
        )
    if not data_dir.is_dir():
        raise InputError(
            f"{name} is not in {data_dir}: there is no folder {data_dir}. Give the folder of your "
            f"datasets with --data-dir (or GPUCLUST_DATA). {see(name)}"
        )
    tried = places(name, data_dir)
    missing = {place: [mark for mark in marks if not _has(place, mark)] for place in tried}
    for place, without in missing.items():
        if not without:
            return place.absolute()
    nearest = min(tried, key=lambda place: (len(missing[place]), not place.is_dir()))
    lacks = ", ".join(missing[nearest][:5])
    where = ", ".join(str(place) for place in tried)
    raise InputError(f"{name} is not in {where}: {nearest} has no {lacks}. {see(name)}")


def places(name: str, data_dir: Path) -> list[Path]:
    """List the possible folders of a dataset, in order; ``--data-dir`` itself comes last.

    Examples
    --------
    >>> places("digits", Path("/data"))
    [PosixPath('/data')]
    """
    return [data_dir / folder for folder in (*entry_of(name).folders, ".")]


def _has(place: Path, mark: str) -> bool:
    return any(place.glob(mark)) if "*" in mark else (place / mark).exists()


def see(name: str) -> str:
    """Return the sentence at the end of an error about the files of a dataset.

    Examples
    --------
    >>> see("digits")
    '`gpuclust datasets where digits` shows the expected files and their source.'
    """
    return f"`gpuclust datasets where {name}` shows the expected files and their source."

"""Download of BIOSCAN-1M and BIOSCAN-5M by the package ``bioscan-dataset``."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from ...errors import InputError


def download_1m(folder: Path) -> None:
    """Download metadata, images of 256 pixels and the text files of sample ids of BIOSCAN-1M.

    Parameters
    ----------
    folder : Path
        Folder to fill; archives remain in its parent.

    Raises
    ------
    InputError
        The package is not installed.
    OSError, RuntimeError
        As raised by the package.
    """
    _download("BIOSCAN1M", folder, partitioning_version="clibd", split="test")


def download_5m(folder: Path) -> None:
    """Download metadata and the images of all splits for evaluation of BIOSCAN-5M.

    Parameters and errors are those of `download_1m`; `folder` must have the name ``bioscan5m``,
    as in the archives.
    """
    _download("BIOSCAN5M", folder, split="test+test_unseen")


def _download(name: str, folder: Path, **how: str) -> None:
    try:
        package = importlib.import_module("bioscan_dataset")
    except ModuleNotFoundError:
        raise InputError(
            'the package bioscan-dataset is not installed. Run pip install "gpuclust[bioscan]"'
        ) from None
    # After the download the class reads the metadata, in which DNA barcodes of 5 million insects
    # would take 10 GB as Python texts; here they are only checked.
    nothing: dict[str, Any] = {"base_folder": folder.name, "_load_metadata": lambda self: None}
    downloader = type(name, (getattr(package, name),), nothing)
    downloader(folder.parent, modality="image", download=True, **how)

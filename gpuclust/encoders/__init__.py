"""Pretrained encoders, found by name; importing this package does not import torch.

``parse`` reads a name, ``check`` validates it without weights, ``load`` returns an `Encoder` and
``available`` lists names with their metadata.
"""

from .encoder import PREPROCESSINGS, Encoder, load
from .listing import available
from .names import EncoderName, check, entry_of, parse

__all__ = [
    "PREPROCESSINGS",
    "Encoder",
    "EncoderName",
    "available",
    "check",
    "entry_of",
    "load",
    "parse",
]

"""Pretrained encoders behind one kind of name; importing this package imports no torch.

``parse`` reads a name, ``check`` validates it without weights, ``load`` gives an `Encoder`,
``available`` lists what there is.
"""

from .encoder import Encoder, load
from .listing import EncoderInfo, available
from .names import EncoderName, check, parse

__all__ = ["Encoder", "EncoderInfo", "EncoderName", "available", "check", "load", "parse"]

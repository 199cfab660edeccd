"""The command `gpuclust`: parse, one call into the library, print.

Every command lives in the module of its group; importing this package imports none of the heavy
dependencies, so that help answers at once.
"""

from .main import app, main

__all__ = ["app", "main"]

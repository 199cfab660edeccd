"""Messages of the library in the words of Python: ``--skip-bad`` becomes ``skip_bad=True``.

The library names options of the command line in its messages.  The functions for Python share the
library, so they replace the options by their own arguments, here and nowhere else.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from ..errors import GpuclustError

# Option of the command line -> argument of `gpuclust.run`, `run_grid` or `embed`.
ARGUMENTS = {
    "batch-size": "batch_size",
    "clusterer": "clusterer",
    "data-dir": "data_dir",
    "dataset": "X",
    "device": "device",
    "embeddings": "X",
    "encoder": "encoder",
    "force": "force=True",
    "k": "k",
    "labels": "y",
    "loaders": "loaders",
    "metrics": "metrics",
    "name": "name",
    "preprocess": "preprocess",
    "reducer": "reducer",
    "retry-failed": 'redo="failed"',
    "root": "root",
    "save-labels": "save_labels=True",
    "seed": "seed",
    "skip-bad": "skip_bad=True",
    "split": "split",
    "trace-transfers": "trace=True",
}
_OPTION = re.compile(r"(?<![\w-])--([a-z][a-z-]*[a-z]|k)\b(?: (cpu|gpu|auto|\d+)\b)?")
# Commands stay as they are: they are advice for a terminal.
_COMMAND = re.compile(r"(`gpuclust [^`]*`)")


def in_python(text: str) -> str:
    """Replace options of the command line in a message by arguments.

    Examples
    --------
    >>> in_python("Run it with --device cpu, or use --skip-bad and another --root.")
    'Run it with device="cpu", or use skip_bad=True and another root.'
    """
    parts = _COMMAND.split(text)
    parts[::2] = [_OPTION.sub(_argument, part) for part in parts[::2]]
    return "".join(parts).replace("the same command", "the same call")


def _argument(option: re.Match[str]) -> str:
    name, value = option.groups()
    if name not in ARGUMENTS:
        return option.group()
    if value is None:
        return ARGUMENTS[name]
    return f"{ARGUMENTS[name]}={value if value.isdigit() else repr(value)}".replace("'", '"')


@contextlib.contextmanager
def errors_in_python() -> Iterator[None]:
    """Let errors of the block name arguments of Python."""
    try:
        yield
    except GpuclustError as error:
        if error.args and isinstance(error.args[0], str):
            error.args = (in_python(error.args[0]), *error.args[1:])
        raise

"""Check the limits and the address of a cluster before anything starts."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

from ..errors import InputError

# A worker takes some 350 MiB before it computes; below this it is killed again and again.
LEAST_MIB = 512
SECONDS = 8.0
_UNITS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_SIZE = re.compile(r"(\d{1,18}(?:\.\d{1,18})?)\s*([kmgtp]?)(i?)b?", re.IGNORECASE | re.ASCII)


def check_memory_limit(text: str) -> str:
    """Return the memory limit of a worker: ``auto``, ``0`` for none, or a size.

    Raises
    ------
    InputError
        When it is no size, or below 512 MiB.

    Examples
    --------
    >>> check_memory_limit("8GiB")
    '8GiB'
    """
    given = str(text).strip()
    if given in ("auto", "0"):
        return given
    found = _SIZE.fullmatch(given)
    if found is None:
        raise InputError(
            f"--memory-limit takes auto, 0 for none, or a size such as 8GiB; got {given[:60]!r}."
        )
    number, unit, binary = found.groups()
    size = float(number) * (1024 if binary else 1000) ** _UNITS[unit.lower()]
    if size < LEAST_MIB * 2**20:
        raise InputError(
            f"--memory-limit {given} is too small: a worker needs at least {LEAST_MIB}MiB. Give "
            "auto, 0 for none, or a larger size such as 8GiB."
        )
    return given


def scheduler_address(path: Path) -> str:
    """Read the address in a scheduler file, as ``dask scheduler --scheduler-file`` writes it.

    Raises
    ------
    FileNotFoundError
        When there is no file.
    ValueError
        When it is no scheduler file; it may also be half written.

    Examples
    --------
    >>> path = tmp_path / "scheduler.json"
    >>> _ = path.write_text('{"address": "tcp://10.0.0.1:8786"}')
    >>> scheduler_address(path)
    'tcp://10.0.0.1:8786'
    """
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}")
    if not path.is_file() or path.stat().st_size > 10_000_000:
        raise ValueError(f"{path} is not a scheduler file")
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a scheduler file: it holds no JSON") from error
    address = content.get("address") if isinstance(content, dict) else None
    if not isinstance(address, str) or "://" not in address:
        raise ValueError(f"{path} is not a scheduler file: it names no address")
    return address


def knock(address: str, seconds: float = SECONDS) -> None:
    """Open a connection to a Dask scheduler and close it again.

    Dask itself waits for minutes for a port that takes connections and says nothing.

    Raises
    ------
    OSError, ValueError
        When nothing answers as Dask does within `seconds`.
    """
    from distributed.comm import connect
    from distributed.security import Security

    # Certificates of the configuration, as the client takes them.
    secured = Security().get_connection_args("client")

    async def visit() -> None:
        comm = await connect(address, timeout=seconds, **secured)
        comm.abort()

    try:
        asyncio.run(asyncio.wait_for(visit(), seconds))
    except TimeoutError as error:
        raise OSError(f"it said nothing in {seconds:.0f} s") from error
    except OSError:
        raise
    except Exception as error:  # any error of Dask about a foreign answer
        raise ValueError(f"what answers is no scheduler: {type(error).__name__}") from error

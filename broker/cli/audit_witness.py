"""Posts checkpoints to a witness over HTTP."""

import urllib.error
import urllib.request
from urllib.parse import urlsplit

from broker.audit.witness import PostToWitness
from broker.errors import AuditError

_TIMEOUT = 10.0  # s
_LONGEST_ANSWER = 65_536  # bytes; a signature has some 150


def poster(url: str) -> PostToWitness:
    """What posts to the witness with this submission prefix. Raises `ValueError` if it is no URL of one."""
    if urlsplit(url).scheme not in {"http", "https"}:
        msg = f"--url {url}: must begin with https:// or http://"
        raise ValueError(msg)
    address = f"{url.rstrip('/')}/add-checkpoint"

    def post(body: bytes) -> tuple[int, bytes]:
        request = urllib.request.Request(address, body, {"Content-Type": "text/plain"})  # noqa: S310 - checked above
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:  # noqa: S310
                return response.status, response.read(_LONGEST_ANSWER)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read(_LONGEST_ANSWER)
        except OSError as error:
            msg = f"{address}: the witness cannot be reached ({error})"
            raise AuditError(msg) from None

    return post

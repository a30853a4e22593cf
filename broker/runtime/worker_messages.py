"""What a worker tells its supervisor on its standard output: one JSON object a line.

That a worker's standard input is open tells it that the supervisor lives. The supervisor sends one byte,
`RELOAD_REFUSED`, whenever it refuses a reload, for the worker's metrics.
"""

import msgspec

RELOAD_REFUSED = b"r"


class Progress(msgspec.Struct, tag="progress", frozen=True):
    """A step of starting or stopping begins or goes on, in which the event loop may stand still."""

    step: str
    """For the log, such as "opening the store"."""
    silence: float
    """Seconds until the next message; whoever takes longer hangs."""


class Ready(msgspec.Struct, tag="ready", frozen=True):
    """The worker serves. From now on it sends `Alive` every second."""

    pid: int
    grpc: str
    """host:port"""
    metrics: str
    """host:port"""


class Alive(msgspec.Struct, tag="alive", frozen=True):
    """The event loop turns."""


Message = Progress | Ready | Alive

_encode = msgspec.json.encode
_decoder = msgspec.json.Decoder[Message](Message)


def encode(message: Message) -> bytes:
    """The message as a line."""
    return _encode(message) + b"\n"


def decode(line: bytes) -> Message | None:
    """The message in a line; None if there is none in it, as when a library prints something."""
    try:
        message: Message = _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return message

"""The host's other workers, as one of them sees them: where lookups go whose subjects another worker owns.

Each worker listens on a Unix socket in a folder that is the broker's user's alone. A peer that cannot be reached,
falls silent, or ends in the middle, is no reason to fail a lookup: the worker that asked does the rest itself.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
from msgspec import MsgspecError
from msgspec.structs import replace

from broker.core.planning.ownership import ALONE, Ownership
from broker.errors import BrokerError
from broker.peers.liveness import ALIVE, SILENCE
from broker.peers.messages import METHOD, ForwardRequest, Trailer, decode_trailer, encode_forward_request

# What is kept back of the time there is, so that the owner has ended properly before it is given up: as much as the
# service keeps back of the caller's.
_MARGIN_SHARE = 0.05
_MARGIN_MOST = 0.5  # s
_OPTIONS = (
    ("grpc.max_receive_message_length", -1),  # bounded where they are made
    # A worker is back within a second of being restarted; gRPC would wait up to two minutes to find out.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)


class PeerError(BrokerError):
    """Another worker did not do all it was asked."""


def socket_of(folder: Path, slot: int) -> str:
    """Where the worker in a slot listens for its peers."""
    return f"unix:{folder / f'worker-{slot}.sock'}"


class Peers:
    """Connections to the other workers; made when first needed."""

    def __init__(
        self, ownership: Ownership = ALONE, channels: Sequence[grpc.aio.Channel] = (), *, silence: float = SILENCE
    ) -> None:
        """`channels` by slot; this worker's own is not used. `silence`: seconds after which a peer is given up."""
        self._silence = silence
        self.ownership = ownership
        self._calls = [channel.unary_stream(METHOD) for channel in channels]

    async def ask(self, owner: int, forward_request: ForwardRequest) -> AsyncIterator[bytes | Trailer]:
        """Messages of reports, to be passed on as they are, and the trailer last, within `forward_request.time_left`.

        Raises `PeerError` if the trailer does not come, whatever came before it.
        """
        time_left = max(0.0, forward_request.time_left)
        own = time_left - min(time_left * _MARGIN_SHARE, _MARGIN_MOST)
        call = self._calls[owner](encode_forward_request(replace(forward_request, time_left=own)), timeout=time_left)
        try:
            messages = aiter(call)
            while True:
                async with asyncio.timeout(self._silence):
                    message = await anext(messages)
                trailer = decode_trailer(message)
                if message != ALIVE:
                    yield message if trailer is None else trailer
                if trailer is not None:
                    return
        except StopAsyncIteration:
            msg = f"worker {owner} ended too soon"
            raise PeerError(msg) from None
        except TimeoutError:
            msg = f"worker {owner} has given no sign of life for {self._silence:g} s"
            raise PeerError(msg) from None
        except grpc.aio.AioRpcError as error:
            msg = f"worker {owner} failed: {error.code().name}"
            raise PeerError(msg) from None
        except MsgspecError:  # a worker of another version: they are replaced one by one
            msg = f"worker {owner} ended with a trailer of another version"
            raise PeerError(msg) from None
        finally:
            call.cancel()  # an abandoned call is never collected (grpc/grpc#43462)


@asynccontextmanager
async def open_peers(ownership: Ownership, folder: Path | None, *, silence: float = SILENCE) -> AsyncIterator[Peers]:
    """Connections to the other workers, whose sockets are in `folder`; None if there are none."""
    async with contextlib.AsyncExitStack() as stack:
        channels = []
        if folder is not None:
            for slot in range(ownership.workers):
                channel = grpc.aio.insecure_channel(socket_of(folder, slot), options=_OPTIONS)
                channels.append(await stack.enter_async_context(channel))
        yield Peers(ownership, channels, silence=silence)

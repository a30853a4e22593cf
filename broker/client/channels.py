"""The connections of a client: several channels, used in turn, and new ones when its certificates have changed."""

import asyncio
import logging
from collections.abc import Sequence
from itertools import cycle

import grpc

from broker.client.credentials import Credentials, FileMarks

log = logging.getLogger(__name__)

ChannelOptions = Sequence[tuple[str, int]]

_LOOK = 1.0  # s between two looks at the files
_LONGEST_CALL = 86_400.0  # s that calls in progress are given on channels that were replaced


class Channels:
    """State: the channels, those that were replaced and have calls in progress, and what the files looked like."""

    def __init__(self, address: str, options: Sequence[ChannelOptions], credentials: Credentials | None) -> None:
        """One channel for each of `options`. Raises `ValueError` if the credentials cannot be used."""
        self.credentials = credentials
        self._address = address
        self._options = options
        self._clock = asyncio.get_running_loop().time
        self._looked = self._clock()
        self._seen = self._marks()
        self._used = self._seen
        self._channels = self._open()
        self._turns = cycle(self._channels)
        self._closing: set[asyncio.Task[None]] = set()

    def next(self) -> grpc.aio.Channel:
        """The channel whose turn it is."""
        if self.credentials is not None and self._clock() - self._looked >= _LOOK:
            self._looked = self._clock()
            self.look()
        return next(self._turns)

    def look(self) -> None:
        """Opens new channels if files have changed, and have been at rest between two looks."""
        marks = self._marks()
        at_rest, self._seen = marks == self._seen, marks
        if marks == self._used or not at_rest:
            return
        self._used = marks
        try:
            opened = self._open()
        except ValueError as error:
            log.warning("the new certificates are not used, the old ones go on: %s", error)
            return
        replaced, self._channels = self._channels, opened
        self._turns = cycle(opened)
        for channel in replaced:
            task = asyncio.ensure_future(channel.close(_LONGEST_CALL))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def aclose(self) -> None:
        """Closes all, and cancels calls in progress."""
        closing = list(self._closing)
        for task in closing:
            task.cancel()
        await asyncio.gather(*closing, return_exceptions=True)
        for channel in self._channels:
            await channel.close()

    def _open(self) -> list[grpc.aio.Channel]:
        if self.credentials is None:
            return [grpc.aio.insecure_channel(self._address, list(each)) for each in self._options]
        credentials = self.credentials.channel_credentials()
        return [grpc.aio.secure_channel(self._address, credentials, list(each)) for each in self._options]

    def _marks(self) -> FileMarks:
        return FileMarks.of(self.credentials.files if self.credentials else ())

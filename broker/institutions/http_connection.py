"""HTTP/1.1 over one connection: a call's request and its response, read a step at a time within `ReplyLimits`.

The parser is h11, because it parses when it is told to, and one event at a time: what a reply consists of can be
counted, and others get their turns, before the next event is parsed.
"""

from collections.abc import AsyncIterator, Awaitable, Callable

import h11

from broker.institutions.reply_limits import ReplyLimits
from broker.institutions.wire import Wire

_READ = 128 * 1024  # bytes read at a time: as many as a wire receives at once
# Where there may be heads, chunks or trailers, bytes with more lines than any head has are parsed a little at a time:
# limits have to apply before it is too late.
_END_OF_HEAD = b"\r\n\r\n"
_MANY_LINES, _LITTLE = 128, 2 * 1024
_POST = h11.Request(method="POST", target="/", headers=[("Host", ""), ("Content-Length", "0")])
_SENT = h11.EndOfMessage()
"""What the parser is told of every request, so that it knows how to read the response."""

BULK = 1_000  # lookups, the work on which takes as long as the steps of a reply between two turns

Turn = Callable[[int], Awaitable[None]]
"""Waits until work that takes as long as that on so many lookups may begin."""


class HttpConnection:
    """One call at a time.

    State: the parser of the current response, and what was read and not given to it; how many bytes of the content are
    still to come, if the response says how many there are: then nothing in it has to be parsed.
    """

    def __init__(self, wire: Wire, turn: Turn) -> None:
        self._wire = wire
        self._turn = turn
        self._parser = h11.Connection(h11.CLIENT)
        self._unparsed = b""
        self._left: int | None = None

    @property
    def is_usable(self) -> bool:
        """Whether the other side has neither closed the connection nor sent anything since the last call."""
        return self._wire.is_clean

    def send(self, head: bytes, body: bytes) -> None:
        """Begins a call. `head`: the request line and headers of a POST of this body."""
        self._wire.in_use = True
        # Its own limit is above that of `ReplyLimits`, which is the one to refuse.
        self._parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=2 * _READ)
        self._parser.send(_POST)
        self._parser.send(_SENT)
        self._left = None
        self._wire.send(head, body)

    async def response(self, limits: ReplyLimits) -> h11.Response:
        """The head of the response. Raises `OSError`, `h11.RemoteProtocolError`, `BadReplyError`."""
        while not isinstance(event := await self._event(limits), h11.Response):
            if isinstance(event, h11.ConnectionClosed):
                msg = "the connection was closed before the response"
                raise h11.RemoteProtocolError(msg)
            limits.informational()
        limits.headers(event.headers.raw_items())
        headers = dict(event.headers)
        if b"content-length" in headers and b"transfer-encoding" not in headers:
            self._left = int(headers[b"content-length"])
            self._unparsed = self._parser.trailing_data[0] + self._unparsed
        return event

    async def content(self, limits: ReplyLimits) -> AsyncIterator[bytes]:
        """The content of the response, as it comes. Raises the same errors."""
        if self._left is None:
            while isinstance(event := await self._event(limits), h11.Data):
                yield event.data
            return
        while self._left:
            if limits.turn_is_due:
                await self._turn(BULK)
            data = self._unparsed or await self._read(limits)
            if not data:
                msg = "the connection was closed before the end of the response"
                raise h11.RemoteProtocolError(msg)
            if len(data) > self._left:
                data, self._unparsed = data[: self._left], data[self._left :]
            else:
                self._unparsed = b""
            self._left -= len(data)
            limits.step(len(data))
            yield data

    def finish(self) -> bool:
        """Ends a call whose response was read to its end. Returns whether the connection may be used for another."""
        self._wire.in_use = False
        parser = self._parser
        is_whole = self._left == 0 or (parser.their_state is h11.DONE and not parser.trailing_data[0])
        if is_whole and parser.our_state is h11.DONE and not self._unparsed and self.is_usable:
            return True
        self.close()
        return False

    def close(self) -> None:
        """Closes the connection at once, and lets go of what was received."""
        self._unparsed = b""
        self._parser = h11.Connection(h11.CLIENT)
        self._wire.close()

    async def _event(self, limits: ReplyLimits) -> h11.Event:
        """The parser's next event."""
        while True:
            if limits.turn_is_due:
                await self._turn(BULK)
            event = self._parser.next_event()
            limits.step(len(event.data) if isinstance(event, h11.Data) else 0)
            if not isinstance(event, type):  # h11 has NEED_DATA as a class
                return event
            limits.unfinished(self._parser.trailing_data[0])
            self._parse(self._unparsed or await self._read(limits))

    async def _read(self, limits: ReplyLimits) -> bytes:
        if limits.comes_in_drops:
            await self._wire.rest()
        data = await self._wire.read(_READ)
        limits.received(len(data))
        return data

    def _parse(self, data: bytes) -> None:
        """Gives the parser its next bytes: a head alone, so that plain content never passes through the parser."""
        size = len(data)
        if self._parser.their_state is h11.SEND_RESPONSE and (end := data.find(_END_OF_HEAD)) >= 0:
            size = end + len(_END_OF_HEAD)
        if data.count(b"\n", 0, size) > _MANY_LINES:
            size = min(size, _LITTLE)
        self._parser.receive_data(data[:size])
        self._unparsed = data[size:]

"""HTTP/1.1 over one connection: a call's request and its response, read a step at a time within `ReplyLimits`.

The parser is h11, because it parses when it is told to, and one event at a time: what a reply consists of can be
counted, and others get their turns, before the next event is parsed.
"""

from collections.abc import AsyncIterator, Awaitable, Callable

import h11

from broker.institutions.reply_limits import ReplyLimits
from broker.institutions.wire import Wire

_READ = 64 * 1024  # bytes parsed at a time
# Where there may be heads, chunks or trailers, bytes with more lines than any head has are parsed a little at a time:
# limits have to apply before it is too late.
_MANY_LINES, _LITTLE = 128, 2 * 1024
_POST = h11.Request(method="POST", target="/", headers=[("Host", ""), ("Content-Length", "0")])
_SENT = h11.EndOfMessage()
"""What the parser is told of every request, so that it knows how to read the response."""

BULK = 1_000  # lookups, the work on which takes as long as the steps of a reply between two turns

Turn = Callable[[int], Awaitable[None]]
"""Waits until work that takes as long as that on so many lookups may begin."""


class HttpConnection:
    """One call at a time.

    State: the parser's; what was read and not given to it; and whether the response has a length, so that no lines
    are parsed in its body.
    """

    def __init__(self, wire: Wire, turn: Turn) -> None:
        self._wire = wire
        self._turn = turn
        # Above what `ReplyLimits` allows, so that it is the one to refuse.
        self._parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=2 * _READ)
        self._unparsed = b""
        self._is_plain = False

    @property
    def is_usable(self) -> bool:
        """Whether the other side has neither closed the connection nor sent anything since the last call."""
        return self._wire.is_clean

    def send(self, head: bytes, body: bytes) -> None:
        """Begins a call. `head`: the request line and headers of a POST of this body."""
        self._wire.in_use = True
        self._parser.send(_POST)
        self._parser.send(_SENT)
        self._wire.send(head, body)

    async def response(self, limits: ReplyLimits) -> h11.Response:
        """The head of the response. Raises `OSError`, `h11.RemoteProtocolError`, `BadReplyError`."""
        while not isinstance(event := await self._event(limits), h11.Response):
            if isinstance(event, h11.ConnectionClosed):
                msg = "the connection was closed before the response"
                raise h11.RemoteProtocolError(msg)
            limits.informational()
        limits.headers(event.headers.raw_items())
        self._is_plain = any(name == b"content-length" for name, _ in event.headers)
        return event

    async def content(self, limits: ReplyLimits) -> AsyncIterator[bytes]:
        """The content of the response, as it comes. Raises the same errors."""
        while isinstance(event := await self._event(limits), h11.Data):
            yield event.data

    def finish(self) -> bool:
        """Ends a call whose response was read to its end. Returns whether the connection may be used for another."""
        self._wire.in_use = False
        states = self._parser.our_state, self._parser.their_state
        if states != (h11.DONE, h11.DONE) or self._unparsed or self._parser.trailing_data[0] or not self.is_usable:
            self.close()
            return False
        self._parser.start_next_cycle()
        self._is_plain = False
        return True

    def close(self) -> None:
        """Closes the connection at once."""
        self._wire.close()

    async def _event(self, limits: ReplyLimits) -> h11.Event:
        while True:
            if limits.turn_is_due:
                await self._turn(BULK)
            event = self._parser.next_event()
            if isinstance(event, h11.Data):
                limits.step(len(event.data))
                return event
            limits.step()
            if not isinstance(event, type):  # h11 has NEED_DATA and PAUSED as classes
                return event
            await self._parse_more(limits)

    async def _parse_more(self, limits: ReplyLimits) -> None:
        """Gives the parser its next bytes."""
        if not self._is_plain:
            limits.unfinished(self._parser.trailing_data[0])
        if not self._unparsed:
            self._unparsed = await self._wire.read(_READ)
            limits.received(len(self._unparsed))
        if self._is_plain or self._lines() <= _MANY_LINES:
            self._parser.receive_data(self._unparsed)
            self._unparsed = b""
        else:
            self._parser.receive_data(self._unparsed[:_LITTLE])
            self._unparsed = self._unparsed[_LITTLE:]

    def _lines(self) -> int:
        """How many lines may be parsed in the next step."""
        in_head = self._parser.their_state is h11.SEND_RESPONSE
        return self._unparsed.count(b"\n", 0, self._unparsed.find(b"\r\n\r\n") if in_head else None)

"""What a stream has yet to send, and when it ends: as soon as nobody can add to it any more.

Rules

1. Whoever can add to a stream holds a `Producer`: the planning of its request, the inquiries that this worker makes
   for it, and each request forwarded to a peer. The planning opens the first and closes it after it opened the others.
2. A producer is closed once. Closing it again changes nothing; what it puts after that is an error of the caller.
3. When the last producer is closed, the stream is closed for good: no further producer can be opened.
4. A producer that fails is closed with its error. What was put before is still taken; then the error is raised,
   whoever else may still produce.

| items | closed | error | `take()`  | `has_ended` | `is_ready()` |
|-------|--------|-------|-----------|-------------|--------------|
| some  | any    | any   | the items | no          | yes          |
| none  | no     | none  | nothing   | no          | no           |
| none  | yes    | none  | nothing   | yes         | yes          |
| none  | any    | one   | raises it | no          | yes          |
"""

from collections.abc import Callable, Sequence


class ReportStream:
    """Encoded reports on their way to one reader, in order of their being put. State: the columns of the table."""

    __slots__ = ("_changed", "_error", "_is_closed", "_items", "_producers", "size")

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        """`changed` is called after each put and close."""
        self._changed = changed
        self._items: list[bytes] = []
        self._producers = 0
        self._is_closed = False
        self._error: BaseException | None = None
        self.size = 0
        """Bytes put and not taken yet."""

    def open_producer(self) -> "Producer":
        """A handle for one more who can add. Raises `RuntimeError` if the stream is closed."""
        if self._is_closed:
            msg = "a producer cannot be opened: the last one was closed"
            raise RuntimeError(msg)
        self._producers += 1
        return Producer(self)

    @property
    def has_ended(self) -> bool:
        """Whether everything was taken, nobody can add to it, and nobody failed."""
        return self._is_closed and not self._items and self._error is None

    def is_ready(self, enough: int = 0) -> bool:
        """Whether there are `enough` bytes to take, or it is no use to wait for more."""
        return bool(self._items and self.size >= enough) or self._is_closed or self._error is not None

    def take(self) -> list[bytes]:
        """All items. Raises the error of a producer that failed, if there are none."""
        if not self._items and self._error is not None:
            raise self._error
        items, self._items, self.size = self._items, [], 0
        return items

    def put(self, items: Sequence[bytes]) -> None:
        """To be called by a `Producer`."""
        self._items.extend(items)
        self.size += sum(map(len, items))
        self._changed()

    def close(self, error: BaseException | None) -> None:
        """To be called by a `Producer`."""
        self._producers -= 1
        self._is_closed = not self._producers
        self._error = self._error or error
        self._changed()


class Producer:
    """The right to add to a stream, until it is closed."""

    __slots__ = ("_stream",)

    def __init__(self, stream: ReportStream) -> None:
        self._stream: ReportStream | None = stream

    @property
    def is_open(self) -> bool:
        """False once `close` was called."""
        return self._stream is not None

    def put(self, items: Sequence[bytes]) -> None:
        """Adds encoded reports. Raises `RuntimeError` if it is closed."""
        if self._stream is None:
            msg = "a closed producer cannot add to its stream"
            raise RuntimeError(msg)
        self._stream.put(items)

    def close(self, error: BaseException | None = None) -> None:
        """Says that nothing more comes from here; with an error, that something is missing. Does nothing twice."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close(error)

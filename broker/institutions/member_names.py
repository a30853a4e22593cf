"""Finds names that occur twice in an object of a JSON text. Decoders keep the last one, and do not tell.

What `{"outcome": "FOUND", "outcome": "NOT_FOUND"}` means is open, and it may hide assets. But to look at each object
takes longer than decoding the reply. Replies of an institution differ in their values, however, and hardly in their
shapes, so a shape is looked at once. The *shape* of a text is what is left of it without the bytes of most values:

    {"item":12,"outcome":"NOT_FOUND"}  →  {"itm":,"outom":"_"}

1. Equal names leave equal letters. So if the names in each object of one text leave different letters, no text of the
   same shape has equal names in an object.
2. Only quotation marks and punctuation tell names, values and objects apart, and they are all kept. This requires that
   quotation marks are not escaped, and that there are no escapes in names.
3. Nothing is concluded from a shape that is not known: such an element is decoded by Python's own decoder, which shows
   every name (`CloseReading`).
"""

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

from broker.institutions.reply_check import MAX_ASSETS

_KEPT = b'"{}[]:,\\_ghijklmnopqrstuvwxyz'
"""Letters enough to tell names apart. Digits and the letters a to f are values more often: numbers, dates, escapes."""
_LEFT_OUT = bytes(set(range(256)) - set(_KEPT))
_ESCAPED_QUOTE = b'\\"'
_escape_in_name = re.compile(rb'\\[^"]*":').search
_MAX_SHAPES = 2048  # known at a time, of elements that begin with the same name; an institution has a few hundred
_OPENING = 5  # bytes: '{"' and three letters. CPython finds longer ones more slowly
_MAX_ELEMENT = 16 * 1024  # bytes; about 20 accounts. Longer ones are rare, and seldom have the same shape
_MAX_SIZE = 2 * 1024 * 1024  # bytes of all shapes. An institution has a few hundred, of a few hundred bytes
_MAX_OBJECTS = 131_072  # of a reply that are read closely: as many as 500 people with 20 accounts each have
_MAX_IN_TEXT = 3 * MAX_ASSETS + 1  # objects, and as many lists: asset, holder and details


class RepeatedNameError(ValueError):
    """A name occurs twice in an object."""

    def __init__(self) -> None:
        super().__init__("a name occurs twice in an object")


@dataclass(frozen=True, slots=True)
class _Shape:
    """The shape of a reply. Put together again, the parts are the shape of the whole text."""

    frame: tuple[bytes, bytes]
    """What comes before the first element, and after the list of elements."""
    opening: bytes
    """How every element begins: `{"itm`."""
    elements: list[bytes]
    """The rest of each element, and a comma."""


class KnownShapes:
    """The shapes of elements and of what surrounds them in which no name occurs twice. State: these shapes."""

    def __init__(self) -> None:
        self._frames: set[tuple[bytes, bytes]] = set()
        self._elements: dict[bytes, set[bytes]] = {}
        self._size = 0

    def look(self, body: bytes) -> tuple[int, dict[int, tuple[bytes, bytes]]]:
        """How many elements a reply has, if what surrounds them is known; else -1. And the shapes of those not known.

        The number is right only if each of these shapes is the `shape_of_element` of its element. If so, no name occurs
        twice outside of them.
        """
        shape = _shape_of(body)
        if shape is None or shape.frame not in self._frames:
            return -1, {}
        if self._know(shape):
            return len(shape.elements), {}
        known = self._elements.get(shape.opening, set())
        odd = {index: (shape.opening, one) for index, one in enumerate(shape.elements) if one not in known}
        is_long = max(len(one) for _, one in odd.values()) > _MAX_ELEMENT
        return (-1, {}) if is_long else (len(shape.elements), odd)

    def has_element(self, element: bytes) -> bool:
        """Whether the shape of an element is known, so that no name occurs twice in it."""
        if len(element) > _MAX_ELEMENT or _ESCAPED_QUOTE in element:
            return False
        opening, rest = shape_of_element(element)
        return rest in self._elements.get(opening, ())

    def learn_element(self, element: bytes) -> None:
        """Adds the shape of an element. Its names must leave different letters (`CloseReading.is_exemplary`)."""
        if len(element) > _MAX_ELEMENT or _ESCAPED_QUOTE in element:
            return
        opening, rest = shape_of_element(element)
        if not _escape_in_name(opening + rest):
            self._make_room(len(opening) + len(rest))
            self._elements.setdefault(opening, set()).add(rest)

    def learn_frame(self, body: bytes) -> None:
        """Adds what surrounds the elements of a reply. Its names must leave different letters, as in `learn_element`.

        Nothing is learnt unless the shapes of its elements are all known: only then are they known to be whole.
        """
        shape = _shape_of(body)
        if shape is not None and self._know(shape) and (size := sum(map(len, shape.frame))) <= _MAX_ELEMENT:
            self._make_room(size)
            self._frames.add(shape.frame)

    def _know(self, shape: _Shape) -> bool:
        return self._elements.get(shape.opening, set()).issuperset(shape.elements)

    def _make_room(self, size: int) -> None:
        """Forgets everything if there is too much: a shape that is needed is soon learnt again."""
        self._size += size
        if self._size > _MAX_SIZE:
            self._frames.clear()
            self._elements.clear()
            self._size = size


def shape_of_element(element: bytes) -> tuple[bytes, bytes]:
    """The shape of an element, as in a `_Shape`."""
    shape = element.translate(None, _LEFT_OUT)
    return shape[:_OPENING], shape[_OPENING:] + b","


def _shape_of(body: bytes) -> _Shape | None:
    """None if there are no elements, or if the text has no shape."""
    if b"\\" in body and _ESCAPED_QUOTE in body:  # the first test is by far the faster one
        return None
    shape = body.translate(None, _LEFT_OUT)
    start = shape.find(b'[{"') + 1
    opening = shape[start : start + _OPENING]
    if not start:
        return None
    before, *elements = shape.split(opening)
    elements[-1], _, after = elements[-1].rpartition(b"]")
    elements[-1] += b","
    return _Shape((before, after), opening, elements)


def _as_written(number: str) -> msgspec.Raw:
    """A number that is not computed: what is too large would become null, or be rounded."""
    return msgspec.Raw(number.encode())


@lru_cache(maxsize=1024)
def _letters(name: str) -> bytes:
    """What is left of a name in a shape."""
    return name.encode(errors="surrogatepass").translate(None, _LEFT_OUT)


class CloseReading:
    """Reads texts with Python's own decoder. State: how many more objects may be read, of one reply."""

    def __init__(self) -> None:
        self._left = _MAX_OBJECTS
        self.is_exemplary = True
        """Whether, in each object of the last text, the names leave different letters."""

    def read(self, text: bytes) -> bytes:
        """The text without members that are null.

        Raises `ValueError` if it is not JSON or contains too much, `RepeatedNameError` if a name occurs twice in an
        object, and `RecursionError` if it is nested too deeply.
        """
        count = max(text.count(b"{"), text.count(b"["))
        self._left -= count
        if self._left < 0 or count > _MAX_IN_TEXT:
            msg = "too many objects"
            raise ValueError(msg)
        self.is_exemplary = True
        read = json.loads(
            text.decode(), object_pairs_hook=self._members, parse_int=_as_written, parse_float=_as_written
        )
        return msgspec.json.encode(read)

    def _members(self, members: list[tuple[str, Any]]) -> dict[str, Any]:
        names = {name for name, _ in members}
        if len(names) < len(members):
            raise RepeatedNameError
        letters = {*map(_letters, names)}
        self.is_exemplary &= len(letters) == len(names)
        return {name: value for name, value in members if value is not None}

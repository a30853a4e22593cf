"""Reads the elements of a reply in JSON: all at once if that is possible, and otherwise one by one.

A reply is decoded as a whole, which is fast, but tells only that something is wrong. If it fails, each element is
decoded alone: one that cannot be read is an element without an outcome, as long as it says which item it is about.
Whatever cannot be pinned to an item is wrong with the whole reply.
"""

import re
from collections.abc import Sequence
from itertools import starmap, zip_longest

import msgspec

from broker.errors import BadReplyError
from broker.institutions.json_structs import (
    JsonElement,
    JsonNumbered,
    JsonOutline,
    JsonReply,
    JsonWholeElement,
    JsonWholeReply,
)
from broker.institutions.member_names import CloseReading, KnownShapes, shape_of_element
from broker.institutions.reply_check import check_request
from broker.model import Question

Element = JsonElement | JsonWholeElement

_decode = msgspec.json.Decoder(JsonReply).decode
_decode_whole = msgspec.json.Decoder(JsonWholeReply).decode
_decode_outline = msgspec.json.Decoder(JsonOutline).decode
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_element = msgspec.json.Decoder(JsonElement).decode
_decode_number = msgspec.json.Decoder(JsonNumbered).decode

_surrogate = re.compile(rb"\\u[dD][89a-fA-F]").search
_each_half = re.compile(
    # An escaped backslash, or a pair, are passed over.
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
).sub
_each_step = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\Z)|[\[\]{}]', re.DOTALL).finditer
_MAX_WHOLE = (
    256 * 1024
)  # bytes of a reply that is decoded with its assets: any ordinary one, as some megabytes of objects
_MAX_DEPTH = 100  # of a reply that is nested too deeply for the decoder; replies as documented have eight levels
_MAX_STEPS = 400_000  # brackets, quotation marks and escapes of such a reply: 0.1 s
_UNUSABLE = b'{"":0,"":0}'  # in place of what is deeper: a name that occurs twice makes the element unusable
_MAX_ESCAPES = 100_000  # of a reply that are looked at: 50 ms
_UNREADABLE = (ValueError, OverflowError, RecursionError)


def read_elements(body: bytes, question: Question, shapes: KnownShapes, close: CloseReading) -> list[Element]:
    """The elements of a reply to the question. One that is not usable has the outcome "".

    Raises `BadReplyError` if the body as a whole is not a reply to this question. None of its messages quotes the body.
    """
    count, odd = shapes.look(body)  # before decoding: what is decoded should stay in the processor's cache
    reader = _ElementReader(shapes, close)
    try:
        request_id, replies = _decoded(body)
        raws = _decode_outline(body).replies if odd else []
    except _UNREADABLE:
        return _one_by_one(body, question, reader, ())
    if len(replies) != count or any(shape_of_element(bytes(raws[index])) != one for index, one in odd.items()):
        return _one_by_one(body, question, reader, replies)
    check_request(request_id, question, replies=count)
    for index in odd:
        replies[index] = reader.read(bytes(raws[index]), replies[index])
    return replies


def _decoded(body: bytes) -> tuple[str, list[Element]]:
    """The id of the request and the elements: with their assets if none of these is wrong, and the reply is not long.

    Raises one of `_UNREADABLE`.
    """
    if len(body) <= _MAX_WHOLE:
        try:
            whole = _decode_whole(body)
        except _UNREADABLE:  # perhaps an asset: those are then decoded one item at a time
            pass
        else:
            return whole.request_id, [*whole.replies]
    reply = _decode(body)
    return reply.request_id, [*reply.replies]


def _one_by_one(body: bytes, question: Question, reader: "_ElementReader", decoded: Sequence[Element]) -> list[Element]:
    """`decoded`: the elements, if they could be decoded at once."""
    body = _without_lone_surrogates(body)
    try:
        body, outline = _outlined(body)
        surroundings = _surroundings(body)
    except msgspec.DecodeError as error:
        # msgspec's message has the path and the types, never the value.
        msg = f"the reply is not an InquiryBatchReply: {error}"
        raise BadReplyError(msg) from None
    except _UNREADABLE:  # their text may contain a part of the reply
        msg = "the reply is not JSON: it is not UTF-8, or has too much in it that is nested deeply"
        raise BadReplyError(msg) from None
    check_request(outline.request_id, question, replies=len(outline.replies))
    is_exemplary = reader.check(surroundings)
    elements = list(starmap(reader.read, zip_longest(map(bytes, outline.replies), decoded)))
    if is_exemplary:
        reader.shapes.learn_frame(body)
    return elements


def _outlined(body: bytes) -> tuple[bytes, JsonOutline]:
    """The reply with its elements undecoded, and its text, in which what no decoder can follow is replaced."""
    try:
        return body, _decode_outline(body)
    except RecursionError:
        body = _without_depths(body)
        return body, _decode_outline(body)


def _surroundings(body: bytes) -> bytes:
    """The reply with 0 in place of the list of elements."""
    before, _, after = body.rpartition(bytes(_decode_members(body)["replies"]))
    return before + b"0" + after


class _ElementReader:
    """Reads elements one by one, and learns their shapes."""

    def __init__(self, shapes: KnownShapes, close: CloseReading) -> None:
        self.shapes = shapes
        self._close = close

    def check(self, surroundings: bytes) -> bool:
        """Whether names of the reply leave different letters. Raises `BadReplyError` if one occurs twice."""
        try:
            self._close.read(surroundings)
        except _UNREADABLE:
            msg = "the reply has a member twice, or too many members"
            raise BadReplyError(msg) from None
        return self._close.is_exemplary

    def read(self, element: bytes, decoded: Element | None) -> Element:
        """Raises `BadReplyError` if the element does not say which item it is about."""
        if decoded is not None and self.shapes.has_element(element):
            return decoded
        try:
            item = _decode_number(element).item
        except _UNREADABLE:
            msg = "an element of the reply has no number of an item"
            raise BadReplyError(msg) from None
        try:
            text = self._close.read(element)
            read = _decode_element(text) if decoded is None else decoded
        except _UNREADABLE:
            return JsonElement(item, "")
        if self._close.is_exemplary:
            self.shapes.learn_element(element)
        return read


def _without_lone_surrogates(body: bytes) -> bytes:
    """The body with U+0000 for halves of surrogate pairs, which msgspec cannot skip. U+0000 is refused in texts."""
    if _surrogate(body) is None:
        return body
    return _each_half(lambda match: b"\\u0000" if match[1] else match[0], body, _MAX_ESCAPES)


def _without_depths(body: bytes) -> bytes:
    """The body with `_UNUSABLE` in place of whatever is nested too deeply, so that it harms its own element alone."""
    if sum(map(body.count, (b"[", b"{", b'"', b"\\"))) > _MAX_STEPS:
        return body
    parts, depth, begin = [], 0, 0
    for step in _each_step(body):
        if step[0] in b"[{":
            depth += 1
            if depth == _MAX_DEPTH + 1:
                parts += [body[begin : step.start()], _UNUSABLE]
        elif step[0] in b"]}":
            if depth == _MAX_DEPTH + 1:
                begin = step.end()
            depth -= 1
    return b"".join([*parts, body[begin:]]) if depth <= _MAX_DEPTH else body

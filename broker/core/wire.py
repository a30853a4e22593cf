"""The encoded form of reports and answers, built and cut as bytes.

Rule: a length-delimited protobuf field can be copied without being parsed. Answers are therefore encoded once, when
they arrive, and from then on spliced: into the cache, and from there into every report that carries them. The layouts
below are those of proto/broker/v1/investigation.proto; tests/core/test_wire.py proves that what is spliced here parses
to the same message as one built honestly.

An encoded `Answer` is kept as a *segment*, ready to stand in a report:

    0x2a length  0x0a length institution_id  content            0x30 source
    └ Report.answers └ Answer.institution_id └ fields 2 to 5    └ Answer.source, one byte, always last

so that marking the same answer as "from the cache" means replacing its last byte.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from broker.model import Outcome, Problem, Source

_ANSWERS = b"\x2a"  # Report.answers = 5, length-delimited
_REPORTS = b"\x0a"  # InvestigateResponse.reports = 1, length-delimited
_SOURCE = b"\x30"  # Answer.source = 6, varint
FINAL = b"\x18\x01"  # Report.final = 3
COMPLETE = b"\x20\x01"  # Report.complete = 4


def varint(value: int) -> bytes:
    """Protobuf's base-128 form of a non-negative integer."""
    if value < 1 << 7:
        return bytes((value,))
    if value < 1 << 14:
        return bytes((value & 0x7F | 0x80, value >> 7))
    if value < 1 << 21:
        return bytes((value & 0x7F | 0x80, value >> 7 & 0x7F | 0x80, value >> 14))
    if value < 1 << 28:
        return bytes((value & 0x7F | 0x80, value >> 7 & 0x7F | 0x80, value >> 14 & 0x7F | 0x80, value >> 21))
    # Four groups at a time: a loop over single ones is three times slower, and amounts of money come here.
    low = (value & 0x7F | 0x80, value >> 7 & 0x7F | 0x80, value >> 14 & 0x7F | 0x80, value >> 21 & 0x7F | 0x80)
    return bytes(low) + varint(value >> 28)


# Lengths up to two bytes are looked up: nearly every answer and report is shorter than 16 KiB.
_SHORT = [varint(n) for n in range(1 << 14)]


def _length(size: int) -> bytes:
    return _SHORT[size] if size < len(_SHORT) else varint(size)


def text_field(number: int, text: str) -> bytes:
    """A string field, empty if the text is (proto3 leaves defaults out)."""
    if not text:
        return b""
    data = text.encode()
    return bytes((number << 3 | 2,)) + _length(len(data)) + data


def content(outcome: Outcome, *, observed_at: int = 0, problem: Problem | None = None) -> bytes:
    """Fields 2 to 4 of an `Answer` without assets. `observed_at` in seconds since the epoch; 0 leaves it out."""
    parts = [b"\x10", varint(outcome)]
    if observed_at:
        seconds = b"\x08" + varint(observed_at)
        parts += [b"\x1a", varint(len(seconds)), seconds]
    if problem:
        body = b"".join(text_field(number, text) for number, text in enumerate(problem, start=1))
        parts += [b"\x22", varint(len(body)), body]
    return b"".join(parts)


def seal(institution_id: str, contents: Iterable[bytes], source: Source) -> list[bytes]:
    """Segments of one institution's contents."""
    prefix = text_field(1, institution_id)
    tail = _SOURCE + bytes((source,))
    extra = len(prefix) + len(tail)
    return [b"".join((_ANSWERS, _length(len(c) + extra), prefix, c, tail)) for c in contents]


def resource(segments: Iterable[bytes], source: Source) -> list[bytes]:
    """The same segments, said to come from another source."""
    last = bytes((source,))
    return [segment[:-1] + last for segment in segments]


def institution_of(segment: bytes) -> bytes:
    """The institution id within a segment, encoded."""
    start, stop = _institution_span(segment)
    return segment[start:stop]


def outcome_of(segment: bytes) -> int:
    """The outcome within a segment: content begins with it."""
    return segment[_institution_span(segment)[1] + 1]


def _institution_span(segment: bytes) -> tuple[int, int]:
    at = 1
    while segment[at] & 0x80:
        at += 1
    start = at + 3  # past the length's last byte, the tag of institution_id, and its length: ids have 64 bytes at most
    return start, start + segment[start - 1]


class Headers:
    """Writes the reports of one request, whose lookups have these refs, by position."""

    __slots__ = ("_refs",)

    def __init__(self, refs: Sequence[str] | Mapping[int, str]) -> None:
        self._refs = refs

    def report(self, position: int, flags: bytes, body: bytes) -> bytes:
        """One report, ready to stand in an `InvestigateResponse`. `body`: segments, joined."""
        ref = self._refs[position].encode()
        head = b"".join((b"\x0a", _length(len(ref)), ref)) if ref else b""
        if position:
            head = b"".join((head, b"\x10", _length(position)))
        return b"".join((_REPORTS, _length(len(head) + len(flags) + len(body)), head, flags, body))

    def reports(self, positions: Sequence[int], flags: bytes, bodies: Sequence[bytes]) -> list[bytes]:
        """Reports on several lookups, with the same flags: `report` for each, in the least possible steps."""
        short, limit = _SHORT, len(_SHORT)
        refs = [self._refs[position].encode() for position in positions]
        out = []
        for ref, position, body in zip(refs, positions, bodies, strict=True):
            place = short[position] if position < limit else varint(position)
            head = b"\x0a%b%b\x10%b%b" % (short[len(ref)], ref, place, flags)
            size = len(head) + len(body)
            out.append(b"\x0a%b%b%b" % (short[size] if size < limit else varint(size), head, body))
        return out


def messages(reports: Sequence[bytes], limit: int) -> Iterator[bytes]:
    """Encoded responses of at most `limit` bytes each, unless a single report is larger."""
    start = size = 0
    for place, length in enumerate(map(len, reports)):
        size += length
        if size > limit and place > start:
            yield b"".join(reports[start:place])
            start, size = place, length
    if start < len(reports):
        yield b"".join(reports[start:])

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

from collections.abc import Iterator, Mapping, Sequence

from broker.model import Outcome, Problem, Source

_ANSWERS = b"\x2a"  # Report.answers = 5, length-delimited
_REPORTS = b"\x0a"  # InvestigateResponse.reports = 1, length-delimited
_SOURCE = b"\x30"  # Answer.source = 6, varint
FINAL = b"\x18\x01"  # Report.final = 3
COMPLETE = b"\x20\x01"  # Report.complete = 4


def _groups(value: int) -> bytes:
    """Two groups of seven bits, both with the mark that more follow."""
    return bytes((value & 0x7F | 0x80, value >> 7 | 0x80))


# Two groups at a time are looked up: nearly all lengths are shorter than 16 KiB, and amounts of money take two steps.
_OPEN = [_groups(value) for value in range(1 << 14)]
_SHORT = [bytes((value,)) if value < 1 << 7 else bytes((value & 0x7F | 0x80, value >> 7)) for value in range(1 << 14)]


def varint(value: int) -> bytes:
    """Protobuf's base-128 form of a non-negative integer."""
    head = b""
    while value >= 1 << 14:
        head += _OPEN[value & 0x3FFF]
        value >>= 14
    return head + _SHORT[value]


def text_field(number: int, text: str) -> bytes:
    """A string field, empty if the text is (proto3 leaves defaults out)."""
    if not text:
        return b""
    data = text.encode()
    return b"%c%b%b" % (number << 3 | 2, varint(len(data)), data)


def length_at(data: bytes, at: int) -> tuple[int, int]:
    """A length of less than 16 KiB, and where that of which it is the length begins."""
    size = data[at]
    return (size, at + 1) if size < 1 << 7 else (size & 0x7F | data[at + 1] << 7, at + 2)


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


def seal(institution_id: str, contents: Sequence[bytes], source: Source) -> list[bytes]:
    """Segments of one institution's contents. Equal contents, such as most NOT_FOUND of a reply, share one."""
    prefix = text_field(1, institution_id)
    tail = _SOURCE + bytes((source,))
    extra = len(prefix) + len(tail)
    sealed = {c: b"".join((_ANSWERS, varint(len(c) + extra), prefix, c, tail)) for c in set(contents)}
    return list(map(sealed.__getitem__, contents))


def resource(segments: Sequence[bytes], source: Source) -> list[bytes]:
    """The same segments, said to come from another source. Equal ones share one."""
    last = bytes((source,))
    changed = {segment: segment[:-1] + last for segment in set(segments)}
    return list(map(changed.__getitem__, segments))


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
    """Writes the reports of one request, given each lookup's ref field, encoded, by position."""

    __slots__ = ("_heads",)

    def __init__(self, heads: Sequence[bytes] | Mapping[int, bytes]) -> None:
        self._heads = heads

    def report(self, position: int, flags: bytes, body: bytes) -> bytes:
        """One report, ready to stand in an `InvestigateResponse`. `body`: segments, joined."""
        head = self._heads[position]
        if position:
            head = b"".join((head, b"\x10", varint(position)))
        return b"".join((_REPORTS, varint(len(head) + len(flags) + len(body)), head, flags, body))

    def reports(self, positions: Sequence[int], flags: bytes, bodies: Sequence[bytes]) -> list[bytes]:
        """Reports on several lookups, with the same flags: `report` for each, in the least possible steps."""
        short, limit = _SHORT, len(_SHORT)
        heads = [self._heads[position] for position in positions]
        out = []
        for ref, position, body in zip(heads, positions, bodies, strict=True):
            head = b"%b\x10%b%b" % (ref, short[position] if position < limit else varint(position), flags)
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

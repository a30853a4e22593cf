"""Encodes reports and answers by splicing bytes.

Rule: a length-delimited protobuf field can be copied without being parsed. An answer is therefore encoded once, when it
arrives, and its bytes are copied from then on: into the cache, and into every report that contains the answer. The
layouts below follow proto/broker/v1/investigation.proto; tests/core/wire/test_encoding.py proves that spliced bytes
parse to the same message as one that protobuf built.

An encoded `Answer` is kept as a *segment*, which is a complete field of a `Report`:

    0x2a length  0x0a length institution_id  content            0x30 source
    └ Report.answers └ Answer.institution_id └ fields 2 to 5, 7 └ Answer.source, one byte, always last

The source comes last so that marking an answer as "from the cache" only replaces its last byte. For example, the bank
"b1" has nothing about a subject, as of 2023-11-14:

    >>> (segment,) = make_segments("b1", [content(Outcome.NOT_FOUND, observed_at=1_700_000_000)], Source.INSTITUTION)
    >>> segment == bytes.fromhex(
    ...     "2a 10 "                   # Report.answers, 16 bytes
    ...     "0a 02 6231 "              # Answer.institution_id, 2 bytes: "b1"
    ...     "10 02 "                   # Answer.outcome: NOT_FOUND
    ...     "1a 06 08 80e2cfaa06 "     # Answer.observed_at, 6 bytes: seconds = 1,700,000,000
    ...     "30 01"                    # Answer.source: INSTITUTION
    ... )
    True

A later request is answered from the cache. Its lookup at position 3 has the ref "7". The report is the segment with
another last byte, after a head and the flags:

    >>> (cached,) = with_source([segment], Source.CACHE)
    >>> writer = ReportWriter({3: text_field(1, "7")})
    >>> writer.report(3, FINAL + COMPLETE, cached) == bytes.fromhex(
    ...     "0a 1b "                   # InvestigateResponse.reports, 27 bytes
    ...     "0a 01 37 "                # Report.ref, 1 byte: "7"
    ...     "10 03 "                   # Report.position: 3
    ...     "18 01 20 01 "             # Report.final, Report.complete: true
    ... ) + segment[:-1] + bytes((Source.CACHE,))  # Report.answers as above, with another Answer.source
    True
"""

from collections.abc import Iterator, Mapping, Sequence

from broker.model import Outcome, Problem, Source

_ANSWERS = b"\x2a"  # Report.answers = 5, length-delimited
_REPORTS = b"\x0a"  # InvestigateResponse.reports = 1, length-delimited
_WARNINGS = b"\x32"  # Report.warnings = 6, length-delimited
_SOURCE = b"\x30"  # Answer.source = 6, varint
FINAL = b"\x18\x01"  # Report.final = 3
COMPLETE = b"\x20\x01"  # Report.complete = 4


def _groups(value: int) -> bytes:
    """Two groups of seven bits, both with the continuation bit."""
    return bytes((value & 0x7F | 0x80, value >> 7 | 0x80))


# Two groups at a time are looked up: nearly all lengths are below 16 KiB, and amounts of money take two lookups.
_OPEN = [_groups(value) for value in range(1 << 14)]
_SHORT = [bytes((value,)) if value < 1 << 7 else bytes((value & 0x7F | 0x80, value >> 7)) for value in range(1 << 14)]


def varint(value: int) -> bytes:
    """A non-negative integer as a protobuf varint."""
    head = b""
    while value >= 1 << 14:
        head += _OPEN[value & 0x3FFF]
        value >>= 14
    return head + _SHORT[value]


def text_field(number: int, text: str) -> bytes:
    """An encoded string field; nothing if the text is empty (proto3 omits default values)."""
    if not text:
        return b""
    data = text.encode()
    return b"%c%b%b" % (number << 3 | 2, varint(len(data)), data)


def length_at(data: bytes, at: int) -> tuple[int, int]:
    """Reads a length below 16 KiB at the offset `at`. Returns it, and the offset of what follows."""
    size = data[at]
    return (size, at + 1) if size < 1 << 7 else (size & 0x7F | data[at + 1] << 7, at + 2)


def content(outcome: Outcome, *, observed_at: int = 0, problem: Problem | None = None) -> bytes:
    """Fields 2 to 4 of an `Answer` without assets. `observed_at` in seconds since the epoch; 0 leaves it out."""
    parts = [b"\x10", varint(outcome)]
    if observed_at:
        seconds = b"\x08" + varint(observed_at)
        parts += [b"\x1a", varint(len(seconds)), seconds]
    if problem:
        body = _problem(problem)
        parts += [b"\x22", varint(len(body)), body]
    return b"".join(parts)


def _problem(problem: Problem) -> bytes:
    return b"".join(text_field(number, text) for number, text in enumerate(problem, start=1))


def warning(problem: Problem) -> bytes:
    """A warning, as a field of a `Report`."""
    body = _problem(problem)
    return b"".join((_WARNINGS, varint(len(body)), body))


def found_as(name: str) -> bytes:
    """`Answer.found_as`, to be added to a content."""
    return text_field(7, name)


def make_segments(institution_id: str, contents: Sequence[bytes], source: Source) -> list[bytes]:
    """The segments of one institution's answers. Equal contents, such as most NOT_FOUND of a reply, share one."""
    prefix = text_field(1, institution_id)
    tail = _SOURCE + bytes((source,))
    extra = len(prefix) + len(tail)
    segments = {c: b"".join((_ANSWERS, varint(len(c) + extra), prefix, c, tail)) for c in set(contents)}
    return list(map(segments.__getitem__, contents))


def with_source(segments: Sequence[bytes], source: Source) -> list[bytes]:
    """The same segments with another source. Equal segments share one result."""
    last = bytes((source,))
    changed = {segment: segment[:-1] + last for segment in set(segments)}
    return list(map(changed.__getitem__, segments))


def institution_of(segment: bytes) -> bytes:
    """The institution id in a segment, encoded."""
    start, stop = _institution_span(segment)
    return segment[start:stop]


def outcome_of(segment: bytes) -> int:
    """The outcome in a segment: its content begins with it."""
    return segment[_institution_span(segment)[1] + 1]


def _institution_span(segment: bytes) -> tuple[int, int]:
    at = 1
    while segment[at] & 0x80:
        at += 1
    start = at + 3  # after the last byte of the length, the tag of institution_id, and its length (at most 64)
    return start, start + segment[start - 1]


class ReportWriter:
    """Encodes the reports of one request. `heads`: the encoded fields ref and warnings of each lookup, by position."""

    __slots__ = ("_heads",)

    def __init__(self, heads: Sequence[bytes] | Mapping[int, bytes]) -> None:
        self._heads = heads

    def report(self, position: int, flags: bytes, body: bytes) -> bytes:
        """One report, as a field of an `InvestigateResponse`.

        `flags`: any of FINAL and COMPLETE, concatenated. `body`: joined segments.
        """
        head = self._heads[position]
        if position:
            head = b"".join((head, b"\x10", varint(position)))
        return b"".join((_REPORTS, varint(len(head) + len(flags) + len(body)), head, flags, body))

    def reports(self, positions: Sequence[int], flags: bytes, bodies: Sequence[bytes]) -> list[bytes]:
        """Reports about several lookups with the same flags: the same as `report` for each, but faster."""
        short, limit = _SHORT, len(_SHORT)
        heads = [self._heads[position] for position in positions]
        out = []
        for ref, position, body in zip(heads, positions, bodies, strict=True):
            head = b"%b\x10%b%b" % (ref, short[position] if position < limit else varint(position), flags)
            size = len(head) + len(body)
            out.append(b"\x0a%b%b%b" % (short[size] if size < limit else varint(size), head, body))
        return out


def messages(reports: Sequence[bytes], limit: int) -> Iterator[bytes]:
    """Joins encoded reports into encoded responses of at most `limit` bytes; a larger report is sent by itself."""
    start = size = 0
    for index, length in enumerate(map(len, reports)):
        size += length
        if size > limit and index > start:
            yield b"".join(reports[start:index])
            start, size = index, length
    if start < len(reports):
        yield b"".join(reports[start:])

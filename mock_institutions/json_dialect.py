"""The JSON dialect: decodes requests, and splices replies."""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache

import msgspec

from mock_institutions.dialect import (
    ITEMS_PREPARED,
    Batch,
    Dialect,
    EmptyElements,
    Inquiries,
    MalformedError,
    Spliced,
    by_row,
    templates_for,
)
from mock_institutions.findings import Holdings, Refusal
from mock_institutions.records import Asset, InquiryBatch, Problem
from mock_institutions.registry import Registry

_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(InquiryBatch)

_NO_HOLDERS = b'{"holders":[]'


def timestamp(seconds: int) -> str:
    """The time in RFC 3339, UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def decode(body: bytes) -> Batch:
    """Decodes a request. Raises MalformedError."""
    try:
        batch = _decoder.decode(body)
    except msgspec.DecodeError as error:
        # msgspec's message has the path and the expected type, never a number or a name.
        raise MalformedError(str(error)) from error
    inquiries = batch.inquiries
    columns = Inquiries(
        [inquiry.item for inquiry in inquiries],
        [inquiry.subject_type for inquiry in inquiries],
        [inquiry.number for inquiry in inquiries],
        [inquiry.name for inquiry in inquiries],
    )
    mandate_of = [inquiry.mandate for inquiry in inquiries]
    return Batch(batch.request_id, batch.institution_id, batch.attempt, batch.mandates, mandate_of, columns)


class JsonSplicer:
    """Encodes the replies of one institution."""

    def __init__(self, registry: Registry) -> None:
        self._find_all = registry.find_all
        self._templates = templates_for(registry, _details)

    def reply(self, request_id: str, inquiries: Inquiries, observed_at: int) -> Spliced:
        """The reply to `inquiries`, spliced from bytes."""
        items = inquiries.items
        findings = self._find_all(inquiries.subject_types, inquiries.numbers, inquiries.names)
        replies = _EMPTY_ELEMENTS.of(items, observed_at)
        found = b'"outcome":"FOUND%b,"assets":[' % _stamp(observed_at)
        for row, assets in by_row(findings.holdings, self._assets(findings.holdings), b",").items():
            replies[row] = b"".join((_opening(items[row]), found, assets, b"]}"))
        for row, refusal in findings.refusals.items():
            replies[row] = _opening(items[row]) + _refusal(refusal, observed_at)
        body = b"".join((b'{"request_id":', _encode(request_id), b',"replies":[', b",".join(replies), b"]}"))
        return Spliced(body, findings)

    def _assets(self, holdings: Holdings) -> Iterator[bytes]:
        return self._templates.fill(holdings.variants, (_held_by(holdings), *holdings.numbers))


def _held_by(holdings: Holdings) -> list[bytes]:
    """The encoded holders of each thing."""
    columns = zip(holdings.document_types, holdings.document_numbers, holdings.names, strict=True)
    held = [
        f'{{"name":"{name}","document_type":"{document_type}","document_number":"{number}"}}'.encode()
        for document_type, number, name in columns
    ]
    for index, (document_type, number, name) in holdings.others.items():
        other = f'{{"name":"{name}","document_type":"{document_type}","document_number":"{number}","share":"1/2"}}'
        held[index] = b'%b,"share":"1/2"},%b' % (held[index][:-1], other.encode())
    return held


@lru_cache(maxsize=4)
def _stamp(observed_at: int) -> bytes:
    """The bytes that follow the outcome in every reply of this second."""
    return b'","observed_at":"%b"' % timestamp(observed_at).encode()


_OPENINGS = tuple(b'{"item":%d,' % item for item in range(ITEMS_PREPARED))


def _opening(item: int) -> bytes:
    return _OPENINGS[item] if item < ITEMS_PREPARED else b'{"item":%d,' % item


def _not_found(item: int, observed_at: int) -> bytes:
    return b'%b"outcome":"NOT_FOUND%b}' % (_opening(item), _stamp(observed_at))


_EMPTY_ELEMENTS = EmptyElements(_not_found)


def _details(asset: Asset) -> bytes:
    """An asset as JSON, with a placeholder (of `~`, since `^` is used for numbers) in place of its holders."""
    return _encode(asset).replace(_NO_HOLDERS, b'{"holders":[~~~~~~~~]', 1)


def _refusal(refusal: Refusal, observed_at: int) -> bytes:
    outcome, reason, field, message = refusal
    problem = _encode(Problem(reason=reason, field=field, message=message))
    return b'"outcome":"%b%b,"problem":%b}' % (outcome.encode(), _stamp(observed_at), problem)


JSON = Dialect("application/json", decode, JsonSplicer)

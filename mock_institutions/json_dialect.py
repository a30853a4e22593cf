"""The JSON dialect."""

from datetime import UTC, datetime

import msgspec

from mock_institutions.dialect import (
    ITEMS_PREPARED,
    Batch,
    Dialect,
    Inquiries,
    MalformedError,
    Spliced,
    templates_for,
)
from mock_institutions.records import Asset, InquiryBatch, Problem
from mock_institutions.registry import REFUSALS, Holding, Refusal, Registry

_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(InquiryBatch)

_OPENINGS = tuple(b',{"item":%d,' % item for item in range(ITEMS_PREPARED))
_NO_HOLDERS = b'{"holders":[]'


def timestamp(seconds: int) -> str:
    """RFC 3339, UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def decode(body: bytes) -> Batch:
    """A request."""
    try:
        batch = _decoder.decode(body)
    except msgspec.DecodeError as error:
        # msgspec names the place and what it expected there, never a number or a name.
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
    """Writes the replies of one institution."""

    def __init__(self, registry: Registry) -> None:
        self._find_all = registry.find_all
        self._templates = templates_for(registry, _details)

    def reply(self, request_id: str, inquiries: Inquiries, observed_at: int) -> Spliced:
        """The reply to `inquiries`, the spliced way."""
        stamp = b'","observed_at":"%b"' % timestamp(observed_at).encode()
        not_found = b'"outcome":"NOT_FOUND' + stamp + b"}"
        found = b'"outcome":"FOUND' + stamp + b',"assets":['
        refusals = {refusal: _refusal(refusal, stamp) for refusal in REFUSALS}
        asset = self._asset
        refused: list[int] = []
        parts = [b'{"request_id":', _encode(request_id), b',"replies":[']
        findings = self._find_all(inquiries.subject_types, inquiries.numbers, inquiries.names)
        for row, (item, finding) in enumerate(zip(inquiries.items, findings, strict=True)):
            opening = _OPENINGS[item] if item < ITEMS_PREPARED else b',{"item":%d,' % item
            if not finding:
                parts += (opening, not_found)
            elif isinstance(finding, Refusal):
                parts += (opening, refusals[finding])
                refused.append(row)
            else:
                parts += (opening, found, b",".join(map(asset, finding)), b"]}")
        if findings:
            parts[3] = parts[3].removeprefix(b",")  # the first opening
        parts.append(b"]}")
        return Spliced(b"".join(parts), refused)

    def _asset(self, holding: Holding) -> bytes:
        numbers, variant, holders = holding
        share = b',"share":"1/2"}' if len(holders) == 2 else b"}"
        held_by = b",".join(
            [
                f'{{"name":"{name}","document_type":"{document_type}","document_number":"{number}"'.encode() + share
                for document_type, number, name in holders
            ]
        )
        return self._templates[variant] % (held_by, *numbers)


def _details(asset: Asset) -> bytes:
    """An asset as JSON, with the mark of a number (`^` is taken) where its holders go."""
    return _encode(asset).replace(_NO_HOLDERS, b'{"holders":[~~~~~~~~]', 1)


def _refusal(refusal: Refusal, stamp: bytes) -> bytes:
    outcome, reason, field, message = refusal
    problem = _encode(Problem(reason=reason, field=field, message=message))
    return b'"outcome":"' + outcome.encode() + stamp + b',"problem":' + problem + b"}"


JSON = Dialect("application/json", decode, JsonSplicer)

"""Converts answers between reports, as a broker streams them, and encoded answers by cache key."""

from collections.abc import Iterator, Mapping, Sequence

from benchmarks.baselines.keys import cache_key
from benchmarks.load_generator import LoadResult
from benchmarks.message_buffer import MessageBuffer
from broker.v1 import asset_pb2
from broker.v1 import investigation_pb2 as pb
from mock_institutions.population import Lookup


def keys_of(lookup: Lookup, institutions: Sequence[str]) -> list[str]:
    """The cache key of each of a lookup's inquiries."""
    number = asset_pb2.DocumentType.Value(f"DOCUMENT_TYPE_{lookup.type}")
    return [cache_key(institution, number, lookup.number, lookup.name) for institution in institutions]


def encoded(received: LoadResult, lookups: Sequence[Lookup]) -> dict[str, bytes]:
    """The answers in every message kept, encoded and without their source, by cache key."""
    by_ref = {lookup.ref: lookup for lookup in lookups}
    return {
        key: value
        for body in received.kept
        for report in pb.InvestigateResponse.FromString(body).reports
        for key, value in _of_report(report, by_ref[report.ref])
    }


def _of_report(report: pb.Report, lookup: Lookup) -> Iterator[tuple[str, bytes]]:
    keys = keys_of(lookup, [answer.institution_id for answer in report.answers])
    for key, answer in zip(keys, report.answers, strict=True):
        answer.ClearField("source")
        yield key, answer.SerializeToString()


def received(held: Mapping[str, bytes | None], lookups: Sequence[Lookup], institutions: Sequence[str]) -> LoadResult:
    """The answers held about the lookups as reports of a broker, to be checked. Missing answers are left out."""
    reports = [
        pb.Report(ref=lookup.ref, answers=[pb.Answer.FromString(value) for key in keys if (value := held.get(key))])
        for lookup, keys in ((lookup, keys_of(lookup, institutions)) for lookup in lookups)
    ]
    return LoadResult(
        lookups=len(reports), kept=MessageBuffer([pb.InvestigateResponse(reports=reports).SerializeToString()])
    )

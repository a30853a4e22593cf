"""Reports: answers spliced as bytes and merged in a table, against messages of the generated classes."""

from collections import Counter
from collections.abc import Sequence

from benchmarks.alternatives.alternative import Alternative
from benchmarks.alternatives.sample import BATCH, Sample
from broker.core.planning.merge import AnswerTable
from broker.core.planning.tally import Tally
from broker.core.wire import encoding
from broker.model import CONCLUSIVE, Reply, Source
from broker.v1 import investigation_pb2 as pb

_MESSAGE = 1 << 20  # bytes
_FLAGS = encoding.FINAL + encoding.COMPLETE
_Result = tuple[bytes, dict[tuple[int, int], int]]
"""Encoded responses, joined; how often each institution, by column, gave each outcome."""


class _Misses:
    """One request, all of whose answers come from institutions, one reply after the other."""

    def __init__(self, refs: Sequence[str], institutions: Sequence[str], replies: Sequence[Reply]) -> None:
        self._refs = refs
        self._heads = [encoding.text_field(1, ref) for ref in refs]
        self._replies = list(zip(institutions, replies, strict=True))

    def spliced(self) -> _Result:
        tally = Tally(len(self._replies))
        table = AnswerTable(tally)
        rows = range(len(self._refs))
        table.add([[None] * len(self._replies) for _ in rows], rows)
        writer = encoding.ReportWriter(self._heads)
        out: list[bytes] = []
        for column, (institution, reply) in enumerate(self._replies):
            segments = encoding.make_segments(institution, reply.contents, Source.INSTITUTION)
            outcomes, source = reply.outcomes, Source.INSTITUTION
            whole = table.take(column, rows, segments=segments, outcomes=outcomes, source=source)
            answering, positions = table.answered(whole)
            if table.all_complete:
                out += writer.reports(positions, _FLAGS, list(map(table.body, answering)))
            else:
                flags = [_FLAGS if table.complete(row) else encoding.FINAL for row in answering]
                pairs = zip(answering, positions, flags, strict=True)
                out += [writer.report(position, flag, table.body(row)) for row, position, flag in pairs]
        counted = tally.counts[:, Source.INSTITUTION]
        counts = {
            (int(column), int(outcome)): int(counted[column, outcome])
            for column, outcome in zip(*counted.nonzero(), strict=True)
        }
        return b"".join(encoding.messages(out, _MESSAGE)), counts

    def built(self) -> _Result:
        response = pb.InvestigateResponse()
        reports = [response.reports.add(ref=ref, position=place) for place, ref in enumerate(self._refs)]
        awaited = [len(self._replies)] * len(reports)
        inconclusive: set[int] = set()
        counts: Counter[tuple[int, int]] = Counter()
        for column, (institution, reply) in enumerate(self._replies):
            for row, (outcome, content) in enumerate(zip(reply.outcomes, reply.contents, strict=True)):
                answer = reports[row].answers.add(institution_id=institution, source=pb.SOURCE_INSTITUTION)
                answer.MergeFromString(content)
                if outcome not in CONCLUSIVE:
                    inconclusive.add(row)
                awaited[row] -= 1
                if not awaited[row]:
                    reports[row].final = True
                    reports[row].complete = row not in inconclusive
            counts.update((column, outcome) for outcome in reply.outcomes)
        return response.SerializeToString(), dict(counts)


class _Hits:
    """One request, all of whose answers are held, as a cache keeps them: encoded."""

    def __init__(self, refs: Sequence[str], bodies: Sequence[bytes]) -> None:
        self._refs = refs
        self._heads = [encoding.text_field(1, ref) for ref in refs]
        self._bodies = bodies

    def spliced(self) -> _Result:
        reports = encoding.ReportWriter(self._heads).reports(range(len(self._refs)), _FLAGS, self._bodies)
        return b"".join(encoding.messages(reports, _MESSAGE)), {}

    def built(self) -> _Result:
        response = pb.InvestigateResponse()
        for position, (ref, body) in enumerate(zip(self._refs, self._bodies, strict=True)):
            response.reports.add(ref=ref, position=position, final=True, complete=True).MergeFromString(body)
        return response.SerializeToString(), {}


def alternatives(sample: Sample) -> list[Alternative]:
    """Responses to requests of 1,000 lookups, four institutions each."""
    refs = [[pb.Lookup.FromString(lookup).ref for lookup in lookups] for lookups in sample.lookups]
    institutions = [spec.id for spec in sample.specs]
    misses = [_Misses(names, institutions, replies) for names, replies in zip(refs, sample.replies, strict=True)]
    hits = [_Hits(names, _held(institutions, replies)) for names, replies in zip(refs, sample.replies, strict=True)]
    return [
        _alternative("report what institutions replied", "add to Report messages, SerializeToString", misses),
        _alternative("report what the cache holds", "merge into Report messages, SerializeToString", hits),
    ]


def _alternative(task: str, library_way: str, requests: Sequence[_Misses | _Hits]) -> Alternative:
    return Alternative(
        part="core.wire.encoding, core.planning.merge",
        task=task,
        unit="lookup",
        count=BATCH * len(requests),
        library_way=library_way,
        prepare=lambda _: requests,
        ours=lambda requests: [request.spliced() for request in requests],
        library=lambda requests: [request.built() for request in requests],
        same=_same,
    )


def _held(institutions: Sequence[str], replies: Sequence[Reply]) -> list[bytes]:
    """The answers about each subject, as they are held."""
    columns = [
        encoding.make_segments(institution, reply.contents, Source.CACHE)
        for institution, reply in zip(institutions, replies, strict=True)
    ]
    return [b"".join(segments) for segments in zip(*columns, strict=True)]


def _same(ours: Sequence[_Result], library: Sequence[_Result]) -> bool:
    parse = pb.InvestigateResponse.FromString
    return [(parse(data), counts) for data, counts in ours] == [(parse(data), counts) for data, counts in library]

"""What a broker records of requests, compared with what it has told its callers."""

from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import grpc
import pytest

from broker.audit.entry import Admitted, Ended, decode_entry
from broker.audit.keys import load_keys
from broker.audit.material import Inquired, answer_columns, decode_blocks, decode_inquired
from broker.audit.verification.expectations import Expectations
from broker.audit.verification.verify import keys_beside, logs_in, verify
from broker.model import SubjectType
from broker.v1 import investigation_pb2 as pb
from tests.end_to_end.audit_records import Record, records
from tests.end_to_end.testbed import TIMED_OUT, Reports, Testbed, as_message, asking, person, sample, with_testbed

Told = Counter[tuple[int, str, int, int, int]]
"""Position, institution, outcome, time and source of answers."""


def recorded(inquired: Inquired, content: bytes) -> Told:
    told: Told = Counter()
    for column in answer_columns(decode_blocks(content)):
        institution = inquired.institutions[column.column]
        for position, outcome, time in zip(column.positions, column.outcomes, column.observed, strict=True):
            told[int(position), institution, int(outcome), int(time), column.source] += 1
    return told


def told(said: Reports) -> Told:
    return Counter(
        (report.position, answer.institution_id, answer.outcome, answer.observed_at.seconds, answer.source)
        for report in said.reports
        for answer in report.answers
        if answer.institution_id
    )


def requests(found: list[Record]) -> Iterator[tuple[Admitted, Inquired, Ended, bytes]]:
    """The admitted requests, each with its end."""
    ends = {record.entry.admitted: record for record in found if isinstance(record.entry, Ended)}
    for index, (entry, content) in enumerate(found):
        if isinstance(entry, Admitted):
            end = ends[index]
            assert isinstance(end.entry, Ended)
            yield entry, decode_inquired(content), end.entry, end.content


def test_what_is_recorded_is_what_was_asked_and_told(tmp_path: Path) -> None:
    lookups = sample(300, mix="all")
    wrong = person("wrong", "张三", "110105194912310021")
    asked = [
        asking(lookups[:200], request_id="first"),
        asking([*map(as_message, lookups), wrong], request_id="partly cached", delivery=pb.DELIVERY_INCREMENTAL),
        asking(lookups[:50], request_id="one institution", institution_ids=["mock-bank"]),
        asking(lookups[:200], request_id="cached"),
    ]

    async def scenario(opened: Testbed) -> list[Reports]:
        return [await opened.ask(request) for request in asked]

    said = with_testbed(tmp_path, scenario)
    found = list(requests(records(tmp_path)))
    assert [admitted.request_id for admitted, *_ in found] == [request.request_id for request in asked]
    for request, reports, (admitted, inquired, ended, content) in zip(asked, said, found, strict=True):
        assert recorded(inquired, content) == told(reports)
        assert admitted.lookups == len(request.lookups) == len(inquired.commitments) // 16
        assert admitted.request_sha256 == sha256(request.SerializeToString()).hexdigest()
        assert (admitted.court, admitted.officer) == (request.mandate.court_code, request.mandate.officer)
        assert (ended.status, ended.reports) == ("OK", len(request.lookups))
        assert sum(ended.outcomes.values()) == sum(recorded(inquired, content).values())
    assert {source for *_, source in told(said[1])} == {pb.SOURCE_CACHE, pb.SOURCE_INSTITUTION}


@pytest.mark.parametrize("delivery", [pb.DELIVERY_COMPLETE, pb.DELIVERY_INCREMENTAL])
def test_what_was_told_of_a_subject_that_a_request_repeats_is_recorded_of_each_lookup(
    tmp_path: Path, delivery: pb.Delivery
) -> None:
    lookups = [as_message(lookup) for lookup in sample(30, mix="all")]

    async def scenario(opened: Testbed) -> list[Reports]:
        await opened.ask(asking(lookups[:10], institution_ids=["mock-bank"]))
        partly = asking([*lookups, *lookups[5:15], *lookups[12:]], delivery=delivery)
        return [await opened.ask(partly), await opened.ask(partly)]

    said = with_testbed(tmp_path, scenario)
    _, *found = requests(records(tmp_path))
    for reports, (_, inquired, ended, content) in zip(said, found, strict=True):
        assert recorded(inquired, content) == told(reports)
        assert sum(ended.outcomes.values()) == told(reports).total()
    logs = logs_in([tmp_path / "audit"])
    assert verify(logs, keys_beside(logs), Expectations(), load_keys(tmp_path / "audit.key")).faults == ()


def test_the_digest_of_a_reply_is_of_the_bytes_that_came_without_the_summary(tmp_path: Path) -> None:
    lookups = sample(1_500)
    asked = [
        asking(lookups, delivery=pb.DELIVERY_INCREMENTAL),
        asking(lookups),  # cached, in several messages
        asking(lookups[:3]),
    ]

    async def reply(opened: Testbed, request: pb.InvestigateRequest) -> list[bytes]:
        call = opened.channel.unary_stream("/broker.v1.InvestigationService/Investigate")
        return [message async for message in call(request.SerializeToString())]

    async def scenario(opened: Testbed) -> list[list[bytes]]:
        return [await reply(opened, request) for request in asked]

    replies = with_testbed(tmp_path, scenario)
    assert [len(messages) > 1 for messages in replies] == [True, True, False]
    for messages, (_, _, ended, _) in zip(replies, requests(records(tmp_path)), strict=True):
        summary = pb.InvestigateResponse(summary=pb.InvestigateResponse.FromString(messages[-1]).summary)
        assert ended.reply_sha256 == sha256(b"".join(messages).removesuffix(summary.SerializeToString())).hexdigest()


def test_the_same_subject_has_the_same_commitment_in_every_request(tmp_path: Path) -> None:
    lookups = sample(40)

    async def scenario(opened: Testbed) -> None:
        await opened.ask(asking(lookups))
        await opened.ask(asking(lookups[7:8]))

    with_testbed(tmp_path, scenario)
    (_, many, *_), (_, one, *_) = requests(records(tmp_path))
    assert many.positions(one.commitments) == [7]


def test_a_subject_is_found_by_its_standard_spelling_however_it_was_typeset(tmp_path: Path) -> None:
    plain = [lookup for lookup in sample(40) if len(lookup.name) == 3][:3]
    typeset = [lookup._replace(name=" ".join(lookup.name)) for lookup in plain]

    async def scenario(opened: Testbed) -> None:
        await opened.ask(asking([*sample(30, rng_seed=2), *typeset]))
        await opened.ask(asking(typeset[:1]))

    with_testbed(tmp_path, scenario)
    keyer = load_keys(tmp_path / "audit.key").keyer()
    of_plain = [keyer.keys([SubjectType.RESIDENT_ID], [lookup.number], [lookup.name])[0] for lookup in plain]
    (_, many, *_), (_, one, *_) = requests(records(tmp_path))
    assert [many.positions(each) for each in of_plain] == [[30], [31], [32]]
    assert [one.positions(each) for each in of_plain] == [[0], [], []]


def test_a_receipt_proves_its_entry(tmp_path: Path) -> None:
    async def scenario(opened: Testbed) -> pb.Receipt:
        return (await opened.ask(asking(sample(3)))).summary.receipt

    receipt = with_testbed(tmp_path, scenario)
    ended = decode_entry(receipt.entry)
    assert isinstance(ended, Ended)
    assert ended.outcomes
    assert receipt.log == "broker.localhost/audit/worker-0"
    assert receipt.proof.startswith("c2sp.org/tlog-proof@v1\n")
    assert f"index {receipt.index}\n" in receipt.proof
    assert records(tmp_path)[receipt.index].entry == ended


def test_requests_that_end_early_are_recorded_with_what_was_known(tmp_path: Path) -> None:
    async def scenario(opened: Testbed) -> None:
        lookups = sample(20)
        await opened.ask(asking(lookups[:10]))
        await opened.faults("mock-bank", hang=1)
        said = await opened.ask_until_deadline(asking(lookups, request_id="late"), answered=20)
        assert said.outcomes()[TIMED_OUT] == 10
        call = opened.investigate(asking(lookups, request_id="left", delivery=pb.DELIVERY_INCREMENTAL))
        await call.read()
        call.cancel()
        await opened.is_idle()

    with_testbed(tmp_path, scenario)
    by_id: dict[str, Any] = {
        admitted.request_id: (inquired, ended, content)
        for admitted, inquired, ended, content in requests(records(tmp_path))
    }
    inquired, ended, content = by_id["late"]
    outcomes = Counter(outcome for _, _, outcome, _, _ in recorded(inquired, content).elements())
    assert outcomes[TIMED_OUT] == 10
    _, ended, _ = by_id["left"]
    assert ended.status == "CANCELLED"


def test_after_a_write_has_failed_nothing_is_asked_and_health_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    async def scenario(opened: Testbed) -> None:
        lookups = sample(4)
        await opened.ask(asking(lookups))
        asked = (await opened.stats())["inquiries"]
        monkeypatch.setattr("broker.audit.journal.Journal.write", full)
        refused = await opened.refusal(asking(lookups))
        assert refused.code() is grpc.StatusCode.UNAVAILABLE
        assert "cannot record" in (refused.details() or "")
        while await opened.health() == 1:
            pass
        assert (await opened.stats())["inquiries"] == asked
        async with opened.http.get(f"http://{opened.addresses.metrics}/healthz") as response:
            assert (response.status, await response.json()) == (503, {"status": "not recording"})

    with_testbed(tmp_path, scenario)


def test_nothing_in_the_folder_shows_a_subject(tmp_path: Path) -> None:
    lookups = sample(30, mix="all")

    async def scenario(opened: Testbed) -> None:
        await opened.ask(asking(lookups))

    with_testbed(tmp_path, scenario)
    written = b"".join(path.read_bytes() for path in (tmp_path / "audit").rglob("*") if path.is_file())
    for lookup in lookups:
        assert lookup.number.encode() not in written
        assert not lookup.name or lookup.name.encode() not in written

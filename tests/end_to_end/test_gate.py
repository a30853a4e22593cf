"""Who gets in: every refusal over real connections, and that each is told, recorded, and asks nobody."""

import struct
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.rpc import error_details_pb2

from broker.access.identity import uri_of
from broker.access.signed_request import (
    INVESTIGATE_PATH,
    KEY_METADATA,
    SIGNATURE_METADATA,
    digest_of,
    encoded_key,
    statement,
)
from broker.access_section import AccessConfig
from broker.audit.entry import Admitted, Refused
from broker.certs.authority import Authority, Issued, now_utc
from broker.tls_section import TlsConfig
from broker.v1 import investigation_pb2 as pb
from tests.end_to_end.audit_records import records
from tests.end_to_end.testbed import INVALID, Testbed, asking, details, open_channel, open_testbed, person, run, sample

NOW = now_utc()
DAY = timedelta(days=1)
AUTHORITY = Authority.create("authority", NOW - 5 * DAY)
SERVER = AUTHORITY.issue_server("broker", ["localhost", "127.0.0.1"], NOW, DAY)
GATEWAY = AUTHORITY.issue_client("gateway", [uri_of("court", code) for code in ("沪0101", "沪0102")], NOW, DAY)
OTHER = AUTHORITY.issue_client("other", [uri_of("court", "京0101")], NOW, DAY)
NOBODY = AUTHORITY.issue_client("nobody", [], NOW, DAY)
POLICY = """
[[rule]]
name = "the courts of Pudong"
courts = ["沪0101"]
officers = ["王法官"]
kinds = ["bank", "vehicle", "securities"]
lookups = ["person"]
quotas = {case = 5}
"""
ALLOWED = ["mock-bank", "mock-vehicle", "mock-securities"]


def credentials(caller: Issued) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(AUTHORITY.certificate, caller.key, caller.certificate)


def write(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    path.chmod(0o600)
    return str(path)


def with_gate(folder: Path, scenario: Callable[[Testbed], Awaitable[None]], policy: str = POLICY) -> None:
    tls = TlsConfig(
        certificate=write(folder / "certificate", SERVER.certificate),
        key=write(folder / "key", SERVER.key),
        client_ca=write(folder / "client_ca", AUTHORITY.certificate),
        revoked=write(folder / "revoked", b""),
    )
    access = AccessConfig(policy=write(folder / "policy", policy.encode()), quotas=str(folder / "quotas"))

    async def main() -> None:
        opened = open_testbed(folder, tls=tls, access=access, credentials=credentials(GATEWAY))
        async with opened as testbed:
            await scenario(testbed)

    run(main)


def allowed(**fields: Any) -> pb.InvestigateRequest:
    """A request that the policy allows, but for these fields."""
    return asking(fields.pop("lookups", sample(2)), **{"institution_ids": ALLOWED, **fields})


def info(error: grpc.aio.AioRpcError) -> error_details_pb2.ErrorInfo:
    found = error_details_pb2.ErrorInfo()
    assert details(error)[0].Unpack(found)
    return found


async def refused_at_last(opened: Testbed) -> grpc.aio.AioRpcError:
    """Asks until it is refused."""
    while True:
        try:
            await opened.ask(allowed())
        except grpc.aio.AioRpcError as error:
            return error


REFUSALS = {
    "another court": (allowed(court="沪0102"), "mandate.court_code"),
    "a court of another region": (allowed(court="京0101"), "mandate.court_code"),
    "another kind": (asking(sample(2)), "kinds"),
    "properties": (allowed(lookups=sample(40, mix="all")), "lookups"),
}


@pytest.mark.parametrize(("request_", "field"), REFUSALS.values(), ids=REFUSALS.keys())
def test_what_the_policy_does_not_allow_is_refused_and_recorded_and_nobody_is_asked(
    tmp_path: Path, request_: pb.InvestigateRequest, field: str
) -> None:
    async def scenario(opened: Testbed) -> None:
        error = await opened.refusal(request_)
        assert error.code() is grpc.StatusCode.PERMISSION_DENIED
        assert "rule 'the courts of Pudong'" in (error.details() or "")
        assert info(error).reason == "NOT_ALLOWED"
        assert info(error).metadata["field"] == field
        assert (await opened.stats())["inquiries"] == 0

    with_gate(tmp_path, scenario)
    entry = records(tmp_path)[-1].entry
    assert isinstance(entry, Refused)
    assert (entry.status, entry.rule) == ("PERMISSION_DENIED", "the courts of Pudong")
    assert entry.court == request_.mandate.court_code


def test_a_lookup_that_says_nothing_is_invalid_by_itself_whatever_the_policy_allows(tmp_path: Path) -> None:
    async def scenario(opened: Testbed) -> None:
        said = await opened.ask(allowed(lookups=[*sample(2), pb.Lookup(ref="of nothing")]))
        assert said.outcomes()[INVALID] == 1

    with_gate(tmp_path, scenario)


def test_another_officer_is_refused(tmp_path: Path) -> None:
    async def scenario(opened: Testbed) -> None:
        request = allowed()
        request.mandate.officer = "李法官"
        error = await opened.refusal(request)
        assert (error.code(), info(error).metadata["field"]) == (grpc.StatusCode.PERMISSION_DENIED, "mandate.officer")

    with_gate(tmp_path, scenario)


def test_a_caller_no_rule_is_about_is_refused_and_so_is_a_certificate_that_names_nobody(tmp_path: Path) -> None:
    async def scenario(opened: Testbed) -> None:
        for caller, code in ((OTHER, "PERMISSION_DENIED"), (NOBODY, "UNAUTHENTICATED")):
            async with open_channel(opened.addresses.grpc, credentials(caller)) as channel:
                as_caller = replace(opened, channel=channel)
                assert (await as_caller.refusal(allowed())).code().name == code
                with pytest.raises(grpc.aio.AioRpcError) as error:
                    await as_caller.service.ListInstitutions(pb.ListInstitutionsRequest())
                assert error.value.code().name == code

    with_gate(tmp_path, scenario)
    refused = [record.entry for record in records(tmp_path) if isinstance(record.entry, Refused)]
    assert [(entry.method, entry.status) for entry in refused] == [
        ("Investigate", "PERMISSION_DENIED"),
        ("ListInstitutions", "PERMISSION_DENIED"),
        ("Investigate", "UNAUTHENTICATED"),
        ("ListInstitutions", "UNAUTHENTICATED"),
    ]
    assert refused[0].speaks_for == ("京0101",)
    assert len(refused[0].certificate) == 64


def test_a_revoked_certificate_loses_its_rights_on_the_open_connection(tmp_path: Path) -> None:
    async def scenario(opened: Testbed) -> None:
        await opened.ask(allowed())
        fingerprint = records(tmp_path)[1].entry
        assert isinstance(fingerprint, Admitted)
        (tmp_path / "revoked.new").write_text(f"{fingerprint.certificate}\n")
        (tmp_path / "revoked.new").rename(tmp_path / "revoked")
        error = await refused_at_last(opened)
        assert (error.code(), info(error).reason) == (grpc.StatusCode.UNAUTHENTICATED, "REVOKED")
        refused = records(tmp_path)[-1].entry
        assert isinstance(refused, Refused)
        assert (refused.certificate, refused.speaks_for) == (fingerprint.certificate, ("沪0101", "沪0102"))

    with_gate(tmp_path, scenario)


def test_a_quota_counts_subjects_once_holds_for_cached_answers_and_names_itself(tmp_path: Path) -> None:
    lookups = sample(6)

    async def scenario(opened: Testbed) -> None:
        for _ in range(3):
            await opened.ask(allowed(lookups=[*lookups[:5], person("wrong", "张三", "110105194912310021")]))
        asked = (await opened.stats())["inquiries"]
        error = await opened.refusal(allowed(lookups=lookups))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert info(error).metadata["quota"] == "case"
        assert "5 distinct subjects" in (error.details() or "")
        assert (await opened.stats())["inquiries"] == asked

    with_gate(tmp_path, scenario)
    assert isinstance(records(tmp_path)[-1].entry, Refused)


def test_a_refusal_shows_no_subject(tmp_path: Path) -> None:
    lookups = sample(3)

    async def scenario(opened: Testbed) -> None:
        error = await opened.refusal(allowed(lookups=lookups, court="沪0102"))
        shown = f"{error.details()} {error.trailing_metadata()}"
        assert not any(lookup.number in shown or lookup.name in shown for lookup in lookups)

    with_gate(tmp_path, scenario)


# --- signed requests --------------------------------------------------------------------------------------------------

OFFICERS_KEY = Ed25519PrivateKey.generate()
OTHER_KEY = Ed25519PrivateKey.generate()
SIGNED = f"""
[[rule]]
name = "signed"
courts = ["沪0101"]
signature = "required"

[[key]]
name = "officer"
public_key = "{encoded_key(OFFICERS_KEY.public_key().public_bytes_raw())}"
courts = ["沪0101"]
officers = ["王法官"]
"""


def signed(body: bytes, key: Ed25519PrivateKey, *, age: int = 0) -> tuple[tuple[str, str | bytes], ...]:
    """The metadata of a signed request."""
    public, at = key.public_key().public_bytes_raw(), int(time.time()) - age
    value = struct.pack(">Q", at) + key.sign(statement(INVESTIGATE_PATH, public, at, digest_of(body)))
    return (KEY_METADATA, encoded_key(public)), (SIGNATURE_METADATA, value)


async def answer_to(opened: Testbed, request: pb.InvestigateRequest, metadata: Any) -> str:
    """OK, or status and reason of the refusal."""
    try:
        async for _ in opened.service.Investigate(request, metadata=metadata):
            pass
    except grpc.aio.AioRpcError as error:
        return f"{error.code().name} {info(error).reason}"
    return "OK"


def test_a_signature_is_of_these_bytes_this_officer_and_this_moment_and_is_recorded(tmp_path: Path) -> None:
    request, altered, other = asking(sample(2)), asking(sample(3)), asking(sample(2))
    other.mandate.officer = "李法官"
    body = request.SerializeToString()

    async def scenario(opened: Testbed) -> None:
        assert await answer_to(opened, request, signed(body, OFFICERS_KEY)) == "OK"
        assert await answer_to(opened, request, ()) == "UNAUTHENTICATED NO_SIGNATURE"
        assert await answer_to(opened, altered, signed(body, OFFICERS_KEY)) == "UNAUTHENTICATED BAD_SIGNATURE"
        assert await answer_to(opened, request, signed(body, OFFICERS_KEY)[:1]) == "UNAUTHENTICATED INCOMPLETE"
        assert await answer_to(opened, request, signed(body, OTHER_KEY)) == "UNAUTHENTICATED UNKNOWN_KEY"
        assert await answer_to(opened, request, signed(body, OFFICERS_KEY, age=1_000)) == "UNAUTHENTICATED WRONG_TIME"
        signed_other = signed(other.SerializeToString(), OFFICERS_KEY)
        assert await answer_to(opened, other, signed_other) == "UNAUTHENTICATED WRONG_OFFICER"

    with_gate(tmp_path, scenario, SIGNED)
    _, admitted, _, *refused = [record.entry for record in records(tmp_path)]
    assert isinstance(admitted, Admitted)
    assert admitted.signature is not None
    assert admitted.signature.key == encoded_key(OFFICERS_KEY.public_key().public_bytes_raw())
    assert [entry.reason for entry in refused if isinstance(entry, Refused)] == [
        "NO_SIGNATURE",
        "BAD_SIGNATURE",
        "INCOMPLETE",
        "UNKNOWN_KEY",
        "WRONG_TIME",
        "WRONG_OFFICER",
    ]


@pytest.mark.parametrize("order", [1, -1])
def test_the_rule_that_allows_the_lookups_says_whether_they_must_be_signed(tmp_path: Path, order: int) -> None:
    rules = [
        '[[rule]]\nname = "things"\ncourts = ["沪0101"]\nlookups = ["property"]',
        '[[rule]]\nname = "persons"\ncourts = ["沪0101"]\nlookups = ["person"]\nsignature = "required"',
    ]
    persons, things = asking(sample(2)), asking([pb.Lookup(ref="1", property=pb.Property(vehicle_plate="沪A12345"))])

    async def scenario(opened: Testbed) -> None:
        assert await answer_to(opened, persons, ()) == "UNAUTHENTICATED NO_SIGNATURE"
        assert (await opened.stats())["inquiries"] == 0
        assert await answer_to(opened, things, ()) == "OK"

    key = SIGNED[SIGNED.index("[[key]]") :]
    with_gate(tmp_path, scenario, "\n".join([*rules[::order], key]))

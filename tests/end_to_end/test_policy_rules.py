"""Every key of a rule, tried from outside: callers with certificates of their own, over mutual TLS, to one broker."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import grpc

from broker.access.identity import uri_of
from broker.access.rule_block import RuleBlock
from broker.certificate import read_chain
from broker.certs.authority import Issued
from broker.v1 import investigation_pb2 as pb
from tests.end_to_end.test_gate import AUTHORITY, DAY, NOW, credentials, info, with_gate
from tests.end_to_end.testbed import Testbed, asking, open_channel, sample


def certified(*names: str) -> Issued:
    """A certificate of names such as court:京 or operator:me."""
    return AUTHORITY.issue_client("caller", [uri_of(*name.split(":")) for name in names], NOW, DAY)


OPERATOR, GATEWAY = certified("operator:me"), certified("court:豫")
IMPOSTOR = certified("court:豫")
POLICY = f"""
[[rule]]
name = "levels"
courts = ["京*"]
levels = ["basic"]
regions = ["national"]

[[rule]]
name = "itself"
courts = ["苏"]
officers = ["王*"]

[[rule]]
name = "delegation"
courts = ["浙"]
delegation = true
kinds = ["bank"]

[[rule]]
name = "behalf"
courts = ["皖"]
on_behalf_of = ["闽01*"]
lookups = ["person"]

[[rule]]
name = "methods"
operators = ["me"]
on_behalf_of = ["*"]
methods = ["ListInstitutions"]

[[rule]]
name = "fingerprints"
fingerprints = ["{read_chain(GATEWAY.certificate)[0].fingerprint}"]

[[rule]]
name = "signature"
courts = ["赣"]
signature = "required"

[[rule]]
name = "quotas"
courts = ["湘*"]
quotas = {{case = 4, case_per_day = 3, officer_per_day = 5, court_per_day = 7}}

[[key]]
name = "of nobody here"
public_key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
courts = ["*"]
"""
PERSONS = sample(8)
NATIONAL = ["mock-bank", "mock-vehicle", "mock-securities", "mock-real-estate"]


class Attempt(NamedTuple):
    """A request, and how it ends."""

    caller: Issued
    court: str
    ends: str
    """OK, or the status and what the refusal names."""
    institutions: tuple[str, ...] = ()
    persons: tuple[int, ...] = (0,)
    """Numbers of the subjects."""
    officer: str = "王法官"
    case: int = 1

    def request(self) -> pb.InvestigateRequest:
        lookups = [PERSONS[number] for number in self.persons]
        request = asking(lookups, court=self.court, institution_ids=self.institutions)
        request.mandate.officer = self.officer
        request.mandate.case_number = f"（2026）{self.court}执{self.case}号"
        return request


BEIJING, SOUTH = certified("court:京0101", "court:京01", "court:京"), certified("court:湘01", "court:湘02")
COURT, OFFICER, KINDS, IDS = "mandate.court_code", "mandate.officer", "kinds", "institution_ids"
ATTEMPTS = [
    Attempt(BEIJING, "京0101", "OK", institutions=tuple(NATIONAL)),
    Attempt(BEIJING, "京0101", f"levels {IDS}"),
    Attempt(BEIJING, "京01", f"levels {COURT}"),
    Attempt(BEIJING, "京0102", f"levels {COURT}"),
    Attempt(certified("court:苏"), "苏", "OK"),
    Attempt(certified("court:苏"), "苏", f"itself {OFFICER}", officer="李法官"),
    Attempt(certified("court:苏"), "苏01", f"itself {COURT}"),
    Attempt(certified("court:苏01"), "苏01", " "),
    Attempt(certified("court:浙"), "浙0101", "OK", institutions=("mock-bank",)),
    Attempt(certified("court:浙"), "浙0101", f"delegation {KINDS}"),
    Attempt(certified("court:浙"), "沪0101", f"delegation {COURT}"),
    Attempt(certified("court:皖"), "皖", "OK"),
    Attempt(certified("court:皖"), "闽0102", "OK"),
    Attempt(certified("court:皖"), "闽", f"behalf {COURT}"),
    Attempt(certified("court:皖"), "闽0201", f"behalf {COURT}"),
    Attempt(OPERATOR, "京0101", "methods method"),
    Attempt(GATEWAY, "豫", "OK"),
    Attempt(IMPOSTOR, "豫", " "),
    Attempt(certified("court:赣"), "赣", "NO_SIGNATURE"),
    Attempt(SOUTH, "湘01", "OK", persons=(0, 1, 2)),
    Attempt(SOUTH, "湘01", "OK", persons=(2, 1, 0)),
    Attempt(SOUTH, "湘01", "quota case_per_day", persons=(3,)),
    Attempt(SOUTH, "湘01", "quota case", persons=(0, 1, 2, 3, 4)),
    Attempt(SOUTH, "湘01", "OK", persons=(3, 4), case=2),
    Attempt(SOUTH, "湘01", "quota officer_per_day", persons=(5,), case=3),
    Attempt(SOUTH, "湘01", "OK", persons=(5, 6), case=3, officer="李法官"),
    Attempt(SOUTH, "湘01", "quota court_per_day", persons=(7,), case=4, officer="张法官"),
    Attempt(SOUTH, "湘02", "OK", persons=(7,), case=4, officer="张法官"),
]


async def outcome(opened: Testbed, attempt: Attempt) -> str:
    async with open_channel(opened.addresses.grpc, credentials(attempt.caller)) as channel:
        try:
            await replace(opened, channel=channel).ask(attempt.request())
        except grpc.aio.AioRpcError as error:
            return named(error)
    return "OK"


def named(error: grpc.aio.AioRpcError) -> str:
    """What a refusal names. It never names a subject."""
    assert not any(person.number in str(error) or person.name in str(error) for person in PERSONS)
    match error.code():
        case grpc.StatusCode.PERMISSION_DENIED:
            return f"{info(error).metadata['rule']} {info(error).metadata['field']}"
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            return f"quota {info(error).metadata['quota']}"
        case _:
            return str(info(error).reason)


def test_each_key_of_a_rule_holds_over_real_connections(tmp_path: Path) -> None:
    async def scenario(opened: Testbed) -> None:
        ends = [await outcome(opened, attempt) for attempt in ATTEMPTS]
        assert ends == [attempt.ends for attempt in ATTEMPTS]

    with_gate(tmp_path, scenario, POLICY)


def test_no_key_is_left_out() -> None:
    assert [key for key in RuleBlock.__struct_fields__ if f"\n{key} = " not in POLICY] == []

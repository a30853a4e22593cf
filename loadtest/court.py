"""A court of the load test: sends one request, and measures the time to the first and to the last report."""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import grpc

from broker.v1 import asset_pb2, inquiry_pb2
from broker.v1 import investigation_pb2 as pb
from loadtest.outcome import FACTS, Check, Verdict, judge
from mock_institutions.population import Lookup

CODES = ("最高法", "沪", "京01", "京0101")
"""Courts of the four levels; two of them in the region of the regional mock bank."""

_SERVICE = "/broker.v1.InvestigationService/"


@dataclass(frozen=True, slots=True)
class Timing:
    """Times of one request, in seconds from its start."""

    first: float
    """Until the first message with a report."""
    last: float
    """Until the end of the stream."""
    size: int
    """Bytes received."""


def mandate(code: str) -> inquiry_pb2.Mandate:
    """The mandate of a court with that code."""
    return inquiry_pb2.Mandate(
        court_code=code, officer="负载测试", case_number=f"（2026）{code}执1号", legal_document="协助执行通知书"
    )


def request(code: str, lookups: Sequence[Lookup]) -> pb.InvestigateRequest:
    """Lookups of persons and organisations under a court's mandate."""
    return pb.InvestigateRequest(mandate=mandate(code), lookups=[_lookup(one) for one in lookups])


def _lookup(one: Lookup) -> pb.Lookup:
    if one.type == "ORGANIZATION_CODE":
        return pb.Lookup(ref=one.ref, organization=pb.Organization(name=one.name, code=one.number))
    document_type: Any = asset_pb2.DocumentType.Value(f"DOCUMENT_TYPE_{one.type}")
    return pb.Lookup(
        ref=one.ref, person=pb.Person(name=one.name, document_type=document_type, document_number=one.number)
    )


class Court:
    """Asks one broker. State: the institutions that have to answer, as the broker listed them when first asked."""

    def __init__(
        self,
        channel: grpc.Channel,
        *,
        code: str,
        check: Check,
        timeout: float = 30.0,
        allowed: Collection[str] = FACTS,
    ) -> None:
        """`check`: of which answers are right. `timeout`: of a request, in seconds. `allowed`: outcomes that may be."""
        self._investigate = channel.unary_stream(
            f"{_SERVICE}Investigate",
            request_serializer=pb.InvestigateRequest.SerializeToString,
            response_deserializer=pb.InvestigateResponse.FromString,
        )
        self._list = channel.unary_unary(
            f"{_SERVICE}ListInstitutions",
            request_serializer=pb.ListInstitutionsRequest.SerializeToString,
            response_deserializer=pb.ListInstitutionsResponse.FromString,
        )
        self._code = code
        self._check = check
        self._timeout = timeout
        self._allowed = allowed
        self._expected: frozenset[str] | None = None

    def institutions(self) -> frozenset[str]:
        """The ids of the institutions that this court can reach. Raises `grpc.RpcError`."""
        if self._expected is None:
            listed = self._list(pb.ListInstitutionsRequest(court_code=self._code), timeout=self._timeout)
            self._expected = frozenset(one.id for one in listed.institutions)
        return self._expected

    def ask(self, lookups: Sequence[Lookup]) -> tuple[Timing, Verdict]:
        """Sends one request and judges what comes back. Raises `grpc.RpcError`."""
        expected = self.institutions()
        began = time.perf_counter()
        first = None
        size = 0
        reports: list[pb.Report] = []
        call = self._investigate(request(self._code, lookups), timeout=self._timeout)
        try:
            for response in call:
                if first is None and response.reports:
                    first = time.perf_counter() - began
                size += response.ByteSize()
                reports.extend(response.reports)
        finally:
            call.cancel()
        last = time.perf_counter() - began
        verdict = judge(lookups, reports, expected, self._check, self._allowed)
        return Timing(last if first is None else first, last, size), verdict

"""A court of the load test: sends batches, measures the time to first and last report, and checks every answer."""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grpc

from broker.v1 import asset_pb2, inquiry_pb2
from broker.v1 import investigation_pb2 as pb
from mock_institutions import config
from mock_institutions.population import Lookup, Population
from mock_institutions.protobuf_dialect import fill

METHOD = "/broker.v1.InvestigationService/Investigate"
CODES = ("最高法", "沪", "京01", "京0101")
"""Courts of the four levels; two of them in the region of the regional mock bank."""

_TIMEOUT = 30.0  # s; what a court system would allow an interactive request
_FACTS = (inquiry_pb2.OUTCOME_FOUND, inquiry_pb2.OUTCOME_NOT_FOUND)


class WrongAnswerError(Exception):
    """An answer is wrong. The message names the ref and the institution, never the subject."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Times of one request, in seconds from its start."""

    first: float
    last: float
    size: int
    """Bytes received."""
    inquiries: int


def mandate(code: str) -> inquiry_pb2.Mandate:
    """The mandate of a court with that code."""
    return inquiry_pb2.Mandate(
        court_code=code, officer="负载测试", case_number=f"（2026）{code}执1号", legal_document="协助执行通知书"
    )


def request(code: str, lookups: Sequence[Lookup]) -> pb.InvestigateRequest:
    """Person lookups under a court's mandate."""
    return pb.InvestigateRequest(
        mandate=mandate(code),
        lookups=[
            pb.Lookup(
                ref=lookup.ref,
                person=pb.Person(
                    name=lookup.name,
                    document_type=asset_pb2.DOCUMENT_TYPE_RESIDENT_ID,
                    document_number=lookup.number,
                ),
            )
            for lookup in lookups
        ],
    )


class Court:
    """Asks one broker, and recomputes its answers from the mocks' seed."""

    def __init__(self, channel: grpc.Channel, *, code: str, seed: int) -> None:
        self._investigate = channel.unary_stream(
            METHOD,
            request_serializer=pb.InvestigateRequest.SerializeToString,
            response_deserializer=pb.InvestigateResponse.FromString,
        )
        self._code = code
        self._population = Population(seed)
        self._institutions = {one.id: one.institution for one in config.load().institutions}

    def ask(self, lookups: Sequence[Lookup]) -> Timing:
        """Sends one request and checks what comes back. Raises `grpc.RpcError` or `WrongAnswerError`."""
        began = time.perf_counter()
        first = None
        size = 0
        reports: list[pb.Report] = []
        summary = pb.Summary()
        call = self._investigate(request(self._code, lookups), timeout=_TIMEOUT)
        try:
            for response in call:
                first = first or time.perf_counter() - began
                size += response.ByteSize()
                reports.extend(response.reports)
                summary = response.summary
        finally:
            call.cancel()
        last = time.perf_counter() - began
        self._check(lookups, reports)
        return Timing(first or last, last, size, summary.inquiries)

    def _check(self, lookups: Sequence[Lookup], reports: Sequence[pb.Report]) -> None:
        if sorted(report.position for report in reports) != list(range(len(lookups))):
            msg = f"{len(lookups)} lookups, {len(reports)} reports"
            raise WrongAnswerError(msg)
        for report in reports:
            for answer in report.answers:
                self._check_answer(lookups[report.position], answer)

    def _check_answer(self, lookup: Lookup, answer: Any) -> None:
        if answer.outcome not in _FACTS:
            return  # a failure of the institution, reported as such: not a wrong answer
        institution = self._institutions[answer.institution_id]
        truth = self._population.answer(institution, lookup.type, lookup.number, lookup.name)
        expected = pb.Answer()
        fill(expected, truth)
        if answer.outcome != expected.outcome or list(answer.assets) != list(expected.assets):
            msg = f"the answer of {answer.institution_id} to {lookup.ref} is wrong"
            raise WrongAnswerError(msg)


class DebtorSampler:
    """Draws the persons a court asks about: some again and again, the others once."""

    def __init__(self, seed: int, *, known: int, draw: random.Random) -> None:
        self._population = Population(seed)
        self._known = list(self._population.sample(known, rng_seed=seed, mix="persons"))
        self._draw = draw

    def known(self, count: int) -> list[Lookup]:
        """Persons drawn from a fixed set, most of them asked about before."""
        return self._draw.sample(self._known, count)

    def new(self, count: int) -> list[Lookup]:
        """Persons drawn from the whole population, hardly any of them asked about before."""
        return list(self._population.sample(count, rng_seed=self._draw.getrandbits(62), mix="persons"))

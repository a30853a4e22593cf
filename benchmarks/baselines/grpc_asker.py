"""Asks a broker, this one or a straightforward one, over the courts' contract, and checks all its answers."""

import time
from collections.abc import Iterator, Sequence
from functools import partial

import uvloop

from benchmarks.answer_check import AnswerChecker
from benchmarks.baselines.run import Run
from benchmarks.hits import ReferenceReplies
from benchmarks.load_generator import Keep, LoadResult, run_load
from benchmarks.message_buffer import MessageBuffer

_CAPACITY = 64 * 1024 * 1024  # bytes for replies: more than those to the default sample take


class GrpcAsker:
    """Sends encoded requests to one broker."""

    def __init__(self, address: str, checker: AnswerChecker, *, institutions: int, streams: int) -> None:
        self._run_load = partial(run_load, address, streams=streams)
        self._checker = checker
        self._institutions = institutions
        self._references = ReferenceReplies()

    def receive(self, bodies: Iterator[bytes]) -> LoadResult:
        """Sends all requests, and returns all replies."""
        return uvloop.run(self._run_load(bodies))

    def ask(self, bodies: Iterator[bytes]) -> Run:
        """Sends all requests; then every answer is recomputed."""
        return self._run(bodies, lambda *_: True)

    def learn(self, bodies: Sequence[bytes]) -> Run:
        """The same, and keeps the reply to each request as the reference of `ask_again`."""
        return self._run(iter(bodies), self._references.learn)

    def ask_again(self, bodies: Iterator[bytes]) -> Run:
        """Repeats requests. Replies are compared with their references, and recomputed if they differ."""
        return self._run(bodies, self._references.differs)

    def _run(self, bodies: Iterator[bytes], keep: Keep) -> Run:
        buffer = MessageBuffer(capacity=_CAPACITY)
        began = time.perf_counter()
        received = uvloop.run(self._run_load(bodies, keep=keep, buffer=buffer))
        seconds = time.perf_counter() - began
        check = self._checker.check(received.kept)
        unreported = received.lookups - received.discarded - check.reports
        return Run(
            inquiries=received.inquiries - received.unanswered,
            seconds=seconds,
            lost=unreported * self._institutions + received.unanswered,
            checked=check.checked + received.discarded * self._institutions,
            wrong=check.wrong,
        )

"""Asks a broker, ours or the straightforward one, over the courts' contract, and checks everything it says."""

import time
from collections.abc import Iterator, Sequence
from functools import partial

import uvloop

from benchmarks.hits import References
from benchmarks.peers.run import Run
from benchmarks.shelf import Shelf
from benchmarks.traffic import Checker, Keep, Received, drive

_ROOM = 64 * 1024 * 1024  # bytes for replies: more than those to the default sample take


class GrpcAsker:
    """Puts encoded requests to one broker."""

    def __init__(self, address: str, checker: Checker, *, institutions: int, streams: int) -> None:
        self._drive = partial(drive, address, streams=streams)
        self._checker = checker
        self._institutions = institutions
        self._references = References()

    def receive(self, bodies: Iterator[bytes]) -> Received:
        """What it says, all of it."""
        return uvloop.run(self._drive(bodies))

    def ask(self, bodies: Iterator[bytes]) -> Run:
        """Asks until there is nothing left to ask; then every answer is recomputed."""
        return self._run(bodies, lambda *_: True)

    def learn(self, bodies: Sequence[bytes]) -> Run:
        """The same, and remembers what it says to each request: the references of `ask_again`."""
        return self._run(iter(bodies), self._references.learn)

    def ask_again(self, bodies: Iterator[bytes]) -> Run:
        """Asks what it was asked before. Replies are compared with their references, and recomputed if they differ."""
        return self._run(bodies, self._references.differ)

    def _run(self, bodies: Iterator[bytes], keep: Keep) -> Run:
        shelf = Shelf(room=_ROOM)
        began = time.perf_counter()
        received = uvloop.run(self._drive(bodies, keep=keep, shelf=shelf))
        seconds = time.perf_counter() - began
        verdict = self._checker.check(received)
        unreported = received.lookups - received.spared - verdict.reports
        return Run(
            inquiries=received.inquiries - received.unanswered,
            seconds=seconds,
            lost=unreported * self._institutions + received.unanswered,
            checked=verdict.checked + received.spared * self._institutions,
            wrong=verdict.wrong,
        )

"""CPU cost of each step of a hit and of a miss, on one core with nothing else running.

    python -m benchmarks.steps [--subjects 20000] [--rounds 40]

In one process, without gRPC and HTTP, on batches of 1,000 lookups and four institutions. Each step is repeated and the
fastest round counts, since slower ones measure the machine's other tenants. Microseconds per lookup for the steps of a
hit, per inquiry for those of a miss.
"""

import json
import os
import tempfile
import time
import timeit
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import click

from benchmarks.load_generator import requests, sample
from benchmarks.output import print_result
from benchmarks.sample_exchange import columns_of, decoded_reply, mock_reply, question_of
from benchmarks.testbed import FOUR
from broker.config import load
from broker.core.planning.freshness import Freshness
from broker.core.planning.plan import Lines, plan
from broker.core.planning.selection import select
from broker.core.planning.tally import Tally
from broker.core.subjects.key import Keyer
from broker.core.subjects.plain_lookups import FORMS, find_plain
from broker.core.wire import encoding
from broker.core.wire.record import institution_key
from broker.institutions.dialects import DIALECTS
from broker.model import InstitutionSpec, Outcome, Reply, Source
from broker.serving import contract
from broker.serving.lookups import read_lookups
from broker.store.base import Statements
from broker.store.lmdb_store import LmdbStore

_BATCH = 1000
_TTL = 86_400


class StepTimer:
    """Times steps, and keeps the cost of each in microseconds."""

    def __init__(self, rounds: int) -> None:
        self._rounds = rounds
        self.costs: dict[str, float] = {}

    def step(self, name: str, per: int, function: Callable[[], Any]) -> Any:
        """Times a step; its cost is that of the fastest round, divided by `per`. Returns what the step returns."""
        self.costs[name] = min(timeit.repeat(function, number=1, repeat=self._rounds)) / per * 1e6
        return function()


@click.command(help=__doc__)
@click.option("--subjects", default=20_000, show_default=True, help="Records in the store.")
@click.option("--rounds", default=40, show_default=True)
@click.option("--seed", default=1, show_default=True)
def main(*, subjects: int, rounds: int, seed: int) -> None:
    """Run the benchmark."""
    specs = [spec for spec in load(dialects=frozenset(DIALECTS)).institutions if spec.id in FOUR]
    bodies = requests(sample(seed, subjects), _BATCH)
    keyer = Keyer(b"k" * 32)
    hit, miss = StepTimer(rounds), StepTimer(rounds)
    with tempfile.TemporaryDirectory(prefix="broker-benchmark-") as folder:
        store = LmdbStore(Path(folder) / "cache", master_keys=(os.urandom(32),), map_size=1 << 34, clock=time.time)
        for body in bodies:
            for statements in _answers(body, specs, keyer, seed):
                store.put_many(statements)
        store.flush()
        _time_hit(hit, bodies[0], specs, keyer, store)
        _time_store(miss, bodies[0], specs, keyer, store, seed)
        store.close()
    for spec in specs:
        for name in DIALECTS:
            _time_dialect(miss, name, spec, bodies[0], seed)
    rows = {f"hit: {name}": f"{cost:.2f} µs per lookup" for name, cost in hit.costs.items()}
    rows |= {"hit: all": f"{sum(hit.costs.values()):.2f} µs per lookup"}
    rows |= {f"miss: {name}": f"{cost:.2f} µs per inquiry" for name, cost in miss.costs.items()}
    result = {"benchmark": "steps", "hit_us_per_lookup": hit.costs, "miss_us_per_inquiry": miss.costs}
    print_result("Cost by step", rows, json.loads(json.dumps(result), parse_float=lambda text: round(float(text), 3)))


def _time_hit(timer: StepTimer, body: bytes, specs: Sequence[InstitutionSpec], keyer: Keyer, store: LmdbStore) -> None:
    today, now = date.today(), int(time.time())  # noqa: DTZ011 - only birth dates are compared with it
    request, lookups = timer.step(
        "split and check the request", _BATCH, lambda: contract.read_request(body, max_lookups=_BATCH)
    )
    selection = select(specs, request.mandate.court)
    plain = timer.step("read and check the lookups", _BATCH, lambda: find_plain(lookups, FORMS[0], today=today))
    timer.step("key", _BATCH, lambda: keyer.keys_of(plain.messages))
    columns = read_lookups(lookups, keyer, today=today)
    keys = columns.keys
    records = timer.step("read and open the records", _BATCH, lambda: store.get_many(keys))
    choices = [selection.choices[subject_type] for subject_type in columns.types]
    lines = Lines(keys, records, choices)
    planned = timer.step("plan", _BATCH, lambda: plan(lines, {}, Freshness(now, 0)))
    tally = Tally(len(specs))
    timer.step("count", _BATCH, lambda: tally.add_rows(planned.outcomes, Source.CACHE))
    writer = encoding.ReportWriter(columns.heads)
    flags = encoding.FINAL + encoding.COMPLETE
    reports = timer.step("write the reports", _BATCH, lambda: writer.reports(planned.hits, flags, planned.bodies))
    timer.step("join the message", _BATCH, lambda: list(encoding.messages(reports, 1 << 20)))


def _time_dialect(timer: StepTimer, name: str, spec: InstitutionSpec, body: bytes, seed: int) -> None:
    dialect = DIALECTS[name]
    question = question_of(body, spec)
    size = len(question.subjects)
    sent = timer.step(f"{name} to {spec.id}: encode", size, lambda: dialect.encode(question))
    received = mock_reply(name, spec, sent, seed)
    timer.step(
        f"{name} to {spec.id}: decode",
        size,
        lambda: dialect.decode(received, question, kind=spec.kind, now=int(time.time())),
    )


def _time_store(
    timer: StepTimer, body: bytes, specs: Sequence[InstitutionSpec], keyer: Keyer, store: LmdbStore, seed: int
) -> None:
    answers = _answers(body, specs, keyer, seed)

    def put() -> None:
        for statements in answers:
            store.put_many(statements)

    def put_and_commit() -> None:
        put()
        store.flush()

    timer.step("store: put and commit, over what is there", _BATCH * len(specs), put_and_commit)


def _answers(body: bytes, specs: Sequence[InstitutionSpec], keyer: Keyer, seed: int) -> list[Statements]:
    """The institutions' answers to the lookups of one request, ready for the store."""
    keys = columns_of(body, keyer).keys
    return [_statements(spec, keys, decoded_reply(spec, body, seed)) for spec in specs]


def _statements(spec: InstitutionSpec, keys: Sequence[bytes], reply: Reply) -> Statements:
    facts = [index for index, outcome in enumerate(reply.outcomes) if outcome in (Outcome.FOUND, Outcome.NOT_FOUND)]
    return Statements(
        institution=institution_key(spec.id),
        keys=keys,
        outcomes=reply.outcomes,
        observed=reply.observed_at,
        expires=[at + _TTL for at in reply.observed_at],
        segments=encoding.make_segments(spec.id, reply.contents, Source.INSTITUTION),
    ).pick(facts)


if __name__ == "__main__":
    main()

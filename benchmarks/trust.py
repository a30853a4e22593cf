"""What trust costs: a broker with mutual TLS, policy, quotas and audit log beside one without, in turns.

    python -m benchmarks.trust [--rounds 5] [--seconds 3] [--subjects 100000] [--misses 20000] [--singles 100]
    python -m benchmarks.trust --audit-only

Two brokers run at the same time, each with mocks of its own, and only one is asked at a time. In each round both answer
the same requests: persons from the cache, persons nobody has asked about, and single cached lookups, one after the
other over one connection. Which of the two begins alternates. Ratios are medians of the rounds' ratios.

Every answer to a miss is recomputed from the mocks' seed, and those from the cache once before the measurement. At the
end the logs of the trusted broker are verified with their key; they must have each request, with its end.
"""

import os
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from statistics import median
from typing import NamedTuple

import click
import grpc

from benchmarks import trusted_broker
from benchmarks.answer_check import AnswerChecker, CheckResult, add_up
from benchmarks.hits import repeated
from benchmarks.load_generator import METHOD, OFFICER, open_channel, requests, run_load, sample, uvloop_runner
from benchmarks.output import print_result, progress
from benchmarks.resource_meter import ResourceMeter
from benchmarks.testbed import FOUR, Testbed, open_testbed, with_audit_log
from broker.audit.keys import load_keys
from broker.audit.verification.expectations import LogKeys, read_expectations
from broker.audit.verification.verify import keys_beside, logs_in, verify

_BATCH = 1_000
_STREAMS = 8
_FSYNCS = 200
_PAGE = 4_096


class Rate(NamedTuple):
    """What one turn came to."""

    per_second: float
    """Inquiries."""
    cpu: float
    """µs of the broker's processes per inquiry."""


@dataclass
class Turns:
    """One of the two brokers. State: what its turns came to."""

    name: str
    testbed: Testbed
    credentials: grpc.ChannelCredentials | None
    hits: list[Rate] = field(default_factory=list)
    misses: list[Rate] = field(default_factory=list)
    singles: list[list[float]] = field(default_factory=list)
    """Seconds of each request, by round."""
    requests: int = 0
    lost: int = 0
    checks: list[CheckResult] = field(default_factory=list)

    async def load(self, bodies: Iterator[bytes], *, keep: bool) -> tuple[Rate, Sequence[bytes]]:
        """Sends requests as fast as they are answered."""
        sent = 0

        def counted() -> Iterator[bytes]:
            nonlocal sent
            for body in bodies:
                sent += 1
                yield body

        with ResourceMeter(self.testbed) as meter:
            result = await run_load(
                self.testbed.address,
                counted(),
                streams=_STREAMS,
                keep=lambda *_: keep,
                credentials=self.credentials,
            )
        self.requests += sent
        self.lost += sent * _BATCH - result.lookups
        rate = Rate(result.inquiries / meter.seconds, meter.broker_cpu / max(1, result.inquiries) * 1e6)
        return rate, list(result.kept)

    async def ask_singles(self, bodies: Sequence[bytes]) -> None:
        """Sends one request after the other, over one connection."""
        times = []
        async with open_channel(self.testbed.address, self.credentials) as channel:
            call = channel.unary_stream(METHOD)
            for body in [bodies[0], *bodies]:  # the first makes the connection
                began = time.perf_counter()
                async for _ in call(body):
                    pass
                times.append(time.perf_counter() - began)
        self.requests += len(times)
        self.singles.append(times[1:])


@click.command(help=__doc__)
@click.option("--rounds", default=5, show_default=True, help="Turns of each broker.")
@click.option("--seconds", default=3.0, show_default=True, help="Duration of a turn with cached persons.")
@click.option("--subjects", default=100_000, show_default=True, help="Different persons in the cache.")
@click.option("--misses", default=20_000, show_default=True, help="Persons of a turn that nobody has asked about.")
@click.option("--singles", default=100, show_default=True, help="Single lookups of a turn.")
@click.option("--audit-only", is_flag=True, help="The trusted broker has the audit log alone.")
@click.option("--seed", default=1, show_default=True)
def main(  # noqa: PLR0913 - one for each option
    *, rounds: int, seconds: float, subjects: int, misses: int, singles: int, audit_only: bool, seed: int
) -> None:
    """Run the benchmark."""
    lookups = sample(seed, subjects + rounds * misses)
    cached, new = lookups[:subjects], lookups[subjects:]
    configure = with_audit_log if audit_only else partial(trusted_broker.configure, officer=OFFICER)
    with (
        open_testbed(seed=seed) as plain_testbed,
        open_testbed(seed=seed, configure=configure) as trusted_testbed,
        uvloop_runner() as runner,
        progress() as bar,
    ):
        credentials = None if audit_only else trusted_broker.credentials(trusted_testbed.folder)
        off, on = Turns("off", plain_testbed, None), Turns("on", trusted_testbed, credentials)
        checker = AnswerChecker(seed, lookups, FOUR)
        task = bar.add_task("filling the caches", total=2 + 6 * rounds)
        bodies = requests(cached, _BATCH)
        for turns in (off, on):
            _, kept = runner.run(turns.load(iter(bodies), keep=True))
            turns.checks.append(checker.check(kept))
            bar.advance(task)
        for number in range(rounds):
            order = (off, on) if number % 2 else (on, off)
            part = requests(new[number * misses : (number + 1) * misses], _BATCH)
            one = requests(random.Random(number).sample(cached, singles), 1)
            for turns in order:
                bar.update(task, description=f"round {number + 1}: cached, {turns.name}")
                turns.hits.append(runner.run(turns.load(repeated(bodies, seconds, number), keep=False))[0])
                bar.advance(task)
            for turns in order:
                bar.update(task, description=f"round {number + 1}: missed, {turns.name}")
                rate, kept = runner.run(turns.load(iter(part), keep=True))
                turns.misses.append(rate)
                turns.checks.append(checker.check(kept))
                bar.advance(task)
            for turns in order:
                bar.update(task, description=f"round {number + 1}: single, {turns.name}")
                runner.run(turns.ask_singles(one))
                bar.advance(task)
        fsync = fsync_p50(on.testbed.folder)
        record = check_record(on.testbed.folder)
    _print(off, on, fsync, record)


def fsync_p50(folder: Path) -> float:
    """Median seconds of appending a page to a file and synchronising it, on the disk of a folder."""
    times = []
    with (folder / "fsync").open("wb", buffering=0) as file:
        for _ in range(_FSYNCS):
            began = time.perf_counter()
            file.write(bytes(_PAGE))
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - began)
    return median(times)


class RecordCheck(NamedTuple):
    """What the logs of the trusted broker have, once it has stopped to write."""

    admitted: int
    unended: int
    inquiries: int
    faults: int
    """Whatever `broker audit verify` finds wrong, with the key."""


def check_record(folder: Path) -> RecordCheck:
    """Verifies the logs in a folder."""
    logs = logs_in([folder / "audit"])
    keys = keys_beside(logs)
    report = verify(logs, keys, read_expectations([], LogKeys(keys)), load_keys(folder / "audit.key"))
    counts = [log.counts for log in report.logs]
    return RecordCheck(
        sum(one.admitted for one in counts), sum(one.unended for one in counts), report.inquiries, len(report.faults)
    )


def _ratio(off: Sequence[float], on: Sequence[float]) -> float:
    return median(b / a for a, b in zip(off, on, strict=True))


def _print(off: Turns, on: Turns, fsync: float, record: RecordCheck) -> None:
    hits, misses = (
        _ratio([one.per_second for one in before], [one.per_second for one in after])
        for before, after in ((off.hits, on.hits), (off.misses, on.misses))
    )
    singles = [median(chain.from_iterable(turns.singles)) * 1e3 for turns in (off, on)]
    check = add_up(off.checks + on.checks)
    rows = {
        "cached, inquiries/s": _figures(off.hits, on.hits, hits),
        "missed, inquiries/s": _figures(off.misses, on.misses, misses),
        "single cached lookup, p50": f"off {singles[0]:.2f} ms, on {singles[1]:.2f} ms",
        "fdatasync of 4 KiB, p50": f"{fsync * 1e3:.3f} ms",
        "broker CPU per cached inquiry": _costs(off.hits, on.hits),
        "broker CPU per missed inquiry": _costs(off.misses, on.misses),
        "requests recorded": f"{record.admitted:,} of {on.requests:,}, {record.unended} without an end,"
        f" {record.inquiries:,} inquiries, {record.faults} faults",
        "wrong answers": f"{check.wrong} of {check.checked:,} checked",
        "lost": str(off.lost + on.lost),
    }
    json_result: dict[str, object] = {
        "benchmark": "trust",
        "hits_ratio": round(hits, 3),
        "misses_ratio": round(misses, 3),
        "single_p50_added_ms": round(singles[1] - singles[0], 3),
        "fsync_p50_ms": round(fsync * 1e3, 3),
        "unrecorded": on.requests - record.admitted + record.unended,
        "audit_faults": record.faults,
        "wrong_answers": check.wrong,
        "answers_checked": check.checked,
        "lost": off.lost + on.lost,
    }
    print_result("Mutual TLS, policy, quotas and audit log, on and off in turns", rows, json_result)


def _figures(off: Sequence[Rate], on: Sequence[Rate], ratio: float) -> str:
    before, after = (median(one.per_second for one in rates) for rates in (off, on))
    return f"off {before:,.0f}, on {after:,.0f}: {ratio:.2f}"


def _costs(off: Sequence[Rate], on: Sequence[Rate]) -> str:
    before, after = (median(one.cpu for one in rates) for rates in (off, on))
    return f"off {before:.2f} µs, on {after:.2f} µs"


if __name__ == "__main__":
    main()

"""What the audit log costs a worker, and how fast it is verified.

    python -m benchmarks.audit [--requests 2000] [--single-requests 20000]

Requests are recorded as a broker does it, an admission and an end with their material, about 1,000 lookups or about
one, at four institutions, twenty of them at a time. CPU time is that of the process, per entry: sealing, hashes,
signatures and writing included. Then the log is verified without and with the key, in one process.

Entries of one request at a time say what a caller waits for, besides the disk.
"""

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np

from benchmarks.output import print_json
from broker.audit.entry import Admitted, Ended
from broker.audit.keys import AuditKeys, load_keys
from broker.audit.log import AuditLog
from broker.audit.material import HitsBlock, Inquired, Piece, encode_blocks
from broker.audit.verification.expectations import Expectations
from broker.audit.verification.verify import keys_beside, logs_in, verify
from broker.core.wire.record import heads_of
from broker.model import Outcome

_INSTITUTIONS = ("bank", "real-estate", "securities", "vehicle")
_AT_A_TIME = 20
_ALONE = 500  # requests
_ORIGIN = "benchmark.example/audit/worker-0"


class RecordedRequest:
    """A request about so many lookups, as it is recorded."""

    def __init__(self, lookups: int) -> None:
        heads = np.zeros(lookups, heads_of(len(_INSTITUTIONS)))
        heads["outcomes"] = Outcome.NOT_FOUND
        columns = tuple(range(len(_INSTITUTIONS)))
        block = HitsBlock(columns, np.arange(lookups, dtype=np.uint32), heads.tobytes())
        self.answers: Sequence[Piece] = encode_blocks([block])
        self.inquired = Inquired(_INSTITUTIONS, os.urandom(16 * lookups)).encode()
        self.inquiries = lookups * len(_INSTITUTIONS)
        self.admission = Admitted(
            method="Investigate",
            certificate="ab" * 32,
            court="京0101",
            officer="王法官",
            case_number="（2026）京0101执1号",
            legal_document="协助查询通知书1号",
            request_id="01234567-89ab-cdef-0123-456789abcdef",
            lookups=lookups,
            institutions=len(_INSTITUTIONS),
            request_sha256="cd" * 32,
        )

    async def record(self, log: AuditLog) -> None:
        """Records its admission and its end."""
        admitted = await log.append(self.admission, self.inquired, proof=False)
        counts = {"NOT_FOUND": self.inquiries}
        ended = Ended(
            admitted=admitted.index, reply_sha256="ef" * 32, outcomes=counts, sources={"CACHE": self.inquiries}
        )
        await log.append(ended, self.answers)


async def _record(log: AuditLog, request: RecordedRequest, count: int) -> float:
    """Records a request so many times. Returns microseconds of CPU time per entry."""

    async def some() -> None:
        for _ in range(count // _AT_A_TIME):
            await request.record(log)

    began = time.process_time()
    await asyncio.gather(*(some() for _ in range(_AT_A_TIME)))
    return (time.process_time() - began) / (2 * count) * 1e6


async def _wait_alone(log: AuditLog, request: RecordedRequest) -> tuple[float, float]:
    """Milliseconds that one entry takes if nobody else records, and those of its write and fdatasync: medians."""
    waited, written = [], []
    for _ in range(_ALONE):
        before, began = log.statistics.commit_seconds, time.perf_counter()
        await request.record(log)
        waited.append((time.perf_counter() - began) / 2 * 1e3)
        written.append((log.statistics.commit_seconds - before) / 2 * 1e3)
    return float(np.median(waited)), float(np.median(written))


def _verify(folder: Path, secrets: AuditKeys | None) -> dict[str, float]:
    logs = logs_in([folder])
    began, cpu = time.perf_counter(), time.process_time()
    report = verify(logs, keys_beside(logs), Expectations(), secrets)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    if report.faults:
        raise click.ClickException(str(report.faults[0]))
    return {
        "inquiries_per_second": round(report.inquiries / seconds),
        "entries_per_second": round(report.entries / seconds),
        "cpu_us_per_entry": round(cpu / report.entries * 1e6, 1),
    }


def _measure(folder: Path, lookups: int, count: int) -> dict[str, object]:
    keys = load_keys(folder / "key", make=True)
    request = RecordedRequest(lookups)

    async def run() -> dict[str, object]:
        log = AuditLog.open(folder / "log", _ORIGIN, keys, version="benchmark")
        try:
            waited, written = await _wait_alone(log, request)
            cpu = await _record(log, request, count)
            statistics = log.statistics
        finally:
            log.close()
        return {
            "append_cpu_us": round(cpu, 1),
            "append_alone_ms": round(waited, 3),
            "write_and_fdatasync_alone_ms": round(written, 3),
            "entries_per_commit": round((statistics.entries - 2 * _ALONE) / max(1, statistics.commits - 2 * _ALONE), 1),
        }

    found = asyncio.run(run())
    return {**found, "verify": _verify(folder / "log", None), "verify_with_key": _verify(folder / "log", keys)}


@click.command()
@click.option("--requests", type=click.IntRange(min=_AT_A_TIME), default=2000, show_default=True)
@click.option("--single-requests", type=click.IntRange(min=_AT_A_TIME), default=20_000, show_default=True)
def main(requests: int, single_requests: int) -> None:
    """Measure what the audit log costs, and how fast it is verified."""
    result: dict[str, object] = {}
    for name, lookups, count in (("batches", 1000, requests), ("single", 1, single_requests)):
        folder = Path(tempfile.mkdtemp(prefix="benchmark-audit-"))
        try:
            result[name] = _measure(folder, lookups, count)
        finally:
            shutil.rmtree(folder)
    print_json(result)


if __name__ == "__main__":
    main()

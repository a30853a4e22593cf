"""What Locust reports: two entries per kind of request, one of them in its totals, and counts from all workers."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

# Locust patches the standard library with gevent when it is imported, which no test of this process should see.
_PROGRAM = """
from locust.env import Environment
from loadtest.court import Timing
from loadtest.outcome import Verdict
from loadtest.statistics import Statistics

worker, master = Environment(), Environment()
worker.create_local_runner()
sent, got = Statistics(worker), Statistics(master)
good, bad = Verdict(), Verdict()
good.count("bank", "FOUND"); good.checked = 1
bad.count("bank", "UNAVAILABLE", "bank: UNAVAILABLE")
sent.answered("1", Timing(0.1, 0.2, 10), good)
sent.answered("1", Timing(0.1, 0.2, 10), bad)
sent.failed("1", 3.0, ValueError("x"))
assert worker.stats.num_requests == 3, worker.stats.num_requests
assert worker.stats.num_failures == 2
first, last = sent.first_reports()["1"], sent.last_reports()["1"]
assert (first.requests, first.failures, last.requests, last.failures) == (3, 2, 3, 2)
assert sorted(str(error.error) for error in worker.stats.errors.values()) == [
    "ValueError", "bank: UNAVAILABLE"
], worker.stats.errors
data = {}
worker.events.report_to_master.fire(client_id="w", data=data)
master.events.worker_report.fire(client_id="w", data=data)
assert dict(got.answers) == {("bank", "FOUND"): 1, ("bank", "UNAVAILABLE"): 1}
assert got.checked == 1
again = {}
worker.events.report_to_master.fire(client_id="w", data=again)
master.events.worker_report.fire(client_id="w", data=again)
assert got.answers.total() == 2
"""


def test_first_and_last_report_are_entries_of_their_own() -> None:
    subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", _PROGRAM], cwd=ROOT, timeout=60, check=True
    )

"""Cost per request of deciding who may ask: the policy, a signature, and quotas of distinct subjects.

    python -m benchmarks.access [--courts 3500] [--rounds 200]

In one process, with nothing else running. The policy has one rule for each court; one caller is a court, one a gateway
for all of them. Quotas are charged with 1,000 subjects and with one, to three scopes: the case, and the days of the
case and the court. "Full" is a quota that has room for no new subject, so that it has to be counted exactly; a million
subjects have been charged to it. Microseconds; the median of all rounds, and the 99th percentile of the charges.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import click
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.output import print_result
from broker.access.court_set import parse_court_set
from broker.access.identity import Identity
from broker.access.policy import INVESTIGATE, Asked, Policy
from broker.access.policy_file import read_policy
from broker.access.quota import Quotas, Scope, scopes
from broker.access.signature import RegisteredKey, verify
from broker.access.signed_request import digest_of
from broker.client.signing import Signer
from broker.core.subjects.court import PROVINCES, parse_court
from broker.core.subjects.mandate import read_mandate
from broker.model import ALL_KINDS
from broker.quotas.quota_store import QuotaStore

_BATCH = 1000
_REQUEST = 70_000  # bytes of a request of 1,000 lookups
_FULL = 1_000_000  # subjects
_OFFICER = "王法官"


class CallTimer:
    """Times calls. State: the costs so far, in microseconds."""

    def __init__(self, rounds: int) -> None:
        self._rounds = rounds
        self.costs: dict[str, float] = {}

    def time(self, name: str, call: Callable[[], object], *, tail: bool = False) -> None:
        """Times a call, many times over."""
        taken = sorted(_timed(call) for _ in range(self._rounds))
        self.costs[name] = statistics.median(taken)
        if tail:
            self.costs[f"{name}, p99"] = taken[len(taken) * 99 // 100]


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1e6


@click.command(help=__doc__)
@click.option("--courts", default=3500, show_default=True, help="Rules of the policy.")
@click.option("--rounds", default=200, show_default=True)
def main(*, courts: int, rounds: int) -> None:
    """Run the benchmark."""
    timer = CallTimer(rounds)
    codes = list(islice(_codes(), courts))
    _time_decisions(timer, read_policy("".join(map(_rule, codes))), codes)
    _time_signature(timer, codes[0])
    with tempfile.TemporaryDirectory(prefix="broker-benchmark-") as folder:
        store = QuotaStore(Path(folder))
        _time_charges(timer, store, codes[0])
        store.close()
    result: dict[str, Any] = {"benchmark": "access", "us": {name: round(cost, 1) for name, cost in timer.costs.items()}}
    print_result("Cost per request", {name: f"{cost:,.1f} µs" for name, cost in timer.costs.items()}, result)


def _codes() -> Iterator[str]:
    """Codes of basic courts."""
    return (f"{region}{one:02}{other:02}" for region in PROVINCES for one in range(1, 13) for other in range(1, 13))


def _rule(code: str) -> str:
    return f'[[rule]]\nname = "{code}"\ncourts = ["{code}"]\nofficers = ["王*"]\nregions = ["national", "{code[0]}"]\n'


def _time_decisions(timer: CallTimer, policy: Policy, codes: Sequence[str]) -> None:
    asked = Asked(
        method=INVESTIGATE,
        court=parse_court(codes[-1]),
        officer=_OFFICER,
        kinds=ALL_KINDS,
        regions=frozenset({None, codes[-1][0]}),
        persons=True,
        properties=True,
    )
    court, gateway = Identity(frozenset({codes[-1]})), Identity(frozenset(codes))
    timer.time("decide: a court, by one rule of all", lambda: policy.decide(court, asked))
    timer.time("decide: a gateway of all courts, by the last of all rules", lambda: policy.decide(gateway, asked))


def _time_signature(timer: CallTimer, code: str) -> None:
    body, mandate = os.urandom(_REQUEST), read_mandate(code, _OFFICER, f"（2026）{code}执1号", "协助查询通知书1号")
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes_raw()
    keys = {public: RegisteredKey(name="key", public=public, courts=parse_court_set(["*"]))}
    signer = Signer(private)
    metadata = signer.sign("/broker.v1.InvestigationService/Investigate", body)
    digest, now = digest_of(body), time.time()
    timer.time("signature: sign, digest included", lambda: signer.sign("/path", body))
    timer.time("signature: digest", lambda: digest_of(body))
    timer.time("signature: verify", lambda: verify(metadata, keys, mandate, digest, now))


def _time_charges(timer: CallTimer, store: QuotaStore, code: str) -> None:
    now = time.time()
    mandate = read_mandate(code, _OFFICER, f"（2026）{code}执1号", "协助查询通知书1号")
    wide = scopes(Quotas(case=1 << 30, case_per_day=1 << 30, court_per_day=1 << 30), mandate, now)
    same, one = os.urandom(16 * _BATCH), os.urandom(16)
    timer.time("charge: 1,000 new subjects", lambda: store.charge(wide, os.urandom(16 * _BATCH), now), tail=True)
    timer.time("charge: 1,000 known subjects", lambda: store.charge(wide, same, now), tail=True)
    timer.time("charge: one subject", lambda: store.charge(wide, one, now), tail=True)
    full = [Scope("case", b"full".ljust(16), _FULL, None)]
    subjects = os.urandom(16 * _FULL)
    store.charge(full, subjects, now)
    known = subjects[: 16 * _BATCH]
    timer.time("charge: 1,000 known subjects, full", lambda: store.charge(full, known, now), tail=True)
    timer.costs["charge: the slowest of 300, after a million subjects"] = _slowest(store, subjects, now)
    timer.time("charge: refused, full", lambda: store.charge(full, same, now), tail=True)


def _slowest(store: QuotaStore, subjects: bytes, now: float) -> float:
    """In microseconds. Once in 256 charges all parts of a scope become one."""
    growing = [Scope("case", b"growing".ljust(16), 1 << 30, None)]
    store.charge(growing, subjects, now)
    return max(_timed(lambda: store.charge(growing, os.urandom(16 * _BATCH), now)) for _ in range(300))


if __name__ == "__main__":
    main()

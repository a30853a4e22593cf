"""Another worker that charges the same quotas: `python -m tests.quotas.charging_process FOLDER`.

It reads a line of JSON for each request, (scopes, subjects, now), and answers with what was exceeded, or null.
"""

import json
import sys
from pathlib import Path

from broker.access.quota import Scope
from broker.quotas.quota_store import QuotaStore


def commitments(subjects: list[int]) -> bytes:
    return b"".join(subject.to_bytes(16, "little") for subject in subjects)


def main(folder: str) -> None:
    store = QuotaStore(Path(folder))
    print("ready", flush=True)  # noqa: T201
    for line in sys.stdin:
        scopes, subjects, now = json.loads(line)
        exceeded = store.charge(
            [Scope(quota, bytes.fromhex(key), limit, day) for quota, key, limit, day in scopes],
            commitments(subjects),
            now,
        )
        print(json.dumps(exceeded and [exceeded.scope.quota, exceeded.used, exceeded.wanted]), flush=True)  # noqa: T201
    store.close()


if __name__ == "__main__":
    main(sys.argv[1])

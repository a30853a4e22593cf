"""A process that records is killed: whatever it was told is recorded is in the log, which goes on."""

import subprocess
import sys
from pathlib import Path

from broker.audit.log import AuditLog
from broker.audit.reading import read_entries
from broker.audit.verification.expectations import Expectations
from broker.audit.verification.folder import LogFolder
from broker.audit.verification.verify import logs_in, verify
from tests.audit.logs import KEYS, ORIGIN, SIGNER, admitted, run

_ROUNDS = 3
_ACKNOWLEDGED = 40


async def _record_for_ever(folder: str) -> None:
    log = AuditLog.open(Path(folder), ORIGIN, KEYS, version="1.0")
    while True:
        recorded = await log.append(admitted(), [bytes(100)])
        print(recorded.index, flush=True)  # noqa: T201 - so the test knows


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    program = f"from tests.audit.test_kill import main; main({str(tmp_path)!r})"
    acknowledged = []
    for _ in range(_ROUNDS):
        with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
            assert process.stdout is not None
            acknowledged += [int(process.stdout.readline()) for _ in range(_ACKNOWLEDGED)]
            process.kill()
            acknowledged += [int(line) for line in process.stdout if line.endswith("\n")]
        AuditLog.open(tmp_path, ORIGIN, KEYS, version="1.0").close()
    recorded = {read.at: read.entry for read in read_entries(LogFolder(tmp_path))}
    assert len(acknowledged) >= _ROUNDS * _ACKNOWLEDGED
    assert all(recorded[index].material for index in acknowledged)
    assert not verify(logs_in([tmp_path]), [SIGNER.key], Expectations(), is_thorough=True).faults


def main(folder: str) -> None:
    """What the process runs that is killed."""
    run(lambda: _record_for_ever(folder))

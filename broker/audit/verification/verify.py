"""Verifies all logs in folders, each by itself and copies of the same one against each other."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from broker.audit.journal import FOLDER
from broker.audit.keys import AuditKeys
from broker.audit.log import VERIFIER_KEY
from broker.audit.tlog.note import VerifierKey, parse_verifier_key
from broker.audit.verification.content_check import MaterialCheck
from broker.audit.verification.expectations import Expectations, LogKeys, read_checkpoint
from broker.audit.verification.faults import AuditFault, FaultKind, difference
from broker.audit.verification.folder import LogFolder, find_logs
from broker.audit.verification.log_check import LogCheck
from broker.audit.verification.report import LogReport
from broker.errors import AuditError


@dataclass(frozen=True, slots=True)
class VerificationReport:
    """What was found out about all logs."""

    logs: tuple[LogReport, ...]
    missing: tuple[AuditFault, ...]
    """Logs of which something was kept, and which are not there."""
    forks: tuple[AuditFault, ...]
    """Copies of one log that differ."""

    @property
    def faults(self) -> tuple[AuditFault, ...]:
        """All of them; first those of the logs, in their order."""
        return (*(fault for log in self.logs for fault in log.faults), *self.missing, *self.forks)

    @property
    def entries(self) -> int:
        """Entries of all logs."""
        return sum(log.counts.entries for log in self.logs)

    @property
    def inquiries(self) -> int:
        """Answers that are recorded."""
        return sum(log.counts.inquiries for log in self.logs)


def logs_in(paths: Sequence[Path]) -> list[LogFolder]:
    """The logs in folders. Raises `AuditError` if there are none in one of them."""
    found = []
    for path in paths:
        logs = find_logs(path)
        if not logs:
            msg = f"{path}: there is no audit log in it; name the folder of audit.path, or one of a log"
            raise AuditError(msg)
        found += logs
    return found


def keys_beside(logs: Sequence[LogFolder]) -> list[VerifierKey]:
    """The keys that lie in the folders. Whoever can change a log can change them as well."""
    keys = []
    for log in logs:
        text = (log.read(VERIFIER_KEY) or b"").decode("utf-8", "replace")
        try:
            keys.append(parse_verifier_key(text))
        except ValueError as error:
            msg = f"{log.path / VERIFIER_KEY} {error}: give the key with --key"
            raise AuditError(msg) from None
    return keys


def read_verifier_keys(path: Path) -> list[VerifierKey]:
    """The keys in a file, one a line. Raises `AuditError`."""
    try:
        return [parse_verifier_key(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        msg = f"{path}: {error.strerror if isinstance(error, OSError) else error}"
        raise AuditError(msg) from None


def journal_bytes(logs: Sequence[LogFolder]) -> int:
    """The size of all journals, for a progress bar."""
    return sum((log.path / FOLDER / name).stat().st_size for log in logs for name in log.names(FOLDER))


def verify(
    logs: Sequence[LogFolder],
    keys: Sequence[VerifierKey],
    expected: Expectations,
    secrets: AuditKeys | None = None,
    *,
    advance: Callable[[int], None] = lambda _: None,
    is_thorough: bool = False,
) -> VerificationReport:
    """Verifies logs.

    `secrets`: to look also into what is sealed. `advance` is told the bytes that were read. `is_thorough`: looks at the
    checkpoint of every commit, and not only at the last ones, which cover all entries.
    """
    ring, sealer = LogKeys(list(keys)), secrets.sealer() if secrets else None
    reports = [
        LogCheck(log, ring, expected, MaterialCheck(sealer), advance=advance, is_thorough=is_thorough).run()
        for log in logs
    ]
    forks = [fork for one, other in combinations(logs, 2) if (fork := _find_fork(one, other, is_older=False))]
    forks += [fork for one in logs for other in expected.copies if (fork := _find_fork(one, other, is_older=True))]
    return VerificationReport(tuple(reports), _find_missing({each.log for each in reports}, expected), tuple(forks))


def _find_missing(verified: set[str], expected: Expectations) -> tuple[AuditFault, ...]:
    """The logs of which something was kept, and none of which was verified: one fault for each."""
    kept = {each.origin: each.known_from for each in expected.roots}
    for copy in expected.copies:
        with suppress(ValueError):
            if found := read_checkpoint(copy):
                kept[found[0].origin] = str(copy.path)
    return tuple(
        AuditFault(origin, None, FaultKind.REMOVED, f"{known_from} is of this log, which is not there")
        for origin, known_from in kept.items()
        if origin not in verified
    )


def _find_fork(one: LogFolder, other: LogFolder, *, is_older: bool) -> AuditFault | None:
    """How a log differs from a copy of it. `is_older`: the copy cannot have more entries."""
    try:
        ours, theirs = read_checkpoint(one), read_checkpoint(other)
    except ValueError:
        return None
    if ours is None or theirs is None or ours[0].origin != theirs[0].origin:
        return None
    origin, size, their_size = ours[0].origin, ours[0].size, theirs[0].size
    shared = min(size, their_size)
    if found := difference(other.leaves(shared), one.leaves(shared)):
        return AuditFault(origin, found[1], FaultKind.FORKED, f"{one.path} and {other.path} have different entries")
    if is_older and size < their_size:
        return AuditFault(origin, size, FaultKind.TRUNCATED, f"{other.path} has {their_size} entries")
    return None

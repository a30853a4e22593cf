"""What was charged to quotas, in one LMDB file that all workers of the host share.

For each scope (a case, or a court's day) there is an upper bound of its distinct subjects, a sorted part that holds
each subject once, and parts that were appended since. While the bound stays within the quota, a request is appended and
nothing is read. Only when the bound would exceed it are the subjects read and counted.

What holds

* A request is charged to all of its scopes in one transaction, or to none of them. So quotas hold across workers.
* What was charged survives the end of the broker, however it ends: `kill -9` included.
* The file is synchronised every second, not at every charge. A power failure may take the charges of the last second;
  it never takes more. If it has damaged the file, the broker does not start and says so: it never forgets silently.
* A quota that cannot be read or written refuses everything that would be charged to it.
* Scopes of past days are deleted after a week, so that a clock that is set back for a moment forgets nothing.
"""

import logging
import struct
import threading
from collections.abc import Sequence
from pathlib import Path

import lmdb

from broker.access.quota import Exceeded, Scope, day_of
from broker.errors import StoreError
from broker.quotas import distinct
from broker.quotas.distinct import Count, Subjects
from broker.store.file_check import Verdict, check_files
from broker.store.folder import Folder
from broker.store.lmdb_check import ENGINE

log = logging.getLogger(__name__)

_MAP_SIZE = 16 << 30  # bytes; the file is sparse. A million subjects take eight megabytes
_MOST_PARTS = 256  # that are read to count; then they become one
_COUNT = struct.Struct("<III?")
_SCOPE = struct.Struct(">I16s")  # day and key; the key of a scope's count. Scopes of one day lie together
_PART = struct.Struct(">I")  # follows it in the key of a part
_BASE = 0  # number of the sorted part
_FOR_EVER = 0  # in place of the day
_KEPT_DAYS = 7
_DELETED_AT_ONCE = 500  # entries: less than a millisecond, in which no other worker can charge
_SYNC_INTERVAL = 1.0  # s
_OPEN_PATIENCE = 60.0  # s; another worker may be checking the file
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class QuotaStore:
    """Charges requests to quotas. State: the open file, a thread that synchronises it, and its failure."""

    def __init__(self, path: Path, *, boot: str | None = None, sync_interval: float = _SYNC_INTERVAL) -> None:
        """Opens or creates the file in folder `path`. Raises `StoreError`, with what to do.

        `boot` identifies the run of the operating system; `sync_interval` is in seconds.
        """
        self._path = path
        self._environment = _opened(path, _BOOT.read_text().strip() if boot is None else boot)
        self._failure: str | None = None
        self._today = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._keep, args=(sync_interval,), name="quotas", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Synchronises the file, and closes it. May be called again."""
        self._stopped.set()
        self._thread.join()
        self._environment.close()

    def charge(self, scopes: Sequence[Scope], commitments: bytes, now: float) -> Exceeded | None:
        """Charges the subjects of a request to its scopes; to none of them if one has no room, which is returned.

        `commitments`: 16 bytes for each lookup. `now`: seconds since the epoch. Raises `StoreError` if the file cannot
        be read or written; then nothing was charged either.
        """
        if not scopes or not commitments:
            return None
        if self._failure is not None:
            raise _unusable(self._path, self._failure)
        self._today = day_of(now)
        wanted = distinct.subjects_of(commitments)
        try:
            with self._environment.begin(write=True, buffers=True) as txn:
                charges = [_Charge(txn, scope) for scope in scopes]
                for charge in charges:
                    if not charge.has_room(wanted):
                        return charge.exceeded()  # what was merged to count is kept
                for charge in charges:
                    charge.append()
        except (lmdb.Error, struct.error, ValueError) as error:
            raise _unusable(self._path, error) from error
        return None

    def _keep(self, interval: float) -> None:
        """Synchronises the file until the store is closed, and deletes what is too old."""
        deleted = 0
        while not self._failure and not self._stopped.wait(interval):
            try:
                self._environment.sync(True)  # noqa: FBT003 - LMDB's own signature
                if deleted < self._today:
                    self._delete_before(self._today - _KEPT_DAYS)
                    deleted = self._today
            except lmdb.Error as error:
                self._failure = str(error)
                log.error("quotas %s: %s; requests that would be charged are refused", self._path, error)
        if not self._failure:
            self._environment.sync(True)  # noqa: FBT003

    def _delete_before(self, day: int) -> None:
        """Deletes the scopes of the days before this one, a few at a time."""
        while not self._stopped.is_set() and self._delete_some(day):
            pass

    def _delete_some(self, day: int) -> bool:
        """Whether there may be more to delete."""
        with self._environment.begin(write=True) as txn:
            cursor = txn.cursor()
            found = cursor.set_range(_SCOPE.pack(_FOR_EVER + 1, b""))
            for _ in range(_DELETED_AT_ONCE):
                if not found or _SCOPE.unpack_from(cursor.key())[0] >= day:
                    return False
                found = cursor.delete()
        return True


class _Charge:
    """One scope within a transaction. State: its count, and what will be appended."""

    def __init__(self, txn: lmdb.Transaction, scope: Scope) -> None:
        self._txn = txn
        self._scope = scope
        self._name = _SCOPE.pack(_FOR_EVER if scope.day is None else scope.day, scope.key)
        written = txn.get(self._name)
        self._count = Count() if written is None else Count(*_COUNT.unpack(written))
        self._added: Subjects = distinct.merged(())
        self._is_new = False

    def has_room(self, wanted: Subjects) -> bool:
        """Whether the quota allows these; to be called once. Counts exactly only if it has to."""
        if self._count.parts >= _MOST_PARTS:
            self._merge()
        self._added = wanted
        if self._count.bound + len(wanted) <= self._scope.limit:
            return True
        if not self._count.exact:
            self._merge()
        parts = [self._read(number) for number in range(1, self._count.parts + 1)]
        self._added = distinct.without(wanted, distinct.merged(parts))
        if self._count.base:
            self._added = distinct.without(self._added, self._read(_BASE))
        self._is_new = True
        return self._count.bound + len(self._added) <= self._scope.limit

    def exceeded(self) -> Exceeded:
        """What to say if there is no room."""
        return Exceeded(self._scope, used=self._count.bound, wanted=len(self._added))

    def append(self) -> None:
        """Charges what there is room for."""
        if len(self._added):
            self._count = self._count.appended(len(self._added), new=self._is_new)
            self._write(self._count.parts, self._added)
            self._write_count()

    def _merge(self) -> None:
        """Makes all parts one, in which each subject is once."""
        first = _BASE if self._count.base else _BASE + 1
        base = distinct.merged([self._read(number) for number in range(first, self._count.parts + 1)])
        self._write(_BASE, base)
        for number in range(1, self._count.parts + 1):
            self._txn.delete(self._name + _PART.pack(number))
        self._count = Count(base=len(base))
        self._write_count()

    def _read(self, number: int) -> Subjects:
        part = self._txn.get(self._name + _PART.pack(number))
        if part is None:
            msg = f"part {number} of a scope is missing"
            raise ValueError(msg)
        return distinct.read(part)

    def _write(self, number: int, subjects: Subjects) -> None:
        self._txn.put(self._name + _PART.pack(number), distinct.write(subjects))

    def _write_count(self) -> None:
        self._txn.put(self._name, _COUNT.pack(*self._count))


def _opened(path: Path, boot: str) -> lmdb.Environment:
    """The open file, which was checked if the operating system was started since. Raises `StoreError`."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder = Folder(path)
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        with folder.exclusive(patience=_OPEN_PATIENCE):
            _check_after_boot(path, boot)
            return lmdb.open(
                str(path),
                map_size=_MAP_SIZE,
                mode=0o600,
                lib_version=ENGINE,
                sync=False,  # and with `meminit`: else pages would hold what was in memory before
            )
    except (lmdb.Error, OSError) as error:
        raise _unusable(path, error) from error
    finally:
        folder.close()


def _check_after_boot(path: Path, boot: str) -> None:
    """Reads the whole file if the operating system was started since it was opened last: by a power failure, perhaps.

    In another process: a damaged file may end the one that reads it.
    """
    mark = path / "boot"
    if mark.exists() and mark.read_text(encoding="ascii") == boot:
        return
    finding = check_files(path, lambda: None)
    if finding.verdict is not Verdict.WHOLE:
        raise _unusable(path, finding.reason)
    mark.write_text(boot, encoding="ascii")


def _unusable(path: Path, reason: object) -> StoreError:
    return StoreError(
        f"quotas {path}: {reason}; nothing is allowed that would be charged. Check that the folder is writable and has"
        " room. If the file is damaged, restore it, or move the folder away: that forgets what has been charged"
    )

"""The LMDB file under the store: opening it, making sure it is ours and whole, setting it aside if it is not.

A cache that cannot be used is renamed, never deleted, and a new one begun: somebody may want to know what happened.
Only what is wrong with the file itself leads there; a folder that cannot be written is the operator's to mend.

The file holds two databases: `records`, the log (store.log), and `meta` with

    format   this module's number
    salt     16 random bytes; the file's encryption key is derived from them and the master key
    check    a known text, sealed: opens only under the right master key
    epoch    counted up durably at each opening; half of every nonce (store.cipher)

Several workers may have the folder open. A lock on the folder itself is the right to write, to begin a file, and to set
one aside; whoever holds it learns whether the folder he has is still the one of that name.
"""

import fcntl
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import lmdb

from broker.errors import StoreError
from broker.store.cipher import Cipher, derive
from broker.store.index import Index
from broker.store.lmdb_check import ENGINE

log = logging.getLogger(__name__)

_FORMAT = b"2"
_CHECK = b"property investigation broker: answers"
# Room kept for deleting, which copies the pages of the tree it takes something from.
_KEPT_SHARE = 1 / 32
_KEPT_LEAST = 1 << 20  # bytes
_NO_FOLDER = -1
_MAX_READERS = 1024  # LMDB's 126 would be used up by dead workers' slots between two checks
DAMAGE = (
    lmdb.InvalidError,
    lmdb.CorruptedError,
    lmdb.VersionMismatchError,
    lmdb.PageNotFoundError,
    lmdb.IncompatibleError,
)
"""What LMDB says of a file that is damaged or not its own."""


class _UnusableError(Exception):
    """The file is readable for LMDB but not for us."""


class StoreFile:
    """An open LMDB environment that is known to be ours, and the index beside it."""

    def __init__(self, path: Path, *, master_key: bytes, map_size: int) -> None:
        """Opens the cache in folder `path`, beginning it if need be.

        Raises `StoreError` when the folder cannot be used at all.
        """
        self.path = path
        self._master_key = master_key
        self._map_size = map_size
        self._folder = _NO_FOLDER
        self.is_open = False
        self.open()

    def close(self) -> None:
        """Lets go of the file. May be called again."""
        if self._folder != _NO_FOLDER:
            if self.is_open:
                self.env.close()
            os.close(self._folder)
        self._folder, self.is_open = _NO_FOLDER, False

    def open(self) -> None:
        """Opens the file, beginning a new one if there is none, or none that can be used. Raises `StoreError`."""
        self.close()
        try:
            try:
                self._enter()
            except (*DAMAGE, _UnusableError):  # it has been set aside
                self._enter()
        except (OSError, lmdb.Error, _UnusableError) as error:
            self.close()
            raise self._unusable(error) from error

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """The right to write, which one worker has at a time."""
        fcntl.flock(self._folder, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._folder, fcntl.LOCK_UN)

    def is_current(self) -> bool:
        """Whether this is still the folder of that name: another worker, or the operator, may have moved it away."""
        try:
            return os.path.samestat(self.path.stat(), os.fstat(self._folder))
        except FileNotFoundError:
            return False

    def set_aside(self, reason: Exception) -> None:
        """Closes the file, which proved damaged in use, and renames it. Raises `StoreError`; may be called again."""
        if self.is_open:
            self.env.close()
            self.is_open = False
        try:
            with self.exclusive():
                self._rename(reason)
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> StoreError:
        return StoreError(f"store {self.path}: {error}; check that the folder is writable and has room")

    def bytes_used(self) -> int:
        """Size of the part of the map in use, free pages within it included."""
        return int(self.env.info()["last_pgno"] + 1) * int(self.env.stat()["psize"])

    def is_full(self, txn: lmdb.Transaction) -> bool:
        """Whether no more may be added. Deleting takes pages too: a file without any left would be full for ever."""
        pages = txn.stat(self.records)
        used = (pages["leaf_pages"] + pages["branch_pages"] + pages["overflow_pages"]) * pages["psize"]
        return bool(used > self._map_size - max(self._map_size * _KEPT_SHARE, _KEPT_LEAST))

    def _enter(self) -> None:
        """Opens the folder and what is in it. Raises what is wrong with it, once it has been set aside for that."""
        while not self.is_open:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.close()
            self._folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
            with self.exclusive():
                if not self.is_current():  # it was set aside while we waited
                    continue
                try:
                    self._open()
                except (*DAMAGE, _UnusableError) as reason:
                    self._rename(reason)
                    raise
                self.is_open = True

    def _open(self) -> None:
        self.env = lmdb.open(
            str(self.path),
            map_size=self._map_size,
            max_dbs=2,
            max_readers=_MAX_READERS,
            mode=0o600,
            lib_version=ENGINE,
            metasync=False,  # after a power failure the last commit may be missing; the one before is whole
            readahead=False,  # access is random: reading ahead would only displace other pages
            meminit=False,
        )
        try:
            self.env.reader_check()
            self._check_length()
            self._open_databases()
        except BaseException:
            self.env.close()
            raise

    def _check_length(self) -> None:
        """A file shorter than its last page would end the process at the first read of what is missing."""
        data = self.path / "data.mdb"
        expected = self.bytes_used()
        if data.stat().st_size >= expected:
            return
        # LMDB leaves a last page unwritten if it was given up before its commit. Only reading everything can tell; and
        # since LMDB ends the process that stumbles over some kinds of damage, another process does it.
        os.truncate(data, expected)
        reading = [sys.executable, "-m", "broker.store.lmdb_check", str(self.path)]
        if subprocess.run(reading, capture_output=True, check=False).returncode:  # noqa: S603 - our own module
            msg = "it was cut short"
            raise _UnusableError(msg)

    def _open_databases(self) -> None:
        # One transaction: what is begun only in part would be taken for somebody else's by the next attempt.
        with self.env.begin(write=True) as txn:
            is_new = self.env.stat()["entries"] == 0  # within: another worker may be beginning the same file
            meta = self.env.open_db(b"meta", txn=txn)
            self.records = self.env.open_db(b"records", txn=txn)
            if is_new:
                txn.put(b"format", _FORMAT, db=meta)
                txn.put(b"salt", os.urandom(16), db=meta)
            elif txn.get(b"format", db=meta) != _FORMAT:
                msg = "it was not written by this version of the broker"
                raise _UnusableError(msg)
            epoch = int.from_bytes(txn.get(b"epoch", b"", db=meta), "big") + 1
            txn.put(b"epoch", epoch.to_bytes(4, "big"), db=meta)
            salt = bytes(txn.get(b"salt", b"", db=meta))
            self.cipher = Cipher(derive(self._master_key, b"records", salt), epoch)
            if is_new:
                txn.put(b"check", self.cipher.seal(b"check", _CHECK), db=meta)
            elif self.cipher.open(b"check", bytes(txn.get(b"check", b"", db=meta))) != _CHECK:
                msg = "it was written under another key"
                raise _UnusableError(msg)
        # The epoch must be durable before the first record is sealed, or its nonces could come twice.
        self.env.sync(True)  # noqa: FBT003 - py-lmdb takes it by position only
        self.index = Index(self.path / "index", store=salt)

    def _rename(self, reason: Exception) -> None:
        if not self.is_current():  # somebody was faster
            return
        stem = f"{self.path.name}.damaged-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}"
        names = (self.path.with_name(f"{stem}-{number}") for number in count(1))
        aside = next(name for name in names if not name.exists())
        self.path.rename(aside)
        log.error("store %s cannot be used: %s; kept as %s, beginning a new one", self.path, reason, aside.name)

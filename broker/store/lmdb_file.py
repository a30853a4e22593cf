"""Opens the LMDB file of a store, checks that it is undamaged and belongs to it, and sets it aside otherwise.

A file that cannot be used is set aside with its folder (store.folder), and a new one created. That is done only if
something is wrong with the file itself; a folder that cannot be written to is reported to the operator.

The file holds two databases: `records`, the log (store.log), and `meta` with

    format   this module's number
    salt     16 random bytes; the file's encryption keys are derived from them and the master keys
    check    a known text, sealed: it can be opened only with the right master key, or one that was right before
"""

import os
import time
from collections.abc import Sequence
from pathlib import Path

import lmdb

from broker.errors import StoreError
from broker.store.base import ProgressCallback, no_progress
from broker.store.cipher import Cipher, derive
from broker.store.file_check import Verdict, check_files
from broker.store.folder import DAMAGED, OTHER_KEY, Folder, LockWait
from broker.store.index import Index
from broker.store.key_mark import mark_key
from broker.store.lmdb_check import DAMAGE, ENGINE, MAX_READERS, is_begun, read_metas
from broker.store.lmdb_pages import DamageError

_FORMAT = b"2"
_CHECK = b"property investigation broker: answers"
# Room kept for deleting, which copies the pages of the tree it takes something from.
_KEPT_SHARE = 1 / 32
_KEPT_LEAST = 1 << 20  # bytes
_OPEN_PATIENCE = (
    30.0  # s to wait for the lock: another worker may be checking a file that was cut short, or growing the index
)


class _UnusableError(Exception):
    """LMDB can read the file, but it is not a file of this store."""


class _OtherKeyError(_UnusableError):
    """It is a file of this store, and undamaged, but was written under another key."""


class StoreFile:
    """An open LMDB environment that was checked to be this store's, and the index beside it.

    State: the open folder; the environment and what belongs to it, until `close_file`.
    """

    def __init__(
        self,
        path: Path,
        *,
        master_keys: Sequence[bytes],
        map_size: int,
        pause: LockWait = time.sleep,
        progress: ProgressCallback = no_progress,
    ) -> None:
        """Opens the cache in folder `path`; creates a new one if there is none, or none that can be used.

        `master_keys`: the first seals, all open.

        `pause` is for waiting for the folder's lock (`Folder.exclusive`). `progress` is called while a file that was
        cut short is checked. Raises `LockedError` if the lock cannot be had, and `StoreError` when the folder cannot
        be used at all.
        """
        self.path = path
        self._master_keys = master_keys
        self._map_size = map_size
        self._progress = progress
        try:
            try:
                self._enter(pause)
            except (*DAMAGE, _UnusableError):  # it has been set aside
                self._enter(pause)
        except (OSError, lmdb.Error, _UnusableError) as error:
            msg = f"store {path}: {error}; check that the folder is writable and has room"
            raise StoreError(msg) from error

    def close(self) -> None:
        """Closes the file and the folder."""
        self.close_file()
        self.folder.close()

    def close_file(self) -> None:
        """Closes the file and keeps the folder open. May be called again."""
        self.env.close()

    def bytes_used(self) -> int:
        """Size of the part of the map in use, free pages within it included."""
        return int(self.env.info()["last_pgno"] + 1) * int(self.env.stat()["psize"])

    def is_full(self, txn: lmdb.Transaction) -> bool:
        """Whether no more may be added. Deleting needs pages too: a file without free pages could never be emptied."""
        pages = txn.stat(self.records)
        used = (pages["leaf_pages"] + pages["branch_pages"] + pages["overflow_pages"]) * pages["psize"]
        return bool(used > self._map_size - max(self._map_size * _KEPT_SHARE, _KEPT_LEAST))

    def _enter(self, pause: LockWait) -> None:
        """Opens the folder and what is in it. Raises what is wrong with it, once it has been set aside for that."""
        is_open = False
        while not is_open:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.folder = Folder(self.path)
            try:
                with self.folder.exclusive(patience=_OPEN_PATIENCE, pause=pause):
                    is_open = self.folder.is_current()  # or it was set aside while we waited
                    if is_open:
                        self._open_or_set_aside()
            except BaseException:
                self.folder.close()
                raise
            if not is_open:
                self.folder.close()

    def _open_or_set_aside(self) -> None:
        try:
            self._open()
        except (*DAMAGE, _UnusableError) as reason:
            self.folder.set_aside(reason, OTHER_KEY if isinstance(reason, _OtherKeyError) else DAMAGED)
            raise

    def _open(self) -> None:
        if is_begun(self.path):  # LMDB takes some wrong numbers in there for a lack of memory
            try:
                read_metas(self.path / "data.mdb")
            except DamageError as error:
                raise _UnusableError(error) from error
        # `meminit` stays on: LMDB would write pages with whatever was in this process's memory before.
        self.env = lmdb.open(
            str(self.path),
            map_size=self._map_size,
            max_dbs=2,
            max_readers=MAX_READERS,
            mode=0o600,
            lib_version=ENGINE,
            metasync=False,  # after a power failure the last commit may be missing; the one before is whole
            readahead=False,  # access is random: reading ahead would only displace other pages
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
        # since LMDB ends a process that reads some kinds of damage, another process does it.
        os.truncate(data, expected)
        finding = check_files(self.path, self._progress)
        if finding.verdict is not Verdict.WHOLE:  # the file has its full length now, and would not be checked again
            msg = f"it was cut short, and {finding.reason}"
            raise _UnusableError(msg)

    def _open_databases(self) -> None:
        # One transaction: a file that was created only in part would be rejected by the next attempt.
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
            salt = bytes(txn.get(b"salt", b"", db=meta))
            self.cipher = Cipher(*(derive(key, b"records", salt) for key in self._master_keys))
            if not is_new and self.cipher.open(b"check", bytes(txn.get(b"check", b"", db=meta))) != _CHECK:
                msg = "it was written under another key"
                raise _OtherKeyError(msg)
            if is_new or self.cipher.older:
                txn.put(b"check", self.cipher.seal(b"check", _CHECK), db=meta)
                self.cipher.older = 0
        mark_key(self.path, self._master_keys[0])
        self.index = Index(self.path / "index", store=salt)

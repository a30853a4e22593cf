"""The LMDB file under the store: opening it, making sure it is ours and whole, setting it aside if it is not.

A file that cannot be used is set aside with its folder (store.folder), and a new one begun. Only what is wrong with the
file itself leads there; a folder that cannot be written is a matter for the operator.

The file holds two databases: `records`, the log (store.log), and `meta` with

    format   this module's number
    salt     16 random bytes; the file's encryption key is derived from them and the master key
    check    a known text, sealed: opens only under the right master key
    epoch    counted up durably at each opening; half of every nonce (store.cipher)
"""

import math
import os
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path

import lmdb

from broker.errors import StoreError
from broker.store.cipher import Cipher, derive
from broker.store.folder import Folder
from broker.store.index import Index
from broker.store.lmdb_check import DAMAGE, ENGINE, MAX_READERS, command, is_begun, read_metas
from broker.store.lmdb_pages import DamageError

_FORMAT = b"2"
_CHECK = b"property investigation broker: answers"
# Room kept for deleting, which copies the pages of the tree it takes something from.
_KEPT_SHARE = 1 / 32
_KEPT_LEAST = 1 << 20  # bytes


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
        self._folder: Folder | None = None
        self.is_open = False
        self.open()

    def close(self) -> None:
        """Lets go of the file. May be called again."""
        if self._folder is not None:
            if self.is_open:
                self.env.close()
            self._folder.close()
        self._folder, self.is_open = None, False

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

    def exclusive(self) -> AbstractContextManager[None]:
        """The right to write, which one worker has at a time."""
        return self._open_folder().exclusive(patience=math.inf)

    def is_current(self) -> bool:
        """Whether the open folder is still the one of that name."""
        return self._open_folder().is_current()

    def set_aside(self, reason: Exception) -> None:
        """Closes the file, which proved damaged in use, and renames it. Raises `StoreError`; may be called again."""
        if self.is_open:
            self.env.close()
            self.is_open = False
        try:
            with self.exclusive():
                self._open_folder().set_aside(reason)
        except OSError as error:
            raise self._unusable(error) from error

    def _open_folder(self) -> Folder:
        if self._folder is None:
            msg = f"store {self.path}: it could not be opened yet; check that the folder is writable and has room"
            raise StoreError(msg)
        return self._folder

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
            self._folder = Folder(self.path)
            with self.exclusive():
                if not self.is_current():  # it was set aside while we waited
                    continue
                try:
                    self._open()
                except (*DAMAGE, _UnusableError) as reason:
                    self._folder.set_aside(reason)
                    raise
                self.is_open = True

    def _open(self) -> None:
        if is_begun(self.path):  # LMDB takes some wrong numbers in there for a lack of memory
            try:
                read_metas(self.path / "data.mdb")
            except DamageError as error:
                raise _UnusableError(error) from error
        self.env = lmdb.open(
            str(self.path),
            map_size=self._map_size,
            max_dbs=2,
            max_readers=MAX_READERS,
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
        if subprocess.run(command(self.path), capture_output=True, check=False).returncode:  # noqa: S603 - our own module
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

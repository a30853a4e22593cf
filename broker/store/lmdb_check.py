"""Reads a store's files from end to end: `python -m broker.store.lmdb_check FOLDER`.

Exits with 0 if they are whole and with 3 if they are damaged. A program of its own because a file that the disk cannot
read ends the process that has it mapped, and LMDB itself ends the process at some kinds of damage: a death by a signal
means that the file is damaged, too. As it comes further, it writes dots to its standard output (store.file_check).

It holds a read transaction, so that others may go on writing: what it reads is not changed meanwhile. It looks at

* every page there is (store.lmdb_pages);
* every byte of every block of the log, which must be as long as its own rows say (store.block);
* whether the index can be read.
"""

import errno
import mmap
import sys
from contextlib import suppress
from pathlib import Path

import lmdb

from broker.store import block
from broker.store.cipher import Buffer
from broker.store.lmdb_pages import DamageError, Meta, Pages
from broker.undumpable import forbid_dumps

# The engine is chosen explicitly: the package carries two whose files are incompatible (0 is LMDB 0.9).
ENGINE = 0
MAX_READERS = 1024  # LMDB's 126 would be used up by dead workers' slots between two checks
DAMAGE = (
    lmdb.InvalidError,
    lmdb.CorruptedError,
    lmdb.VersionMismatchError,
    lmdb.PageNotFoundError,
    lmdb.IncompatibleError,
)
"""What LMDB says of a file that is damaged or not its own."""
DAMAGED = 3
"""The exit code for it; 1 is Python's own, for a check that could not be made."""
_RECORDS = b"records"
_UNREADABLE = (errno.EIO, errno.EUCLEAN)  # where a file can be read but not mapped, they end the process that maps it
_DOT = 1 << 24  # bytes
_ENTRY = 32  # bytes at least that an entry takes besides its value
_ATTEMPTS = 10  # to read the meta page before two others commit


def command(folder: Path) -> list[str]:
    """The command line that checks this folder."""
    return [sys.executable, "-m", "broker.store.lmdb_check", str(folder)]


class _Dots:
    """Says that the check comes further. State: what has been read since the last dot, in bytes."""

    def __init__(self) -> None:
        self._read = 0

    def count(self, size: int) -> None:
        """So many bytes were read."""
        self._read += size
        if self._read >= _DOT:
            self._read = 0
            print(".", end="", flush=True)  # noqa: T201


def check(folder: Path) -> None:
    """Reads the files in this folder. Raises `DamageError`, `lmdb.Error` or `OSError`; may end the process."""
    if not is_begun(folder):
        return
    dots = _Dots()

    def visit(tree: bytes, key: bytes, value: Buffer) -> None:
        check_entry(tree, key, value)
        dots.count(_ENTRY + len(value))

    read_metas(folder / "data.mdb")
    with lmdb.open(str(folder), max_dbs=2, max_readers=MAX_READERS, readonly=True, lib_version=ENGINE) as env:
        for _ in range(_ATTEMPTS):
            with env.begin() as txn:
                meta = read_metas(folder / "data.mdb")[txn.id() % 2]
                if meta.transaction == txn.id():
                    Pages(_mapped(folder / "data.mdb"), meta).check(visit)
                    break
    with suppress(FileNotFoundError), (folder / "index").open("rb", buffering=0) as file:
        while part := file.read(1 << 20):
            dots.count(len(part))


def is_begun(folder: Path) -> bool:
    """Whether there is a file in the folder that has anything in it."""
    data = folder / "data.mdb"
    return data.exists() and data.stat().st_size > 0


def read_metas(data: Path) -> list[Meta]:
    """Both meta pages of a file. Raises `DamageError` or `OSError`."""
    with data.open("rb") as file:
        head = file.read(2 * mmap.PAGESIZE)  # LMDB's pages are as long as the system's
    return [Meta.read(head, number, mmap.PAGESIZE) for number in (0, 1)]


def _mapped(data: Path) -> memoryview:
    with data.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))


def check_entry(tree: bytes, key: bytes, value: Buffer) -> None:
    """Reads every byte of a value. Raises `DamageError` if it is a block that is not whole."""
    content = bytes(value)
    if tree == _RECORDS and not block.is_whole(content):
        raise DamageError(f"block {int.from_bytes(key, 'big')}: it is not as long as it says")


def main(folder: str) -> int:
    """The exit code for this folder."""
    forbid_dumps()
    try:
        check(Path(folder))
    except (*DAMAGE, DamageError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in _UNREADABLE:
            raise
        print(error, file=sys.stderr)  # noqa: T201
        return DAMAGED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

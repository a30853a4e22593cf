"""Which key a store was written under, as a file in its folder; and a store whose key is back, taken up again.

A broker whose keys are not those of its store is refused. Where there is no mark, the store is set aside
(store.lmdb_file). If that key was a mistake, and the right one is back, its store takes its place again, and what was
written in between is set aside. Only files that this module
wrote are read for that: LMDB ends a process that opens some kinds of damaged file, and here it would be the supervisor.
"""

import glob
import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from broker.errors import StoreError
from broker.store.broker_lock import keep_broker_lock
from broker.store.cipher import derive
from broker.store.folder import OTHER_KEY, PATIENCE, Folder, aside_path

log = logging.getLogger(__name__)

_MARK_FILE = "key-id"


def mark_key(path: Path, master_key: bytes) -> None:
    """Notes in the folder of a store that it was written under this key, if there is room.

    To be called by the holder of the folder's lock.
    """
    if _mark(path) != _key_id(master_key):
        with suppress(OSError):  # the store is of use without it, unless the key is replaced by mistake
            _write_mark(path, _key_id(master_key))


def _write_mark(path: Path, text: str) -> None:
    draft = path / f"{_MARK_FILE}.new"
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode=0o600), "w", encoding="ascii") as file:  # noqa: PTH123 - of a descriptor
        file.write(text)
    draft.replace(path / _MARK_FILE)


def take_up(path: Path, master_keys: Sequence[bytes]) -> bool:
    """Puts the newest store of these keys that was set aside back into folder `path`, if another key's is there.

    To be called before any worker opens the store. Returns whether there was one. Raises `StoreError`.
    """
    ids = set(map(_key_id, master_keys))
    if _mark(path) in {None, *ids}:
        return False
    for candidate in sorted(path.parent.glob(f"{glob.escape(path.name)}.{OTHER_KEY}-*"), reverse=True):
        if _mark(candidate) in ids:
            _exchange(path, candidate)
            return True
    return False


def refuse_other_keys(path: Path, master_keys: Sequence[bytes]) -> None:
    """Raises `StoreError` if the store in a folder was written under none of these keys, as far as its mark says."""
    if _mark(path) not in {None, *map(_key_id, master_keys)}:
        msg = (
            f"store.key_file: the cache {path} was written under a key that is not there; restore it, or move the"
            " folder away to begin a new cache"
        )
        raise StoreError(msg)


def is_marked(path: Path) -> bool:
    """Whether there is a store in a folder that is known to have been written under some key."""
    return _mark(path) is not None


def _exchange(path: Path, candidate: Path) -> None:
    try:
        folder = Folder(path)
        try:
            with folder.exclusive(patience=PATIENCE):
                aside = aside_path(path, OTHER_KEY)
                keep_broker_lock(path, candidate)
                path.rename(aside)
                candidate.rename(path)
        finally:
            folder.close()
    except OSError as error:
        msg = f"store {path}: {candidate.name} is of the present key, but cannot be renamed to it ({error.strerror})"
        raise StoreError(msg) from error
    log.warning("store %s: took up %s again, whose key is back; kept the other one as %s", path, candidate, aside.name)


def _mark(path: Path) -> str | None:
    """The mark of the store in a folder; None if it has none."""
    try:
        return (path / _MARK_FILE).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return None


def _key_id(master_key: bytes) -> str:
    return derive(master_key, b"key-id").hex()

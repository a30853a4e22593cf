"""The journal: what the log really is. Everything else is made from it.

A commit is one synchronous write, and what follows it is begun only afterwards. A file that has grown large is
followed by a new one, whose name is the index of its first entry.
"""

from collections.abc import Sequence

from broker.audit.files import Appending, Files
from broker.audit.frames import JournalHead, commit_frame, head_frame

FOLDER = "journal"
_SUFFIX = ".journal"
_DIGITS = 16
MAX_FILE = 64 * 1024 * 1024
"""Bytes after which a file is followed by a new one. Reading one takes some tenths of a second."""


def journal_path(first: int) -> str:
    """The path of the file whose first entry has this index."""
    return f"{FOLDER}/{first:0{_DIGITS}d}{_SUFFIX}"


def first_index(name: str) -> int | None:
    """The inverse, of the file's name; None if it is no name of a journal file."""
    stem = name.removesuffix(_SUFFIX)
    return int(stem) if name != stem and len(stem) >= _DIGITS and stem.isdecimal() else None


class Journal:
    """State: the file that is appended to, if there is one yet, its size, and whether another one is to follow."""

    def __init__(self, files: Files, *, path: str = "", size: int = 0, max_file: int = MAX_FILE) -> None:
        """`path`, `size`: of the file to go on with."""
        self._files = files
        self._file: Appending | None = files.append_to(path) if path else None
        self._size = size
        self._max_file = max_file
        self._rotates = False

    def is_full(self) -> bool:
        """Whether the next commit begins a new file, and needs the head of one."""
        return self._file is None or self._rotates or self._size >= self._max_file

    def rotate(self) -> None:
        """Has the next commit begin a new file. May be called in any thread."""
        self._rotates = True

    def write(self, head: JournalHead | None, pieces: Sequence[bytes], checkpoint: str) -> None:
        """Writes a commit durably. `head`: of a new file, which the commit is the first in."""
        begin = b""
        if head is not None:
            self.close()
            self._rotates = False
            begin, self._size = head_frame(head), 0
            self._file = self._files.append_to(journal_path(head.edge.size))
        if self._file is None:
            raise ValueError("the first commit of a file needs its head")
        whole = [begin, *pieces, *commit_frame(self._size + len(begin), checkpoint)]
        self._file.write(whole)
        self._size += sum(map(len, whole))

    def close(self) -> None:
        """Ends the use of the files."""
        if self._file is not None:
            self._file.close()
            self._file = None

"""Checkpoints (C2SP tlog-checkpoint): signed notes about the size and root of a log."""

import re
from typing import NamedTuple

from broker.audit.tlog.hashing import HASH_SIZE
from broker.audit.tlog.note import Note, decode_base64, encode_base64, is_name, parse_note

_DECIMAL = re.compile("0|[1-9][0-9]{0,18}")


class Checkpoint(NamedTuple):
    """What a log commits to."""

    origin: str
    size: int
    """Entries."""
    root: bytes

    def text(self) -> str:
        """The text that is signed."""
        return f"{self.origin}\n{self.size}\n{encode_base64(self.root)}\n"


def parse_checkpoint(text: str) -> tuple[Checkpoint, Note]:
    """The checkpoint in a signed note, whose signatures are not verified. Raises `ValueError`."""
    note = parse_note(text)
    origin, size, root, *more = [*note.text.split("\n"), "", ""]
    if not is_name(origin) or not _DECIMAL.fullmatch(size) or "" in more[:-3]:
        raise ValueError("is no checkpoint")
    checkpoint = Checkpoint(origin, int(size), decode_base64(root))
    if len(checkpoint.root) != HASH_SIZE:
        raise ValueError("has a root that is no SHA-256")
    return checkpoint, note

"""Goes on with an output file where an earlier run stopped, after anything: a crash, a full disk, Ctrl-C.

Rules

1. Only JSON Lines can be resumed, because a report says there which lookup it belongs to, and whether it is complete.
2. A lookup is done if the file has its final and complete report. Everything else is asked again.
3. The file is first rewritten with what is done, under another name, and then takes its place: it is never without what
   it had.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from broker.formats.lookup_file import LookupLine


class ResumeError(Exception):
    """The file does not belong to these lookups. The message says how to go on."""


class _Line(msgspec.Struct):
    ref: str = ""
    position: int = 0
    final: bool = False
    complete: bool = False
    totals: msgspec.Raw = msgspec.Raw()


_decode = msgspec.json.Decoder(_Line).decode


@dataclass(slots=True)
class Done:
    """Which lookups have their complete report. Positions are those of the file of lookups."""

    flags: bytearray
    refs: dict[int, str]
    """Of a few of them, to tell whether the file belongs to these lookups."""
    inquiries: int = 0

    @property
    def count(self) -> int:
        """How many lookups are done."""
        return self.flags.count(1)

    def check(self, position: int, row: LookupLine) -> bool:
        """Whether a lookup is done. Raises `ResumeError` if its report has another ref."""
        if (ref := self.refs.get(position)) is not None and ref != row.lookup.ref:
            msg = f"lookup {position} has another ref than in the output: it belongs to another file of lookups"
            raise ResumeError(msg)
        return position < len(self.flags) and bool(self.flags[position])


_MAX_REFS = 10_000  # checked; a file of other lookups differs in the first ones


def take_up(path: Path, count: int) -> Done:
    """Reads an earlier output about `count` lookups, and leaves only complete reports in it.

    Raises `ResumeError` if it is not such an output, and `OSError`.
    """
    done = Done(bytearray(count), {})
    if not path.exists():
        return done
    rewritten = path.with_name(path.name + ".part")
    with path.open("rb") as old, rewritten.open("wb") as new:
        for raw, line in _lines(old):
            if line.position >= count:
                msg = f"has a report on lookup {line.position} of {count}: it belongs to another file of lookups"
                raise ResumeError(msg)
            if line.final and line.complete and not done.flags[line.position]:
                done.flags[line.position] = 1
                if len(done.refs) < _MAX_REFS:
                    done.refs[line.position] = line.ref
                new.write(raw)
        new.flush()
        os.fsync(new.fileno())
    rewritten.replace(path)
    return done


def _lines(file: Iterator[bytes]) -> Iterator[tuple[bytes, _Line]]:
    """The reports. The last line may be cut off, and the totals of the earlier run are left out."""
    for raw in file:
        if not raw.endswith(b"\n"):
            return
        try:
            line = _decode(raw)
        except msgspec.DecodeError:
            msg = "the output is not JSON Lines of an earlier run: choose another --output"
            raise ResumeError(msg) from None
        if not len(line.totals):
            yield raw, line

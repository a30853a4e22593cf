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

from broker.formats.lookup_line import LookupLine


class ResumeError(Exception):
    """The file does not belong to these lookups. The message says how to go on."""


class _Answer(msgspec.Struct):
    outcome: str | int = ""


class _Line(msgspec.Struct):
    ref: str = ""
    position: int = 0
    final: bool = False
    complete: bool = False
    answers: tuple[_Answer, ...] = ()
    totals: msgspec.Raw = msgspec.Raw()


_decode = msgspec.json.Decoder(_Line).decode


@dataclass(slots=True)
class Done:
    """Which lookups have their complete report. Positions are those of the file of lookups."""

    flags: bytearray
    refs: dict[int, str]
    """Of a few of them, to tell whether the file belongs to these lookups."""
    has_invalid: bool = False
    """Whether any of them is INVALID: it is settled for the broker, and still to be corrected."""

    @property
    def count(self) -> int:
        """How many lookups are done."""
        return self.flags.count(1)

    def check(self, position: int, line: LookupLine) -> bool:
        """Whether a lookup is done. Raises `ResumeError` if its report has another ref."""
        if not self.flags:  # nothing is
            return False
        if (ref := self.refs.get(position)) is not None and ref != line.ref:
            msg = f"lookup {position} has another ref than in the output: it belongs to another file of lookups"
            raise ResumeError(msg)
        return position < len(self.flags) and bool(self.flags[position])


_INVALID = "OUTCOME_INVALID"
_MAX_REFS = 10_000  # checked; a file of other lookups differs in the first ones


def take_up(path: Path, count: int) -> Done:
    """Reads an earlier output about `count` lookups, and leaves only complete reports in it.

    Raises `ResumeError` if it is not such an output, and `OSError`.
    """
    done = Done(bytearray(count), {})
    if not path.exists():
        return done
    rewritten = path.with_name(path.name + ".part")
    try:
        with path.open("rb") as old, os.fdopen(open_private(rewritten, os.O_TRUNC), "wb") as new:
            for raw, line in _lines(old):
                if _is_new(line, done):
                    new.write(raw)
            new.flush()
            os.fsync(new.fileno())
        rewritten.replace(path)
    finally:
        rewritten.unlink(missing_ok=True)
    return done


def open_private(path: Path, mode: int) -> int:
    """Opens a file for writing that only its owner may read, since it says what people own. Returns its descriptor.

    `mode`: `os.O_TRUNC` or `os.O_APPEND`.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | mode, 0o600)
    os.fchmod(descriptor, 0o600)  # it may have been there already
    return descriptor


def _is_new(line: _Line, done: Done) -> bool:
    """Whether a report is complete, and the first one that is about its lookup. Notes it as done."""
    if line.position >= len(done.flags):
        msg = f"has a report on lookup {line.position} of {len(done.flags)}: it belongs to another file of lookups"
        raise ResumeError(msg)
    if not (line.final and line.complete) or done.flags[line.position]:
        return False
    done.flags[line.position] = 1
    done.has_invalid |= any(answer.outcome == _INVALID for answer in line.answers)
    if len(done.refs) < _MAX_REFS:
        done.refs[line.position] = line.ref
    return True


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

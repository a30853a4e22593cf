"""Exit codes and error messages of commands. A message never contains a subject's data."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import IntEnum
from typing import NoReturn

import click

from broker.client import ClientError, OutOfTimeError, RequestRefusedError


class Exit(IntEnum):
    """Exit codes, for programs that run commands. No two of them overlap."""

    COMPLETE = 0
    PARTIAL = 1
    """Some answers are UNAVAILABLE, TIMED_OUT or PENDING: ask again. Or some lookups are INVALID: correct them."""
    USAGE = 2
    """The command line, the file of lookups or the configuration is invalid; nothing was asked."""
    REFUSED = 3
    """The broker refused the request: correct it."""
    UNAVAILABLE = 4
    """The broker cannot be reached, or does not accept requests at present."""
    OUT_OF_TIME = 5
    """The time limit was reached; what was not answered is reported as TIMED_OUT."""
    UNRECORDED = 6
    """The broker cannot record what it is asked (`broker serve`)."""
    AUDIT_CHANGED = 20
    """20 to 28: `broker audit verify` has found a fault of this kind first."""
    AUDIT_REMOVED = 21
    AUDIT_ADDED = 22
    AUDIT_REORDERED = 23
    AUDIT_TRUNCATED = 24
    AUDIT_FORKED = 25
    AUDIT_UNSIGNED = 26
    AUDIT_MATERIAL = 27
    AUDIT_SEQUENCE = 28
    AUDIT_UNPROVEN = 29
    """A receipt proves nothing, or an entry cannot be proven."""
    AUDIT_UNWITNESSED = 30
    """A witness did not cosign a log."""
    INTERRUPTED = 130
    """Ctrl-C, as shells count it: 128 + SIGINT."""
    BROKEN_PIPE = 141
    """Whoever read the output has stopped reading: 128 + SIGPIPE."""


EXIT_CODES = """\b
Exit codes:
    0  complete: every institution that was asked has answered every lookup
    1  partial: some answers are UNAVAILABLE, TIMED_OUT or PENDING (ask again),
       or some lookups are INVALID and were not asked (correct them)
    2  invalid command line, lookups or configuration; nothing was asked
    3  the broker refused the request; the message says what to correct
    4  the broker cannot be reached, or does not accept requests at present
    5  the time limit was reached; what is open is reported as TIMED_OUT
  130  interrupted
  141  the reader of the output has stopped reading
"""


def fail(message: str, code: Exit) -> NoReturn:
    """Prints a message and ends the program."""
    click.echo(f"error: {message}", err=True)
    sys.exit(code)


def fail_because(error: ClientError) -> NoReturn:
    """Ends the program after a call that failed."""
    match error:
        case RequestRefusedError(violations=violations) if violations:
            lines = [f"  {field}: {description}" for field, description in violations]
            fail("\n".join(["the broker refused the request:", *lines]), Exit.REFUSED)
        case RequestRefusedError():
            fail(f"the broker refused the request: {error}", Exit.REFUSED)
        case OutOfTimeError():
            fail(f"{error}", Exit.OUT_OF_TIME)
        case _:
            fail(f"the broker is unavailable: {error}", Exit.UNAVAILABLE)


@contextmanager
def without_traceback() -> Iterator[None]:
    """Ends the program with an exit code if it is interrupted, or its output cannot be written. Also a decorator."""
    try:
        yield
    except BrokenPipeError:
        with suppress(OSError):  # Python would flush once more at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(Exit.BROKEN_PIPE)
    except OSError as error:
        fail(f"the output cannot be written: {error.strerror}", Exit.USAGE)
    except KeyboardInterrupt:
        fail("interrupted", Exit.INTERRUPTED)

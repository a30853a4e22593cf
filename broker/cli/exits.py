"""How a command ends: exit codes, and what is said on the way out. Nothing said ever holds a subject's data."""

import sys
from enum import IntEnum
from typing import NoReturn

import click

from broker.client import ClientError, OutOfTimeError, RequestRefusedError


class Exit(IntEnum):
    """Exit codes; for programs that call this one."""

    COMPLETE = 0
    PARTIAL = 1
    """Some answers are UNAVAILABLE, TIMED_OUT or PENDING, or lookups are without a report: ask again. Or some are
    INVALID: correct those lookups."""
    USAGE = 2
    """The command line, the lookups' file or the configuration is wrong; nothing was asked."""
    REFUSED = 3
    """The broker refuses the request: correct it."""
    UNREACHABLE = 4
    """No broker there, or it does not take requests now."""


EXIT_CODES = """\b
Exit codes:
  0  complete: every lookup was asked, and every institution asked has answered
  1  partial: some answers are UNAVAILABLE, TIMED_OUT or PENDING: ask again;
     or INVALID: correct those lookups, about which nobody was asked
  2  wrong usage, lookups or configuration; nothing was asked
  3  refused by the broker, which says what to correct
  4  the broker cannot be reached, or takes no requests now
"""


def fail(message: str, code: Exit) -> NoReturn:
    """Ends the program with a message."""
    click.echo(f"error: {message}", err=True)
    sys.exit(code)


def fail_because(error: ClientError) -> NoReturn:
    """Ends the program because a call was not served to its end."""
    match error:
        case RequestRefusedError(violations=violations) if violations:
            lines = [f"  {field}: {description}" for field, description in violations]
            fail("\n".join(["the broker refuses the request:", *lines]), Exit.REFUSED)
        case RequestRefusedError():
            fail(f"the broker refuses the request: {error}", Exit.REFUSED)
        case OutOfTimeError():
            fail("out of time before every lookup was reported on; allow more with --timeout", Exit.PARTIAL)
        case _:
            fail(f"the broker is unavailable: {error}", Exit.UNREACHABLE)

"""A caller's own id for a request, as it may stand in a log: the caller can write anything into it."""

import re

from broker.core.subjects.free_text import shows_number

_has_usual_characters = re.compile(r"[A-Za-z0-9._:/-]{1,128}").fullmatch

WITHHELD = "withheld"
"""Stands for an id that is not logged. Not a hash of it: all numbers there are could be tried."""


def loggable(request_id: str) -> str:
    """The id itself if it can be no subject's number or name and no second line of a log; else `WITHHELD`."""
    return request_id if _has_usual_characters(request_id) and not shows_number(request_id) else WITHHELD

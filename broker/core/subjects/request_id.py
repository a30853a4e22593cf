"""A caller's own id for a request, as it may stand in a log: the caller can write anything into it."""

import re

_UUID = r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}"
_OTHER = r"(?!.*\d{9})[A-Za-z0-9._:/-]{1,128}"  # no run of digits as long as any subject's number
is_uuid = re.compile(_UUID).fullmatch
"""Whether a text is a UUID, the usual id of a request, and not a number of any subject."""
_is_harmless = re.compile(f"{_UUID}|{_OTHER}").fullmatch


WITHHELD = "withheld"
"""Stands for an id that is not logged. Not a hash of it: all numbers there are could be tried."""


def loggable(request_id: str) -> str:
    """The id itself if it can be no subject's number or name and no second line of a log; else `WITHHELD`."""
    return request_id if _is_harmless(request_id) else WITHHELD

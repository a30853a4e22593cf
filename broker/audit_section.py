"""The section [audit] of the configuration: where what was asked is recorded, and for how long."""

import re
from typing import Annotated

from broker.sections import Section

_ORIGIN = re.compile(r"[^\s+\x00-\x1f]{1,200}")  # names of 255 bytes are allowed; the worker's follows


def _origin(text: str) -> str | None:
    if _ORIGIN.fullmatch(text) and len(text.encode()) <= 200 and not text.endswith("/"):
        return None
    return "must be 1 to 200 bytes without blanks and +, such as broker.court.example/audit"


def _days(count: int) -> str | None:
    return None if count >= 0 else "must be a number of days, or 0 to keep everything"


class AuditConfig(Section, frozen=True, kw_only=True):
    """Where requests are recorded."""

    path: str = "var/audit"
    """A folder. Empty: nothing is recorded."""
    origin: Annotated[str, _origin] = "broker.localhost/audit"
    """Worker n's log has the origin `<origin>/worker-<n>`."""
    key_file: str = "var/audit.key"
    retention_days: Annotated[int, _days] = 0
    """0: for ever."""

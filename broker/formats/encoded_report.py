"""A report whose answers are still encoded: most are equal to earlier ones, and need not be read or converted again.

An answer without assets consists of institution, outcome, time (in seconds) and source. So the many NOT_FOUND of a run
have few encodings, by which their converted forms can be cached.
"""

from typing import Any

from broker.client import Report
from broker.core.wire.outline import with_encoded

_EncodedReport = with_encoded(Report, "answers")
MAX_SHORT = 96
"""Bytes of an answer that is likely to be equal to others. One with an asset has more."""
CACHED = 4096
"""Converted answers that are kept, by their encodings; each takes some 300 bytes."""


def encoded(report: Report) -> Any:
    """A report with the same fields, except that `answers` are bytes."""
    return _EncodedReport.FromString(report.SerializeToString())

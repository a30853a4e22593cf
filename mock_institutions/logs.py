"""Logging of the mocks, to stderr. Messages of libraries, which may quote what they received, are not logged.

Only their origin is: logger, file and line.
"""

import logging
import sys

_OWN = "mock_institutions"


def log_to_stderr() -> None:
    """Configures logging for the whole process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        if record.name != _OWN:
            error = record.exc_info[0] if record.exc_info else None
            reason = f": {error.__name__}" if error else ""
            message = f"{record.name}: a message from {record.filename}:{record.lineno}{reason}"
            kept = {"levelname": record.levelname, "created": record.created, "msecs": record.msecs}
            record = logging.makeLogRecord({**kept, "msg": message})
        return super().format(record)

"""The broker's log, on stderr. Its rule: a line holds only words this project chose, never what was received.

Libraries quote what they could not read, and so does the text of an exception: a debtor's number, in clear. Of whatever
this project did not write, the log therefore keeps who logged it, how severe it is, and its origin (file and line, and
the type of an exception). That holds for records of libraries' loggers, for exceptions nobody caught, and for warnings.
"""

import contextlib
import logging
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator

from broker.errors import origin

log = logging.getLogger(__name__)

_OWN = "broker"
_FORM = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def silence_grpc_core() -> None:
    """Keeps gRPC's C core from writing to stderr, past Python's logging. Call it before `grpc` is first imported.

    It writes what a peer gives as the reason for its GOAWAY, for example, and with GRPC_TRACE every message. So what
    the environment says is overridden.
    """
    os.environ["GRPC_VERBOSITY"] = "NONE"


def log_to_stderr() -> None:
    """Sets up logging, and what happens to exceptions that nobody catches, for the whole process.

    Call it once, before any gRPC object is made: reconfigured logging can deadlock with grpc.aio (grpc/grpc#43421).
    """
    handler = _Handler(sys.stderr)
    handler.setFormatter(_Formatter(_FORM))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    sys.excepthook = lambda _, error, __: _log_uncaught("the program", error)
    threading.excepthook = _log_thread
    sys.unraisablehook = lambda args: _log_uncaught(type(args.object).__qualname__, args.exc_value)
    warnings.showwarning = _log_warning


class _Formatter(logging.Formatter):
    """Writes the broker's records as they are, and other people's without their message."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        is_own = record.name.partition(".")[0] == _OWN
        words = record.getMessage() if is_own else f"a message of this library, from {_place(record)}"
        if record.exc_info and record.exc_info[1]:
            words = f"{words}: {origin(record.exc_info[1])}"
        # A new record: the given one may carry a traceback that another handler has already made text of.
        return super().format(logging.makeLogRecord({**record.__dict__, **_NO_TEXT, "msg": words}))


_NO_TEXT = {"args": None, "exc_info": None, "exc_text": None, "stack_info": None}


class _Handler(logging.StreamHandler):  # type: ignore[type-arg]  # it is generic for type checkers only
    """Writes to a stream. Its complaints about a record leave out the record's arguments."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """See `logging.Handler`, whose own prints message and arguments."""
        with contextlib.suppress(Exception):
            self.stream.write(f"{record.levelname} {record.name}: a message could not be formatted: {_place(record)}\n")


def _place(record: logging.LogRecord) -> str:
    return f"{record.filename}:{record.lineno}"


def _log_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is not SystemExit:  # that is a thread's way to end itself
        _log_uncaught("a thread", args.exc_value)


def _log_uncaught(where: str, error: BaseException | None) -> None:
    log.critical("%s failed with an exception that nobody caught\n%s", where, describe(error))


def _log_warning(
    message: object, category: type[Warning], filename: str, lineno: int, file: object = None, line: object = None
) -> None:
    del message, file, line
    log.warning("%s at %s:%d", category.__name__, filename, lineno)


def describe(error: BaseException | None) -> str:
    """The stack and type of an exception, of its causes, and of a group's members: all but their texts."""
    return "\n".join(_describe(error, set()))


def _describe(error: BaseException | None, seen: set[int]) -> Iterator[str]:
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    yield from _describe(error.__cause__ or error.__context__, seen)
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield from _describe(member, seen)
    yield from (line.rstrip("\n") for line in traceback.format_tb(error.__traceback__))
    yield type(error).__qualname__

"""The problems with which a lane answers failed inquiries. docs/api.md lists the reasons."""

from broker.errors import InstitutionError
from broker.model import Problem

BREAKER_OPEN = Problem("BREAKER_OPEN", "", "the institution has failed repeatedly, and is not asked at present")
PAUSED = Problem("OVERLOADED", "", "the institution asked for a pause, which has not ended; try again later")
INTERNAL = Problem("INTERNAL", "", "an error in the broker; ask again, and inform its operator")
REJECTED = Problem("REJECTED", "", "the institution rejects this inquiry, although it accepts others")


def problem_of(error: InstitutionError) -> Problem:
    """The problem of an answer after a failed call."""
    return Problem(error.reason, "", f"{_MEANING[error.reason]}; ask again later")


_MEANING = {
    "UNREACHABLE": "the institution could not be reached",
    "NO_REPLY": "the institution did not reply in time",
    "OVERLOADED": "the institution accepts no more inquiries at present",
    "FAILED": "the institution reported an internal error",
    "BAD_REPLY": "the institution's reply was not usable",
    "REJECTED": "the institution rejects the broker's calls",
}

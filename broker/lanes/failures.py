"""What a caller is told when a lane cannot get an answer. docs/api.md lists the reasons."""

from broker.errors import InstitutionError
from broker.model import Problem

BREAKER_OPEN = Problem("BREAKER_OPEN", "", "the institution has failed too often; it is asked again shortly")
SILENCED = Problem("OVERLOADED", "", "the institution asked for a pause; it is asked again when that is over")
INTERNAL = Problem("INTERNAL", "", "the broker failed while asking; ask again, and tell its operator")
REJECTED = Problem("REJECTED", "", "the institution does not take this inquiry, though it takes others")


def problem_of(error: InstitutionError) -> Problem:
    """A failed call, as an answer's problem."""
    return Problem(error.reason, "", f"{_MEANING[error.reason]}; ask again later")


_MEANING = {
    "UNREACHABLE": "the institution could not be reached",
    "NO_REPLY": "the institution did not reply in time",
    "OVERLOADED": "the institution takes no more inquiries at present",
    "FAILED": "the institution reported an error of its own",
    "BAD_REPLY": "the institution's reply was not usable",
    "REJECTED": "the institution refuses the broker's calls",
}

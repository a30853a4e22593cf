"""Validates mandates: who asks, in which case, on which legal document.

A mandate whose case number names another court is refused, because a court may ask only in its own cases.
"""

from functools import lru_cache

from broker.core.subjects.case_number import PUBLISHED, CaseNumbering, parse_case_number
from broker.core.subjects.court import parse_court
from broker.core.subjects.invisible import find_unreadable
from broker.errors import InvalidRequestError, Violation
from broker.model import Court, Mandate

_LONGEST_TEXT = 400
"""Characters of any field as sent, including blanks: twice the longest valid field. Bounds the cache of mandates."""
_ANOTHER_COURT = "must be a case of the court that asks: correct it or mandate.court_code"
_UNKNOWN_SIGN = (
    "has a sign from before 2016 that is not in the broker's list: give the number with the court's code, or have the "
    "operator add the sign to courts.signs of the configuration"
)


# Cached by the strings as sent, because a court sends many batches under one mandate. The size allows for about one
# mandate for each of the country's 3,600 or so courts. Refusals raise, so only valid mandates are cached.
@lru_cache(maxsize=4096)
def read_mandate(
    court_code: str, officer: str, case_number: str, legal_document: str, numbering: CaseNumbering = PUBLISHED
) -> Mandate:
    """Validates a mandate, and returns it with every field in its official spelling.

    Raises:
        InvalidRequestError: lists every invalid field, so that the caller can correct all of them at once.
    """
    violations: list[Violation] = []
    court = _read_court(court_code, violations)
    case = _read_case(case_number, court, numbering, violations)
    officer = _read_text("officer", officer, 100, violations)
    legal_document = _read_text("legal_document", legal_document, 200, violations)
    if violations or not court:
        raise InvalidRequestError(violations)
    return Mandate(court, officer, case, legal_document)


def _read_court(code: str, violations: list[Violation]) -> Court | None:
    try:
        return parse_court(_bounded(code))
    except ValueError as error:
        violations.append(Violation("mandate.court_code", str(error)))
        return None


def _read_case(text: str, court: Court | None, numbering: CaseNumbering, violations: list[Violation]) -> str:
    try:
        case = parse_case_number(_bounded(text), numbering)
    except ValueError as error:
        violations.append(Violation("mandate.case_number", str(error)))
        return ""
    if court and court.code not in case.courts:
        violations.append(Violation("mandate.case_number", _ANOTHER_COURT if case.courts else _UNKNOWN_SIGN))
    return str(case)


def _read_text(field: str, text: str, longest: int, violations: list[Violation]) -> str:
    stripped = text.strip()
    if not stripped:
        remedy = "is required"
    elif len(stripped) > longest or len(text) > _LONGEST_TEXT:
        remedy = f"must have at most {longest} characters: shorten it"
    elif find_unreadable(stripped):
        remedy = "must not contain control characters, invisible ones or line breaks: write it in one line"
    else:
        return stripped
    violations.append(Violation(f"mandate.{field}", remedy))
    return ""


def _bounded(text: str) -> str:
    if len(text) > _LONGEST_TEXT:
        raise ValueError("is far too long: give only the code or number")
    return text

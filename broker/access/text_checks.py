"""Rules for texts that the blocks of a policy share (`broker.sections` says what a rule is)."""

from collections.abc import Callable

Check = Callable[[list[str]], str | None]
_LONGEST_NAME = 100


def name_fault(text: str) -> str | None:
    """A rule for names, which appear in refusals."""
    if text.isprintable() and text == text.strip() and 1 <= len(text) <= _LONGEST_NAME:
        return None
    return f"must have 1 to {_LONGEST_NAME} printable characters, without blanks at its ends"


def not_empty(texts: list[str]) -> str | None:
    """A rule for lists that restrict."""
    return None if texts else "must not be empty, or the rule allows nothing; leave it out to allow everything"


def parsed_by(parse: Callable[[list[str]], object]) -> Check:
    """A rule for lists that a parser understands."""

    def rule(texts: list[str]) -> str | None:
        try:
            parse(texts)
        except ValueError as error:
            return str(error)
        return None

    return rule

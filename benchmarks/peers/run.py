"""One measurement of one contender."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Run:
    """What was answered, and in what time."""

    inquiries: int
    seconds: float
    lost: int
    """Inquiries without an answer, or with none of FOUND and NOT_FOUND."""
    checked: int = 0
    wrong: int = 0
    """Of the answers checked."""

    @property
    def rate(self) -> float:
        """Inquiries per second."""
        return self.inquiries / self.seconds

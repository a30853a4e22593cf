"""One measurement of one system."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Run:
    """The inquiries answered, and in what time."""

    inquiries: int
    seconds: float
    lost: int
    """Inquiries without an answer of FOUND or NOT_FOUND."""
    checked: int = 0
    wrong: int = 0
    """Of the answers checked."""

    @property
    def rate(self) -> float:
        """Inquiries per second."""
        return self.inquiries / self.seconds

"""What is wrong with a number or name of a lookup."""

from typing import NamedTuple


class Fault(NamedTuple):
    """What is wrong. Where it does not prevent the inquiry, it is a warning."""

    reason: str
    """Stable, for programs."""
    message: str
    """What is wrong and how to correct it. Never contains the number or name."""


EMPTY = Fault("EMPTY", "is empty: fill it in, or leave this lookup out")

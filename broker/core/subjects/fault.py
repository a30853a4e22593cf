"""Why a number or name of a lookup is not accepted."""

from typing import NamedTuple


class Fault(NamedTuple):
    """Why a number or name is invalid."""

    reason: str
    """Stable, for programs."""
    message: str
    """What is wrong and how to correct it. Never contains the number or name."""


EMPTY = Fault("EMPTY", "is empty: fill it in, or leave this lookup out")

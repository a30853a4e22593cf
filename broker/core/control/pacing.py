"""How much a lane sends next, given what its institution's rate allows at this moment.

| queued               | is sent                                                                               |
|----------------------|---------------------------------------------------------------------------------------|
| anything             | at least what may be sent at once, since tokens that are not used are lost in the end |
| only bulk work       | at least what a second of the rate pays for: a full batch, if the rate allows it      |
| interactive work too | at least the interactive part, up to a second of the rate; bulk work waits            |

and never more than is queued, nor than the institution takes in one call. So a batch waits a second for its tokens at
most, or as long as a single inquiry takes at a rate below one per second.
"""

from typing import NamedTuple

from broker.model import Priority

_SECONDS = 1.0
"""Worth of the rate in one batch, if nothing is saved up. Longer would hold back inquiries that could be sent, shorter
would make more calls of the same number of inquiries; one call per second costs an institution nothing."""


class Wanted(NamedTuple):
    """What somebody would send next."""

    size: int
    """Inquiries; none if nothing is to be sent."""
    priority: Priority


def next_batch(interactive: int, queued: int, *, at_once: int, batch_size: int, rate: float) -> Wanted:
    """What to send next of `queued` inquiries, of which so many are interactive, if `at_once` need not wait."""
    affordable = max(at_once, min(interactive or queued, max(1, int(rate * _SECONDS))))
    priority = Priority.INTERACTIVE if interactive else Priority.BULK
    return Wanted(min(queued, batch_size, affordable), priority)

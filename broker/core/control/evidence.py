"""What an institution's other replies say about its refusals: does it object to one inquiry, or does it take nothing?

An HTTP 400 may concern an inquiry, or the institution may refuse whatever it is sent. What it answered earlier does not
tell, because it may have changed since.

Rules

1. An inquiry is REFUSED only if a call that began after its first refusal was answered.
2. Refusals in a row, without an answer between them, are failures as soon as there are more of them than bisecting a
   batch causes in which one inquiry is refused: one for the batch, and one for each time that it is halved.
"""

from typing import NewType

Mark = NewType("Mark", int)
"""A moment, as the number of calls that began before it or at it. Clocks are too coarse to order calls."""


class Evidence:
    """The evidence about one institution. State: the calls begun, the last one answered, and refusals in a row."""

    def __init__(self, batch_size: int) -> None:
        """`batch_size`: the maximum number of inquiries per call."""
        self._longest_run = batch_size.bit_length() + 1
        self._begun = 0
        self._answered = 0
        self._run = 0

    def begin(self) -> Mark:
        """A call begins. Returns its mark, which is greater than all earlier ones."""
        self._begun += 1
        return Mark(self._begun)

    def now(self) -> Mark:
        """The mark of this moment: calls that begin later have greater ones."""
        return Mark(self._begun)

    def on_answer(self, call: Mark) -> None:
        """The call got a reply that answers at least one inquiry."""
        self._answered = max(self._answered, call)
        self._run = 0

    def on_refusal(self) -> bool:
        """A call was refused as a whole. Returns whether that is a failure of the institution (rule 2)."""
        self._run += 1
        return self._run > self._longest_run

    def answered_since(self, mark: Mark) -> bool:
        """Whether a call was answered that began after this mark (rule 1)."""
        return self._answered > mark

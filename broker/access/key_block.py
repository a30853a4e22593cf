"""One [[key]] block of a policy: a key with which requests may be signed. `docs/policy.md` explains its keys."""

from collections.abc import Iterator
from datetime import datetime
from math import inf
from typing import Annotated

from broker.access.court_set import parse_court_set
from broker.access.officer_set import parse_officer_set
from broker.access.signature import RegisteredKey
from broker.access.signed_request import decoded_key
from broker.access.text_checks import name_fault, not_empty, parsed_by
from broker.sections import ConfigFault, Section


def _public_key(text: str) -> str | None:
    try:
        decoded_key(text)
    except ValueError as error:
        return str(error)
    return None


def _moment(moment: datetime | None) -> str | None:
    if moment is None or moment.tzinfo is not None:
        return None
    return "must say its time zone, such as 2026-01-01T00:00:00+08:00"


class KeyBlock(Section, frozen=True, kw_only=True):
    """One block, as written."""

    name: Annotated[str, name_fault]
    public_key: Annotated[str, _public_key]
    courts: Annotated[list[str], not_empty, parsed_by(parse_court_set)]
    officers: Annotated[list[str] | None, not_empty, parsed_by(parse_officer_set)] = None
    valid_from: Annotated[datetime | None, _moment] = None
    valid_until: Annotated[datetime | None, _moment] = None

    def conflicts(self) -> Iterator[ConfigFault]:
        """See `Section`."""
        if self.valid_from and self.valid_until and self.valid_from >= self.valid_until:
            yield ConfigFault("valid_until", "must be later than valid_from, or the key is never valid")

    def key(self) -> RegisteredKey:
        """The same, compiled."""
        return RegisteredKey(
            name=self.name,
            public=decoded_key(self.public_key),
            courts=parse_court_set(self.courts),
            officers=None if self.officers is None else parse_officer_set(self.officers),
            valid_from=self.valid_from.timestamp() if self.valid_from else -inf,
            valid_until=self.valid_until.timestamp() if self.valid_until else inf,
        )

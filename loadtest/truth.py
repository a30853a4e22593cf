"""Which answers are right: those of the mocks' population, those of a recorded baseline, or unknown.

A baseline is recorded from a run whose answers are trusted, and holds digests only: neither subjects nor answers can be
read from it.
"""

import json
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from secrets import token_bytes
from typing import Protocol, Self

from broker.v1 import investigation_pb2 as pb
from mock_institutions import config
from mock_institutions.population import Lookup, Population
from mock_institutions.protobuf_dialect import fill
from mock_institutions.registry import Institution


class Truth(Protocol):
    """Knows which answers are right."""

    def check(self, lookup: Lookup, answer: pb.Answer) -> bool | None:
        """Whether an answer FOUND or NOT_FOUND is right; None if that is not known."""


class UnknownTruth:
    """For institutions whose records nobody knows."""

    def check(self, lookup: Lookup, answer: pb.Answer) -> bool | None:  # noqa: ARG002 - of the interface
        """See `Truth`."""
        return None


class MockTruth:
    """Recomputes the answers of mock institutions from their seed."""

    def __init__(self, seed: int, institutions: Mapping[str, Institution] | None = None) -> None:
        """`institutions`: those that are known, by id; by default those of the mocks' own configuration."""
        self._population = Population(seed)
        if institutions is None:
            institutions = {one.id: one.institution for one in config.load().institutions}
        self._institutions = institutions

    def check(self, lookup: Lookup, answer: pb.Answer) -> bool | None:
        """See `Truth`."""
        institution = self._institutions.get(answer.institution_id)
        if institution is None:
            return None
        expected = pb.Answer()
        fill(expected, self._population.answer(institution, lookup.type, lookup.number, lookup.name))
        return answer.outcome == expected.outcome and list(answer.assets) == list(expected.assets)


class BaselineError(Exception):
    """A file is no baseline. The message says why."""


class Baseline:
    """Answers seen before, as digests. State: the digests, and a salt that makes those of two files unlike."""

    def __init__(self, salt: bytes, digests: dict[str, str]) -> None:
        self._salt = salt
        self._digests = digests

    @classmethod
    def new(cls) -> Self:
        """An empty one, to record into."""
        return cls(token_bytes(16), {})

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads a file. Raises `BaselineError` or `OSError`."""
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            return cls(bytes.fromhex(found["salt"]), dict(found["answers"]))
        except (ValueError, KeyError, TypeError):
            msg = f"{path} is not a baseline: record one with --record"
            raise BaselineError(msg) from None

    def __len__(self) -> int:
        return len(self._digests)

    def write(self, path: Path) -> None:
        """Writes a file."""
        path.write_text(json.dumps({"salt": self._salt.hex(), "answers": self._digests}), encoding="utf-8")

    def learn(self, lookup: Lookup, answer: pb.Answer) -> None:
        """Remembers an answer as right."""
        self._digests[self._inquiry(lookup, answer)] = self._content(answer)

    def check(self, lookup: Lookup, answer: pb.Answer) -> bool | None:
        """See `Truth`."""
        known = self._digests.get(self._inquiry(lookup, answer))
        return None if known is None else known == self._content(answer)

    def _inquiry(self, lookup: Lookup, answer: pb.Answer) -> str:
        parts = (answer.institution_id, lookup.type, lookup.number, lookup.name)
        return self._digest("\x1f".join(parts).encode())

    def _content(self, answer: pb.Answer) -> str:
        content = pb.Answer(outcome=answer.outcome, assets=answer.assets)
        return self._digest(content.SerializeToString(deterministic=True))

    def _digest(self, data: bytes) -> str:
        return blake2b(data, digest_size=16, key=self._salt).hexdigest()

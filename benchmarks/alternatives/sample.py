"""The data: lookups of the mocks' population, and the four institutions' answers, in batches of 1,000."""

from functools import cached_property

from benchmarks.load_generator import requests, sample
from benchmarks.sample_exchange import decoded_reply, mock_reply, question_of
from benchmarks.testbed import FOUR
from broker.config import load
from broker.institutions.dialects import DIALECTS
from broker.model import InstitutionSpec, Reply
from broker.serving import contract

BATCH = 1_000


class Sample:
    """Some batches of persons, and what institutions know about them."""

    def __init__(self, seed: int, batches: int) -> None:
        self.seed = seed
        self.bodies = requests(sample(seed, batches * BATCH), BATCH)
        """Encoded requests."""
        self.specs: list[InstitutionSpec] = [
            spec for spec in load(dialects=frozenset(DIALECTS)).institutions if spec.id in FOUR
        ]

    @cached_property
    def lookups(self) -> list[list[bytes]]:
        """The encoded lookups of each request."""
        return [list(contract.read_request(body, max_lookups=BATCH)[1]) for body in self.bodies]

    @cached_property
    def replies(self) -> list[list[Reply]]:
        """For each request, the decoded reply of each institution."""
        return [[decoded_reply(spec, body, self.seed) for spec in self.specs] for body in self.bodies]

    def json_replies(self) -> list[bytes]:
        """The replies of all institutions to all requests, in JSON."""
        dialect = DIALECTS["json"]
        return [
            mock_reply("json", spec, dialect.encode(question_of(body, spec)), self.seed)
            for body in self.bodies
            for spec in self.specs
        ]

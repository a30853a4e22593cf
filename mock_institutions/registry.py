"""The records of one institution. Nothing is stored: everything is computed with a keyed hash.

Rule 1: slot s belongs to identity s // 2. A hash of the slot determines whether it is occupied, which variant of a
record it contains, and whether the owner's spouse holds half of the thing.

Rule 2: the number of a thing is a permutation of its slot. Asking what somebody owns and asking who holds a thing thus
give consistent answers.

`find` looks up one subject. `find_all` does the same for a batch, using numpy for resident identities, which are most
of every batch. `answer` converts a finding to a complete answer.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mock_institutions import catalogue, records
from mock_institutions.findings import (
    INVALID_NUMBER,
    NAME_MISMATCH,
    UNSUPPORTED,
    Finding,
    Findings,
    Holding,
    Holdings,
    Refusal,
)
from mock_institutions.mixing import key, mixed, mixed_all
from mock_institutions.numbers import (
    PERSONS,
    is_organisation_code,
    is_resident_id,
    organisation_index,
    resident_index,
    resident_indices,
    spouse_id,
)
from mock_institutions.people import Identity, People
from mock_institutions.records import Answer, Asset, Kind, Problem, SubjectType
from mock_institutions.things import SLOTS, SLOTS_EACH, Tracer, number_system

SHARED = 0.5
"""The proportion of slots of a real-estate registry that belong to both spouses. An assumption."""

# The 64 bits of a slot's hash: the low 32 decide whether it is occupied, the next 8 select the variant, and the top bit
# decides whether it is shared.
_TAKEN_BITS = 32
_TAKEN_MASK = (1 << _TAKEN_BITS) - 1
_VARIANT_MASK = catalogue.VARIANTS - 1
_SHARED_SHIFT = 63

FEW = 24
"""Up to this many resident identities are found one by one: numpy's fixed cost is about 100 microseconds."""


NameRule = Literal["refuse", "exact"]
"""What an institution says about a number under another name than the registered one: that it refuses, or NOT_FOUND, as
one does that searches for number and name. Both compare character by character."""


@dataclass(frozen=True, slots=True)
class Institution:
    """An institution. `hit_rate`: the proportion of all people about whom it has records, 0 to 1."""

    id: str
    kind: Kind
    hit_rate: float
    names: NameRule = "refuse"


class Registry:
    """The records of one institution."""

    def __init__(self, seed: int, institution: Institution) -> None:
        self.seed = seed
        self.institution = institution
        self.numbers = number_system(institution.kind, key(seed, institution.id, "numbers"))
        self._people = People(seed)
        self._key = key(seed, institution.id, "slots")
        self._spouses_share = institution.kind == "real_estate"
        occupancy = _occupancy(institution.hit_rate, SHARED if self._spouses_share else 0)
        self._threshold = round(occupancy * (1 << _TAKEN_BITS))

    # --- one at a time ------------------------------------------------------------------------------------------------

    def find(self, subject_type: SubjectType, number: str, name: str) -> Finding:
        """Looks up one subject."""
        match subject_type:
            case "RESIDENT_ID":
                return self._find_identity(number, name, resident_index, is_resident_id)
            case "ORGANIZATION_CODE":
                return self._find_identity(number, name, organisation_index, is_organisation_code)
            case "VEHICLE_PLATE" | "VEHICLE_VIN" | "REAL_ESTATE_UNIT" | "BANK_ACCOUNT" | "SECURITIES_ACCOUNT":
                tracer = self.numbers.tracers.get(subject_type)
                return tuple(self._held(tracer(number))) if tracer else UNSUPPORTED
            case _:  # documents that nobody in the population has
                return () if number else INVALID_NUMBER

    def _find_identity(self, number: str, name: str, index_of: Tracer, is_valid: Callable[[str], bool]) -> Finding:
        index = index_of(number)
        if index is None:
            return () if is_valid(number) else INVALID_NUMBER
        if self._people.name(index) != name:
            return () if self.institution.names == "exact" else NAME_MISMATCH
        return tuple(self._owned(index))

    def _owned(self, index: int) -> Iterator[Holding]:
        """A person's own things, then those of the spouse that both hold."""
        own = range(index * SLOTS_EACH, (index + 1) * SLOTS_EACH)
        for slot in own:
            yield from self._held(slot)
        if self._spouses_share and index < PERSONS:
            for slot in own:
                yield from (holding for holding in self._held(slot ^ SLOTS_EACH) if len(holding.holders) > 1)

    def _held(self, slot: int | None) -> Iterator[Holding]:
        """The thing in a slot, if it is occupied."""
        if slot is None:
            return
        word = mixed(slot ^ self._key)
        if word & _TAKEN_MASK < self._threshold:
            numbers = tuple(number.encode() for number in self.numbers.of(slot))
            yield Holding(numbers, word >> _TAKEN_BITS & _VARIANT_MASK, tuple(self._holders(slot // SLOTS_EACH, word)))

    def _holders(self, owner: int, word: int) -> Iterator[Identity]:
        yield self._people.identity(owner)
        if self._spouses_share and owner < PERSONS and word >> _SHARED_SHIFT:
            yield self._people.identity(owner ^ 1)

    def answer(self, finding: Finding) -> Answer:
        """The complete answer for a finding."""
        if isinstance(finding, Refusal):
            problem = Problem(reason=finding.reason, field=finding.field, message=finding.message)
            return Answer(outcome=finding.outcome, problem=problem)
        if not finding:
            return Answer(outcome="NOT_FOUND")
        return Answer(outcome="FOUND", assets=tuple(map(self._asset, finding)))

    def _asset(self, holding: Holding) -> Asset:
        share = "1/2" if len(holding.holders) > 1 else ""
        return catalogue.asset(
            kind=self.institution.kind,
            seed=self.seed,
            variant=holding.variant,
            numbers=tuple(number.decode() for number in holding.numbers),
            holders=tuple(
                records.Holder(name=name, document_type=document_type, document_number=number, share=share)
                for document_type, number, name in holding.holders
            ),
        )

    def draw_thing(self, rng: Random) -> tuple[SubjectType, str]:
        """Draws the type and number of a thing. The hit rate must not be zero."""
        while True:  # a sizeable proportion of slots is occupied
            slot = rng.randrange(SLOTS)
            if any(self._held(slot)):
                return rng.choice(list(zip(self.numbers.tracers, self.numbers.of(slot), strict=False)))

    # --- a batch at a time --------------------------------------------------------------------------------------------

    def find_all(self, subject_types: Sequence[SubjectType], numbers: Sequence[str], names: Sequence[str]) -> Findings:
        """Looks up the subjects in the rows of the three columns; the same as `find` for each."""
        if len(numbers) > FEW and subject_types.count("RESIDENT_ID") == len(numbers):
            return self._find_residents(numbers, names)
        return self._find_mixed(subject_types, numbers, names)

    def _find_mixed(
        self, subject_types: Sequence[SubjectType], numbers: Sequence[str], names: Sequence[str]
    ) -> Findings:
        """Looks up residents together if there are more than `FEW`, and the others one by one."""
        residents = [row for row, subject_type in enumerate(subject_types) if subject_type == "RESIDENT_ID"]
        if len(residents) <= FEW:
            residents = []
        findings = self._find_residents([numbers[row] for row in residents], [names[row] for row in residents])
        findings = findings.moved(residents, len(numbers))
        for row in sorted(set(range(len(numbers))).difference(residents)):
            finding = self.find(subject_types[row], numbers[row], names[row])
            if isinstance(finding, Refusal):
                findings.refusals[row] = finding
                continue
            for holding in finding:
                findings.holdings.add(row, holding)
            if subject_types[row] == "RESIDENT_ID":
                index = resident_index(numbers[row])
                findings.persons[row] = -1 if index is None else index
        return findings

    def _find_residents(self, numbers: Sequence[str], names: Sequence[str]) -> Findings:
        """Looks up residents."""
        persons = resident_indices(numbers)
        known = self._people.person_names(persons)
        refusals: dict[int, Refusal] = {}
        if known != list(names) or persons.min(initial=0) < 0:
            for row, (asked, name) in enumerate(zip(names, known, strict=True)):
                if persons[row] < 0 or asked != name:
                    persons[row] = -1
                    finding = self.find("RESIDENT_ID", numbers[row], asked)
                    if isinstance(finding, Refusal):
                        refusals[row] = finding
        return Findings(persons, refusals, self._holdings_of(persons, numbers, names))

    def _holdings_of(self, persons: NDArray[np.int64], numbers: Sequence[str], names: Sequence[str]) -> Holdings:
        """The things that the persons with these ordinals, numbers and names own or share. Ordinal -1 owns nothing."""
        slots = self._slots_of(persons)
        words = mixed_all(slots ^ np.uint64(self._key))
        taken = (words & np.uint64(_TAKEN_MASK)) < np.uint64(self._threshold)
        taken &= (persons >= 0)[:, None]
        taken[:, SLOTS_EACH:] &= words[:, SLOTS_EACH:] >= np.uint64(1 << _SHARED_SHIFT)
        rows, columns = np.nonzero(taken)
        drawn = words[taken]
        asked_for = rows.tolist()
        holdings = Holdings(
            rows=asked_for,
            variants=(drawn >> np.uint64(_TAKEN_BITS) & np.uint64(_VARIANT_MASK)).tolist(),
            numbers=self.numbers.of_all(slots[taken]),
            document_types=["RESIDENT_ID"] * len(asked_for),
            document_numbers=[numbers[row] for row in asked_for],
            names=[names[row] for row in asked_for],
            others={},
        )
        if self._spouses_share:
            shared = np.flatnonzero(drawn >> np.uint64(_SHARED_SHIFT))
            spouses = self._people.person_names(persons[rows[shared]] ^ 1)
            for index, is_own, spouse in zip(shared.tolist(), columns[shared] < SLOTS_EACH, spouses, strict=True):
                holdings.share(index, spouse_id(holdings.document_numbers[index]), spouse, is_second=bool(is_own))
        return holdings

    def _slots_of(self, indices: NDArray[np.int64]) -> NDArray[np.uint64]:
        """One row of slots for each ordinal: the person's own slots, then the spouse's if spouses share."""
        first = indices.view(np.uint64) * np.uint64(SLOTS_EACH)
        own = [first + np.uint64(offset) for offset in range(SLOTS_EACH)]
        spouses = [slots ^ np.uint64(SLOTS_EACH) for slots in own] if self._spouses_share else []
        return np.stack(own + spouses, axis=1)


def _occupancy(hit_rate: float, shared: float) -> float:
    """The proportion p of occupied slots for a hit rate, with two own slots and two slots of the spouse.

    1 - hit_rate = ((1 - p) (1 - shared p))^2, solved for p.
    """
    neither = math.sqrt(1 - hit_rate)
    if not shared:
        return 1 - neither
    middle = 1 + shared
    return (middle - math.sqrt(middle**2 - 4 * shared * (1 - neither))) / (2 * shared)

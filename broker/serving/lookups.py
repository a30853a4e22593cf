"""Reads a request's lookups into columns: normalised, checked and keyed, most of them without looking at one alone.

What is wrong with one lookup becomes that lookup's own `Problem`, and the others go on.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from itertools import chain
from operator import methodcaller
from typing import NamedTuple, TypeVar, overload

import numpy as np
from google.protobuf.message import DecodeError

from broker.core.planning.chunk import LookupColumns
from broker.core.subjects.fault import Fault
from broker.core.subjects.key import SIZE, Keyer
from broker.core.subjects.name_standard import may_differ, standard
from broker.core.subjects.names import read_names
from broker.core.subjects.numbers import normalise_numbers
from broker.core.subjects.plain_lookups import FORMS, find_plain
from broker.core.wire import encoding
from broker.model import PERSON_TYPES, Problem, Subject, SubjectType
from broker.serving.undecodable import describe
from broker.v1 import investigation_pb2 as pb

T = TypeVar("T")

LONGEST_REF = 64

_PROPERTY_TYPES = {
    "vehicle_plate": SubjectType.VEHICLE_PLATE,
    "vehicle_vin": SubjectType.VEHICLE_VIN,
    "real_estate_unit": SubjectType.REAL_ESTATE_UNIT,
    "bank_account": SubjectType.BANK_ACCOUNT,
    "securities_account": SubjectType.SECURITIES_ACCOUNT,
}
_PERSON_TYPES: frozenset[int] = PERSON_TYPES
_FIELDS: dict[int, str] = (
    dict.fromkeys(_PERSON_TYPES, "person.document_number")
    | {int(SubjectType.ORGANIZATION_CODE): "organization.code"}
    | {int(subject_type): f"property.{field}" for field, subject_type in _PROPERTY_TYPES.items()}
)
"""The field a number came from, by type."""

_NO_SUBJECT = Problem("NO_SUBJECT", "subject", "says nothing to look up: set person, organization or property")
_NO_NUMBER = Problem("NO_SUBJECT", "property.number", "says nothing to look up: set one of the numbers")
_BAD_TYPE = Problem(
    "BAD_TYPE", "person.document_type", "is no document of a person: set one of DocumentType 1 to 5 or 12 to 15"
)
_NO_REF = Problem("BAD_REF", "ref", "is empty: give each lookup a name of your own, so that its report can be told")
_LONG_REF = Problem("BAD_REF", "ref", f"is longer than {LONGEST_REF} characters: shorten it")
NOBODY_ASKED = Problem("NOBODY_ASKED", "subject", "concerns none of the institutions asked: select one of its kind")
SHARED_REF = Problem("DUPLICATE_REF", "ref", "names lookups of different subjects: give each its own")


# Below so many lookups numpy's fixed cost, about 0.2 ms, is more than looking at them one by one.
_FEW = 16


def read_lookups(
    lookups: Sequence[bytes], keyer: Keyer, *, today: date, committer: Keyer | None = None
) -> LookupColumns:
    """The lookups, normalised, checked one by one, and keyed.

    With a `committer`, there are commitments to them, too, of which the keys are made.
    """
    if len(lookups) <= _FEW:
        return look_closely(lookups, keyer, today, committer)
    first, *others = _parts(lookups, keyer, today, committer)
    if others:
        return _merged([first, *others])
    subjects = _Subjects([first], range(len(lookups)))  # as nearly always, all are in one part, in order
    return LookupColumns(
        first.heads,
        first.types,
        first.keys,
        subjects,
        first.problems,
        first.warnings,
        first.commitments,
        first.standards,
    )


class _Part(NamedTuple):
    """Some of a batch's lookups, read in one way: aligned columns."""

    places: Sequence[int]
    """In the batch."""
    heads: Sequence[bytes]
    types: Sequence[int]
    keys: Sequence[bytes]
    commitments: bytes
    problems: dict[int, Problem]
    """By index into the columns."""
    warnings: dict[int, Problem]
    """By index into the columns."""
    standards: dict[int, bytes]
    """By index into the columns."""
    subjects: Callable[[], Sequence[Subject]]
    """Those of plain lookups are made when one is needed: for a batch of hits, never."""


def _parts(lookups: Sequence[bytes], keyer: Keyer, today: date, committer: Keyer | None) -> Iterator[_Part]:
    """First those that are plain, then what needs a closer look."""
    rest: Sequence[int] = range(len(lookups))
    left = lookups
    for form in FORMS:
        plain = find_plain(left, form, today=today)
        is_all = len(plain.indices) == len(left)
        places = rest if is_all else [rest[index] for index in plain.indices]
        types = [int(plain.type)] * len(places)
        commitments = committer.joined_keys_of(plain.messages) if committer else b""
        keys = keyer.of_commitments(commitments) if committer else keyer.keys_of(plain.messages)
        yield _Part(places, plain.heads, types, keys, commitments, {}, {}, {}, plain.subjects)
        if is_all:
            return
        rest = sorted(set(rest).difference(places))
        left = [lookups[place] for place in rest]
    others = look_closely(left, keyer, today, committer)
    yield _Part(
        rest,
        others.heads,
        others.types,
        others.keys,
        others.commitments,
        others.problems,
        others.warnings,
        others.standards,
        lambda: others.subjects,
    )


def _merged(parts: Sequence[_Part]) -> LookupColumns:
    """The parts of a batch as one, in its order."""
    order = np.concatenate([np.array(part.places, np.intp) for part in parts]).argsort().tolist()

    def ordered(columns: Iterable[Sequence[T]]) -> list[T]:
        return list(map(list(chain.from_iterable(columns)).__getitem__, order))

    return LookupColumns(
        heads=ordered(part.heads for part in parts),
        types=ordered(part.types for part in parts),
        keys=ordered(part.keys for part in parts),
        subjects=_Subjects(parts, order),
        problems={part.places[index]: problem for part in parts for index, problem in part.problems.items()},
        warnings={part.places[index]: warning for part in parts for index, warning in part.warnings.items()},
        commitments=_ordered_commitments(parts, order),
        standards={part.places[index]: each for part in parts for index, each in part.standards.items()},
    )


def _ordered_commitments(parts: Sequence[_Part], order: Sequence[int]) -> bytes:
    joined = np.frombuffer(b"".join([part.commitments for part in parts]), np.uint8).reshape(-1, SIZE)
    return joined[order].tobytes() if len(joined) else b""


class _Subjects(Sequence[Subject]):
    """Subjects of a batch that was read in parts. State: the subjects in the batch's order, once one was needed."""

    def __init__(self, parts: Sequence[_Part], order: Sequence[int]) -> None:
        """`order`: of the parts' subjects, all in a row, the one in each place of the batch."""
        self._parts = parts
        self._order = order
        self._made: list[Subject] | None = None

    def __len__(self) -> int:
        return len(self._order)

    @overload
    def __getitem__(self, place: int) -> Subject: ...
    @overload
    def __getitem__(self, place: slice) -> list[Subject]: ...
    def __getitem__(self, place: int | slice) -> Subject | list[Subject]:
        if self._made is None:
            every = list(chain.from_iterable(part.subjects() for part in self._parts))
            self._made = list(map(every.__getitem__, self._order))
        return self._made[place]


def look_closely(encoded: Sequence[bytes], keyer: Keyer, today: date, committer: Keyer | None = None) -> LookupColumns:
    """The same as `read_lookups`, but every lookup is parsed and checked one by one."""
    lookups, undecodable = _decoded(encoded)
    problems: dict[int, Problem] = {}
    types, numbers, names = _read_subjects(lookups, problems)
    numbers, number_faults, doubts = normalise_numbers(types, numbers, today=today)
    names, name_faults = read_names(names)
    _add_faults(problems, types, number_faults, name_faults)
    refs = [lookup.ref for lookup in lookups]
    _check_refs(refs, problems)
    problems |= undecodable
    commitments = b"".join(committer.keys(types, numbers, names)) if committer else b""
    return LookupColumns(
        heads=[encoding.text_field(1, ref) for ref in refs],
        types=types,
        keys=keyer.of_commitments(commitments) if committer else keyer.keys(types, numbers, names),
        subjects=[Subject(SubjectType(one), *rest) for one, *rest in zip(types, numbers, names, strict=True)],
        problems=problems,
        warnings={place: _about_number(types[place], doubt) for place, doubt in doubts.items()},
        commitments=commitments,
        standards=_standards(types, numbers, names, committer) if committer else {},
    )


def _standards(
    types: Sequence[int], numbers: Sequence[str], names: Sequence[str], committer: Keyer
) -> dict[int, bytes]:
    """The commitments to standard spellings, by place, where another spelling was sent.

    Institutions that do not find the one are asked under the other, so the lookup is about both.
    """
    if not may_differ("\n".join(names)):
        return {}
    spelt = [standard(subject_type, name) for subject_type, name in zip(types, names, strict=True)]
    places = [place for place, name in enumerate(names) if spelt[place] != name]
    commitments = committer.keys(
        [types[place] for place in places], [numbers[place] for place in places], [spelt[place] for place in places]
    )
    return dict(zip(places, commitments, strict=True))


def _decoded(encoded: Sequence[bytes]) -> tuple[list[pb.Lookup], dict[int, Problem]]:
    """The lookups, with a substitute for each that cannot be decoded, and why that is, by place."""
    try:
        return list(map(pb.Lookup.FromString, encoded)), {}
    except DecodeError:
        return _decoded_one_by_one(encoded)


def _decoded_one_by_one(encoded: Sequence[bytes]) -> tuple[list[pb.Lookup], dict[int, Problem]]:
    lookups: list[pb.Lookup] = []
    problems: dict[int, Problem] = {}
    for place, each in enumerate(encoded):
        try:
            lookups.append(pb.Lookup.FromString(each))
        except DecodeError:
            lookup, problems[place] = describe(each)
            lookups.append(lookup)
    return lookups, problems


_which = methodcaller("WhichOneof", "subject")
_Readings = tuple[list[int], list[str], list[str]]
"""Types, numbers and names."""


def _read_subjects(lookups: Sequence[pb.Lookup], problems: dict[int, Problem]) -> _Readings:
    whiches = list(map(_which, lookups))
    if whiches.count("person") == len(lookups):  # as in nearly every batch
        return _read_persons(lookups, problems, range(len(lookups)))
    types, numbers, names = [0] * len(lookups), [""] * len(lookups), [""] * len(lookups)
    for which, read in _READERS.items():
        places = [place for place, one in enumerate(whiches) if one == which]
        columns = read([lookups[place] for place in places], problems, places)
        for place, subject in zip(places, zip(*columns, strict=True), strict=True):
            types[place], numbers[place], names[place] = subject
    return types, numbers, names


def _read_persons(lookups: Sequence[pb.Lookup], problems: dict[int, Problem], places: Sequence[int]) -> _Readings:
    persons = [lookup.person for lookup in lookups]
    types = [int(person.document_type) for person in persons]
    if not _PERSON_TYPES.issuperset(types):
        for index, subject_type in enumerate(types):
            if subject_type not in _PERSON_TYPES:
                problems[places[index]] = _BAD_TYPE
                types[index] = SubjectType.PASSPORT
    return types, [person.document_number for person in persons], [person.name for person in persons]


def _read_organizations(lookups: Sequence[pb.Lookup], _: dict[int, Problem], places: Sequence[int]) -> _Readings:
    organizations = [lookup.organization for lookup in lookups]
    types = [int(SubjectType.ORGANIZATION_CODE)] * len(places)
    return types, [one.code for one in organizations], [one.name for one in organizations]


def _read_properties(lookups: Sequence[pb.Lookup], problems: dict[int, Problem], places: Sequence[int]) -> _Readings:
    types, numbers = [], []
    for lookup, place in zip(lookups, places, strict=True):
        field = lookup.property.WhichOneof("number")
        if field is None:
            problems[place] = _NO_NUMBER if lookup.HasField("property") else _NO_SUBJECT
        types.append(int(_PROPERTY_TYPES.get(field or "", SubjectType.VEHICLE_PLATE)))
        numbers.append(getattr(lookup.property, field) if field else "")
    return types, numbers, [""] * len(places)


_READERS = {
    "person": _read_persons,
    "organization": _read_organizations,
    "property": _read_properties,
    None: _read_properties,
}


def _add_faults(
    problems: dict[int, Problem],
    types: Sequence[int],
    number_faults: dict[int, Fault],
    name_faults: dict[int, Fault],
) -> None:
    for place, fault in number_faults.items():
        problems.setdefault(place, _about_number(types[place], fault))
    for place, fault in name_faults.items():
        field = _FIELDS[types[place]].partition(".")[0]
        if field != "property":  # things have no name
            problems.setdefault(place, Problem(fault.reason, f"{field}.name", fault.message))


def _about_number(subject_type: int, fault: Fault) -> Problem:
    return Problem(fault.reason, _FIELDS[subject_type], fault.message)


def _check_refs(refs: Sequence[str], problems: dict[int, Problem]) -> None:
    if "" in refs:
        problems.update((place, _NO_REF) for place, ref in enumerate(refs) if not ref)
    if len(max(refs, key=len, default="")) > LONGEST_REF:
        problems.update((place, _LONG_REF) for place, ref in enumerate(refs) if len(ref) > LONGEST_REF)


def ambiguous(heads: Sequence[bytes], keys: Sequence[bytes]) -> frozenset[bytes]:
    """Heads that several lookups of different subjects share. Costs next to nothing when no ref comes twice."""
    if len(set(heads)) == len(heads):
        return frozenset()
    subjects: dict[bytes, set[bytes]] = {}
    for head, key in zip(heads, keys, strict=True):
        subjects.setdefault(head, set()).add(key)
    return frozenset(head for head, different in subjects.items() if len(different) > 1)

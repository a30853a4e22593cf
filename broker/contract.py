"""Between the courts' contract (investigation.proto) and the broker's own words. Decides nothing but form.

What is wrong with a request as a whole is gathered into one `InvalidRequestError`; what is wrong with one lookup
becomes that lookup's own `Problem`, and the others go on.
"""

import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from operator import attrgetter, methodcaller
from typing import Any

from broker.core import wire
from broker.core.court import read_mandate
from broker.core.identity import Fault, normalise_names, normalise_numbers
from broker.core.selection import Selection
from broker.core.tally import Tally
from broker.errors import InvalidRequestError, Violation
from broker.model import Delivery, Kind, Mandate, Outcome, Priority, Problem, Source, SubjectType
from broker.v1 import investigation_pb2 as pb

LONGEST_REF = 64
_LONGEST_REQUEST_ID = 128
_MOST_INSTITUTIONS = 5_000  # the largest system known to us connects 3,992
_MOST_KINDS = 64
_LONGEST_AGE = 10 * 365 * 86_400  # s; what protobuf calls a Duration may be ten thousand years

_PROPERTY_TYPES = {
    "vehicle_plate": SubjectType.VEHICLE_PLATE,
    "vehicle_vin": SubjectType.VEHICLE_VIN,
    "real_estate_unit": SubjectType.REAL_ESTATE_UNIT,
    "bank_account": SubjectType.BANK_ACCOUNT,
    "securities_account": SubjectType.SECURITIES_ACCOUNT,
}
_PERSON_TYPES = frozenset(range(SubjectType.RESIDENT_ID, SubjectType.ORGANIZATION_CODE))
_FIELDS: dict[int, str] = (
    dict.fromkeys(_PERSON_TYPES, "person.document_number")
    | {int(SubjectType.ORGANIZATION_CODE): "organization.code"}
    | {int(subject_type): f"property.{field}" for field, subject_type in _PROPERTY_TYPES.items()}
)
"""The field a number came from, by type."""

_NO_SUBJECT = Problem("NO_SUBJECT", "subject", "says nothing to look up: set person, organization or property")
_NO_NUMBER = Problem("NO_SUBJECT", "property.number", "says nothing to look up: set one of the numbers")
_BAD_TYPE = Problem("BAD_TYPE", "person.document_type", "is no document a person has: set one of DocumentType 1 to 5")
_NO_REF = Problem("BAD_REF", "ref", "is empty: give each lookup a name of your own, so that its report can be told")
_LONG_REF = Problem("BAD_REF", "ref", f"is longer than {LONGEST_REF} characters: shorten it")
NOBODY_ASKED = Problem("NOBODY_ASKED", "subject", "concerns none of the institutions asked: select one of its kind")
SHARED_REF = Problem("DUPLICATE_REF", "ref", "names lookups of different subjects: give each its own")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An `InvestigateRequest`, checked as a whole; its lookups are not read yet."""

    mandate: Mandate
    lookups: Sequence[pb.Lookup]
    institution_ids: tuple[str, ...]
    kinds: frozenset[Kind]
    max_age: float | None
    """Seconds; None: whatever is still valid."""
    priority: Priority
    delivery: Delivery
    request_id: str


@dataclass(frozen=True, slots=True)
class Columns:
    """Some of a request's lookups, normalised: aligned columns."""

    refs: Sequence[str]
    types: Sequence[int]
    numbers: Sequence[str]
    names: Sequence[str]
    problems: dict[int, Problem]
    """What is wrong with a lookup, by its place in the columns."""


def read_request(message: pb.InvestigateRequest, *, most_lookups: int) -> Request:
    """The request, without its lookups. Raises `InvalidRequestError` naming everything wrong with it as a whole."""
    violations: list[Violation] = []
    mandate = _read_mandate(message, violations)
    _check_count(len(message.lookups), most_lookups, violations)
    max_age = _read_max_age(message, violations)
    kinds = _read_kinds(message.kinds, violations)
    if len(message.institution_ids) > _MOST_INSTITUTIONS:
        violations.append(
            Violation("institution_ids", f"names more than {_MOST_INSTITUTIONS}: leave it out to ask all")
        )
    priority = _read_word("priority", Priority, message.priority, violations)
    delivery = _read_word("delivery", Delivery, message.delivery, violations)
    if len(message.request_id) > _LONGEST_REQUEST_ID:
        violations.append(Violation("request_id", f"is longer than {_LONGEST_REQUEST_ID} characters: shorten it"))
    if violations or mandate is None:
        raise InvalidRequestError(violations)
    return Request(
        mandate=mandate,
        lookups=message.lookups,
        institution_ids=tuple(dict.fromkeys(message.institution_ids)),
        kinds=kinds,
        max_age=max_age,
        priority=priority,
        delivery=delivery,
        request_id=message.request_id or uuid.uuid4().hex,
    )


def _read_mandate(message: pb.InvestigateRequest, violations: list[Violation]) -> Mandate | None:
    given = message.mandate
    try:
        return read_mandate(given.court_code, given.officer, given.case_number, given.legal_document)
    except InvalidRequestError as error:
        violations.extend(error.violations)
        return None


def _check_count(count: int, most: int, violations: list[Violation]) -> None:
    if not count:
        violations.append(Violation("lookups", "is empty: send at least one"))
    if count > most:
        violations.append(Violation("lookups", f"holds {count}, at most {most} are taken at a time: split it"))


def _read_max_age(message: pb.InvestigateRequest, violations: list[Violation]) -> float | None:
    if not message.HasField("max_age"):
        return None
    given = message.max_age
    if not (0 <= given.seconds <= _LONGEST_AGE and 0 <= given.nanos < 1_000_000_000):
        violations.append(Violation("max_age", "is negative or over ten years: leave it out to take any valid answer"))
    return given.seconds + given.nanos / 1e9


def _read_kinds(given: Sequence[int], violations: list[Violation]) -> frozenset[Kind]:
    kinds = set()
    if len(given) > _MOST_KINDS:
        violations.append(Violation("kinds", f"names more than {_MOST_KINDS}: name each kind once"))
    for index, number in enumerate(given[:_MOST_KINDS]):
        try:
            kinds.add(Kind(number))
        except ValueError:
            violations.append(Violation(f"kinds[{index}]", "is no InstitutionKind: name one, or leave it out"))
    return frozenset(kinds)


def _read_word(field: str, enum: Any, number: int, violations: list[Violation]) -> Any:
    """A member of an enumeration whose first member is the default."""
    try:
        return enum(number or 1)
    except ValueError:
        violations.append(Violation(field, f"is none of {', '.join(enum.__members__)}"))
        return enum(1)


def read_refs(lookups: Sequence[pb.Lookup]) -> list[str]:
    """The refs alone: they are needed through the whole request, the rest of a lookup only while it is planned."""
    return list(map(_ref, lookups))


def read_lookups(lookups: Sequence[pb.Lookup], refs: Sequence[str], *, today: date) -> Columns:
    """The lookups with these refs, normalised and checked one by one."""
    lookups = list(lookups)
    problems: dict[int, Problem] = {}
    types, numbers, names = _read_subjects(lookups, problems)
    numbers, number_faults = normalise_numbers(types, numbers, today=today)
    names, name_faults = normalise_names(names)
    _add_faults(problems, types, number_faults, name_faults)
    _check_refs(refs, problems)
    return Columns(refs, types, numbers, names, problems)


# Columns are read one field at a time: attrgetter and map cost half of what a loop over lookups does.
_ref = attrgetter("ref")
_which = methodcaller("WhichOneof", "subject")
_Subjects = tuple[list[int], list[str], list[str]]
"""Types, numbers and names."""


def _read_subjects(lookups: Sequence[pb.Lookup], problems: dict[int, Problem]) -> _Subjects:
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


def _read_persons(lookups: Sequence[pb.Lookup], problems: dict[int, Problem], places: Sequence[int]) -> _Subjects:
    persons = [lookup.person for lookup in lookups]
    types = [int(person.document_type) for person in persons]
    if not _PERSON_TYPES.issuperset(types):
        for index, subject_type in enumerate(types):
            if subject_type not in _PERSON_TYPES:
                problems[places[index]] = _BAD_TYPE
                types[index] = SubjectType.PASSPORT
    return types, [person.document_number for person in persons], [person.name for person in persons]


def _read_organizations(lookups: Sequence[pb.Lookup], _: dict[int, Problem], places: Sequence[int]) -> _Subjects:
    organizations = [lookup.organization for lookup in lookups]
    types = [int(SubjectType.ORGANIZATION_CODE)] * len(places)
    return types, [one.code for one in organizations], [one.name for one in organizations]


def _read_properties(lookups: Sequence[pb.Lookup], problems: dict[int, Problem], places: Sequence[int]) -> _Subjects:
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
        problems.setdefault(place, Problem(fault.reason, _FIELDS[types[place]], fault.message))
    for place, fault in name_faults.items():
        field = _FIELDS[types[place]].partition(".")[0]
        if field != "property":  # things have no name
            problems.setdefault(place, Problem(fault.reason, f"{field}.name", fault.message))


def _check_refs(refs: Sequence[str], problems: dict[int, Problem]) -> None:
    if "" in refs:
        problems.update((place, _NO_REF) for place, ref in enumerate(refs) if not ref)
    if len(max(refs, key=len, default="")) > LONGEST_REF:
        problems.update((place, _LONG_REF) for place, ref in enumerate(refs) if len(ref) > LONGEST_REF)


def ambiguous_refs(refs: Sequence[str], lookups: Sequence[pb.Lookup], *, today: date) -> frozenset[str]:
    """Refs that several lookups of different subjects share. Costs next to nothing when no ref comes twice."""
    if len(set(refs)) == len(refs):
        return frozenset()
    twice = {ref for ref, count in Counter(refs).items() if count > 1}
    places = [place for place, ref in enumerate(refs) if ref in twice]
    columns = read_lookups([lookups[place] for place in places], [refs[place] for place in places], today=today)
    subjects: dict[str, set[tuple[int, str, str]]] = {}
    lines = zip(columns.types, columns.numbers, columns.names, strict=True)
    for ref, subject in zip(columns.refs, lines, strict=True):
        subjects.setdefault(ref, set()).add(subject)
    return frozenset(ref for ref, different in subjects.items() if len(different) > 1)


def invalid_report(headers: wire.Headers, position: int, problem: Problem) -> bytes:
    """The report on a lookup that nobody was asked about."""
    answer = wire.seal("", [wire.content(Outcome.INVALID, problem=problem)], Source.BROKER)[0]
    return headers.report(position, wire.FINAL + wire.COMPLETE, answer)


def final_reports(messages: Iterable[bytes]) -> Iterator[pb.Report]:
    """The final reports in encoded responses."""
    for message in messages:
        yield from (report for report in pb.InvestigateResponse.FromString(message).reports if report.final)


def write_summary(
    request: Request, selection: Selection, tally: Tally, *, invalid: int, complete: bool, elapsed: float
) -> bytes:
    """The stream's last message. `elapsed` in seconds."""
    outcomes = tally.by_outcome()
    sources = tally.by_source()
    if invalid:
        outcomes[Outcome.INVALID] = outcomes.get(Outcome.INVALID, 0) + invalid
        sources[Source.BROKER] = sources.get(Source.BROKER, 0) + invalid
    unavailable = tally.columns_with(Outcome.UNAVAILABLE, Outcome.TIMED_OUT)
    summary = pb.Summary(
        request_id=request.request_id,
        lookups=len(request.lookups),
        inquiries=sum(outcomes.values()),
        outcomes=[_outcome_count(outcome, count) for outcome, count in outcomes.items()],
        sources=[_source_count(source, count) for source, count in sources.items()],
        unavailable_institution_ids=[selection.institutions[column].id for column in unavailable],
        complete=complete,
    )
    summary.elapsed.FromNanoseconds(int(elapsed * 1e9))
    return pb.InvestigateResponse(summary=summary).SerializeToString()


def _outcome_count(outcome: Any, count: int) -> pb.OutcomeCount:
    return pb.OutcomeCount(outcome=outcome, count=count)


def _source_count(source: Any, count: int) -> pb.SourceCount:
    return pb.SourceCount(source=source, count=count)

"""Which institutions a request asks, and what that means for each type of subject.

A *column* is an institution's place among all those the request selected, in order of their ids. A `Choice` is the
subset of columns that can say something about one type of subject.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from broker.core.subjects.court import reaches
from broker.core.subjects.request_id import WITHHELD, loggable
from broker.core.wire import record
from broker.errors import InvalidRequestError, Violation
from broker.model import KINDS_ASKED, Court, InstitutionSpec, Kind, SubjectType


# Compared by identity: a choice is a dictionary's key once per lookup.
@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """The columns asked about one type of subject, and how to recognise a record that holds exactly those."""

    columns: tuple[int, ...]
    institutions: tuple[bytes, ...]
    """`institution_key` of each column."""
    fingerprint: bytes
    body_at: int
    blank: tuple[bytes | None, ...]
    """A row of the report before anything is known: None where an answer is awaited, empty elsewhere."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The institutions one request asks."""

    institutions: tuple[InstitutionSpec, ...]
    choices: Mapping[int, Choice]
    """By SubjectType."""
    kinds: frozenset[Kind]
    """Of the institutions."""
    regions: frozenset[str | None]
    """Of the institutions; None for national ones."""


_REMEMBERED = 1024  # selections; 33 regions with thirty favourite subsets each
_LONGEST_REMEMBERED = 64  # ids; longer lists are rare, and remembering them would let callers fill memory


class Selector:
    """Selects from one registry, and remembers: the same courts ask the same institutions all day."""

    def __init__(self, registry: Sequence[InstitutionSpec]) -> None:
        self.registry = tuple(registry)
        self._remembered: dict[tuple[str | None, tuple[str, ...], frozenset[Kind]], Selection] = {}

    def select(self, court: Court, *, ids: Sequence[str] = (), kinds: frozenset[Kind] = frozenset()) -> Selection:
        """See `select`."""
        key = (court.region, tuple(ids), kinds)  # of a court, only its region matters here
        selection = self._remembered.get(key)
        if selection is None:
            selection = select(self.registry, court, ids=ids, kinds=kinds)
            if len(ids) <= _LONGEST_REMEMBERED:
                if len(self._remembered) >= _REMEMBERED:
                    self._remembered.clear()
                self._remembered[key] = selection
        return selection


def select(
    registry: Sequence[InstitutionSpec], court: Court, *, ids: Collection[str] = (), kinds: Collection[Kind] = ()
) -> Selection:
    """The institutions of `registry` that `court` asks: all it can reach, or those named, or those of some kinds.

    Raises `InvalidRequestError` naming every institution that does not exist, cannot be reached by this court, or is
    not of the kinds asked for; and when nobody is left to ask.
    """
    by_id = {spec.id: spec for spec in registry}
    wanted_ids = frozenset(ids)
    violations = [
        Violation(f"institution_ids[{index}]", complaint)
        for index, wanted in enumerate(ids)
        if (complaint := _complaint(by_id.get(wanted), wanted, court, kinds))
    ]
    if violations:
        raise InvalidRequestError(violations)
    chosen = [
        spec
        for spec in registry
        if (spec.id in wanted_ids or not ids) and (spec.kind in kinds or not kinds) and reaches(court, spec.region)
    ]
    if not chosen:
        raise InvalidRequestError(
            [Violation("kinds", "no institution of these kinds can be reached; ListInstitutions shows which can")]
        )
    return _selection(sorted(chosen, key=lambda spec: spec.id))


def _complaint(spec: InstitutionSpec | None, wanted: str, court: Court, kinds: Collection[Kind]) -> str | None:
    if spec is None:
        shown = loggable(wanted)  # a gateway may log what it is told
        called = "so" if shown == WITHHELD else repr(shown[:64])
        return f"no institution is called {called}; ListInstitutions shows their ids"
    if not reaches(court, spec.region):
        return f"{wanted} answers only courts of region {spec.region}; leave it out"
    if kinds and spec.kind not in kinds:
        return f"{wanted} is of kind {spec.kind.name}, which kinds leaves out"
    return None


def _selection(institutions: Sequence[InstitutionSpec]) -> Selection:
    keys = [record.institution_key(spec.id) for spec in institutions]
    by_kinds = {kinds: _choice(institutions, keys, kinds) for kinds in set(KINDS_ASKED.values())}
    return Selection(
        institutions=tuple(institutions),
        choices={int(subject_type): by_kinds[KINDS_ASKED[subject_type]] for subject_type in SubjectType},
        kinds=frozenset(spec.kind for spec in institutions),
        regions=frozenset(spec.region for spec in institutions),
    )


def _choice(institutions: Sequence[InstitutionSpec], keys: Sequence[bytes], kinds: Iterable[Kind]) -> Choice:
    columns = tuple(column for column, spec in enumerate(institutions) if spec.kind in kinds)
    chosen = tuple(keys[column] for column in columns)
    return Choice(
        columns=columns,
        institutions=chosen,
        fingerprint=record.fingerprint(chosen),
        body_at=record.body_at(len(columns)),
        blank=tuple(None if spec.kind in kinds else b"" for spec in institutions),
    )

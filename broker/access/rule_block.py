"""One [[rule]] block of a policy: its keys, their rules, and its meaning. `docs/policy.md` explains them."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Annotated, Literal

from broker.access.court_set import parse_court_set
from broker.access.officer_set import parse_officer_set
from broker.access.policy import METHODS, NATIONAL, Allowed, Callers, PolicyRule
from broker.access.quota import QUOTAS, Quotas
from broker.access.registry import fingerprint_fault, plain_fingerprint
from broker.access.text_checks import Check, name_fault, not_empty, parsed_by
from broker.core.subjects.court import court_region
from broker.model import Kind, Level
from broker.sections import ConfigFault, Section

_KINDS = {kind.name.lower(): kind for kind in Kind}
_LOOKUPS = ("person", "property")
_MOST_SUBJECTS = 10_000_000  # of a quota: its commitments take 8 bytes each, and are sorted in one step


def _among(names: Iterable[str]) -> Check:
    known = [str(name) for name in names]

    def rule(texts: list[str]) -> str | None:
        return "; ".join(_unknown(text, known) for text in texts if text not in known) or None

    return rule


def _regions(texts: list[str]) -> str | None:
    wrong = [text for text in texts if text != NATIONAL and court_region(text) is None]
    if wrong:
        return f"{wrong[0]!r} must be the character that a region's court codes begin with, such as 京, or {NATIONAL!r}"
    return None


def _quotas(limits: dict[str, int]) -> str | None:
    reasons = [_unknown(name, list(QUOTAS)) for name in limits if name not in QUOTAS]
    if not all(1 <= limit <= _MOST_SUBJECTS for limit in limits.values()):
        reasons.append(f"must be 1 to {_MOST_SUBJECTS} subjects; leave a quota out to allow any number")
    return "; ".join(reasons) or None


def _unknown(text: str, known: list[str]) -> str:
    similar = get_close_matches(text, known, n=1)
    meant = f"; did you mean {similar[0]}?" if similar else ""
    return f"{text!r} is none of {', '.join(known)}{meant}"


class RuleBlock(Section, frozen=True, kw_only=True):
    """One block, as written."""

    name: Annotated[str, name_fault]
    courts: Annotated[list[str] | None, not_empty, parsed_by(parse_court_set)] = None
    operators: Annotated[list[str] | None, not_empty] = None
    fingerprints: Annotated[list[str] | None, not_empty, fingerprint_fault] = None
    delegation: bool = False
    on_behalf_of: Annotated[list[str], parsed_by(parse_court_set)] = []  # noqa: RUF012 - msgspec copies it
    methods: Annotated[list[str] | None, not_empty, _among(METHODS)] = None
    levels: Annotated[list[str] | None, not_empty, _among(Level)] = None
    officers: Annotated[list[str] | None, not_empty, parsed_by(parse_officer_set)] = None
    kinds: Annotated[list[str] | None, not_empty, _among(_KINDS)] = None
    lookups: Annotated[list[str] | None, not_empty, _among(_LOOKUPS)] = None
    regions: Annotated[list[str] | None, not_empty, _regions] = None
    signature: Literal["required", "optional"] = "optional"
    quotas: Annotated[dict[str, int], _quotas] = {}  # noqa: RUF012

    def conflicts(self) -> Iterator[ConfigFault]:
        """See `Section`."""
        if self.courts is None and self.operators is None and self.fingerprints is None:
            yield ConfigFault(
                "courts", "courts, operators or fingerprints are needed, or the rule would concern everybody"
            )
        if self.delegation and self.courts is None:
            yield ConfigFault("delegation", "goes with courts, and only with it: it is about the courts below them")

    def rule(self) -> PolicyRule:
        """The same, compiled."""
        return PolicyRule(
            name=self.name,
            callers=self._callers(),
            delegation=self.delegation,
            on_behalf_of=parse_court_set(self.on_behalf_of),
            allowed=self._allowed(),
            signature_required=self.signature == "required",
            quotas=Quotas(**self.quotas),
        )

    def _callers(self) -> Callers:
        return Callers(
            courts=None if self.courts is None else parse_court_set(self.courts),
            operators=None if self.operators is None else frozenset(self.operators),
            fingerprints=None if self.fingerprints is None else frozenset(map(plain_fingerprint, self.fingerprints)),
        )

    def _allowed(self) -> Allowed:
        lookups = _LOOKUPS if self.lookups is None else self.lookups
        return Allowed(
            methods=frozenset(METHODS if self.methods is None else self.methods),
            levels=frozenset(Level) if self.levels is None else frozenset(map(Level, self.levels)),
            officers=None if self.officers is None else parse_officer_set(self.officers),
            kinds=frozenset(_KINDS[name] for name in (_KINDS if self.kinds is None else self.kinds)),
            persons="person" in lookups,
            properties="property" in lookups,
            regions=None if self.regions is None else frozenset(map(_region, self.regions)),
        )


def _region(text: str) -> str | None:
    return None if text == NATIONAL else court_region(text)

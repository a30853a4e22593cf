"""Who may ask what: rules compiled to sets, and one decision per request. Pure; `policy_file` reads the rules.

Rules

1. Nothing is allowed unless a rule allows it.
2. A rule concerns the callers that meet all of its criteria: a court, an operator, the fingerprint of the certificate.
3. A request is allowed if one rule allows all of it. Rules do not add up. If several do, the first in the file counts:
   its quotas are charged, and it says whether a signature is required.
4. If none does, the refusal names the rule that came furthest in the order of `PolicyRule.refusal`, and the first
   field that it does not allow.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from broker.access.court_set import NO_COURTS, CourtSet
from broker.access.identity import Identity
from broker.access.officer_set import OfficerSet
from broker.access.quota import NO_QUOTAS, Quotas
from broker.access.signature import RegisteredKey, RegisteredKeys
from broker.core.subjects.court import lineage, parse_court
from broker.model import ALL_KINDS, Court, Kind, Level

INVESTIGATE = "Investigate"
LIST_INSTITUTIONS = "ListInstitutions"
METHODS = (INVESTIGATE, LIST_INSTITUTIONS)
NATIONAL = "national"
"""How a policy calls the region of national institutions."""
_COURT_STEP = 1
"""The check whether the caller speaks for the court."""
_IDENTITIES = 4096  # callers whose rules are kept: more than the country has courts
_NAMED = 3  # names of courts in a message


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a decision has to know of a request."""

    method: str
    court: Court | None
    """On whose behalf; None if the method can be called without a court and was."""
    officer: str | None = None
    """None if the method knows no officers."""
    kinds: frozenset[Kind] = frozenset()
    """Of the institutions that are to be asked."""
    regions: frozenset[str | None] = frozenset()
    """Of the institutions that are to be asked; None for national ones."""
    persons: bool = False
    """Whether lookups are about persons or organisations."""
    properties: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether a request is allowed, and by which rule."""

    allowed: bool
    rule: str
    """The one that allows it, or came closest to it; "" if none concerns the caller."""
    field: str = ""
    """The part of the request that is not allowed, in the contract's words; "" if no rule concerns the caller."""
    message: str = ""
    """For the caller, if it is not allowed: what the rule does not allow, and what it does."""
    quotas: Quotas = NO_QUOTAS
    signature_required: bool = False


class Refusal(NamedTuple):
    """Why a rule does not allow a request."""

    step: int
    """How far the request came: the number of the check that it did not pass."""
    field: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Callers:
    """The callers that a rule concerns: those that meet every criterion that is not None."""

    courts: CourtSet | None = None
    """The certificate names one of these courts, and speaks for those alone that are among them."""
    operators: frozenset[str] | None = None
    fingerprints: frozenset[str] | None = None

    def include(self, identity: Identity) -> bool:
        """Whether operators and fingerprint are right; courts are left to `Policy`, which has an index of them."""
        return (self.operators is None or not self.operators.isdisjoint(identity.operators)) and (
            self.fingerprints is None or identity.fingerprint in self.fingerprints
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """What a rule allows. What is left out is not restricted."""

    methods: frozenset[str] = frozenset(METHODS)
    levels: frozenset[Level] = frozenset(Level)
    officers: OfficerSet | None = None
    kinds: frozenset[Kind] = ALL_KINDS
    persons: bool = True
    properties: bool = True
    regions: frozenset[str | None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRule:
    """A rule of a policy."""

    name: str
    callers: Callers
    delegation: bool = False
    """Whether callers also speak for the courts below their own."""
    on_behalf_of: CourtSet = NO_COURTS
    """Further courts that callers speak for."""
    allowed: Allowed = field(default_factory=Allowed)
    signature_required: bool = False
    quotas: Quotas = NO_QUOTAS

    def refusal(self, own: frozenset[str], asked: Asked) -> Refusal | None:
        """Why a request is not allowed; None if it is. `own`: the caller's courts, as far as the rule concerns them."""
        allowed, court = self.allowed, asked.court
        if asked.method not in allowed.methods:
            return Refusal(0, "method", f"{asked.method} is not allowed; allowed: {_listed(allowed.methods)}")
        if court is not None and not self._speaks_for(own, lineage(court)):
            return Refusal(_COURT_STEP, _court_field(asked), f"the certificate does not speak for court {court.code}")
        if court is not None and court.level not in allowed.levels:
            reason = f"courts of level {court.level} are not allowed; allowed: {_listed(allowed.levels)}"
            return Refusal(2, _court_field(asked), reason)
        if asked.officer is not None and allowed.officers is not None and not allowed.officers.has(asked.officer):
            return Refusal(3, "mandate.officer", "this officer is not among those who may ask")
        return self._content_refusal(asked)

    def _content_refusal(self, asked: Asked) -> Refusal | None:
        allowed = self.allowed
        if not asked.kinds <= allowed.kinds:
            wrong, right = (
                _listed(kind.name for kind in kinds) for kinds in (asked.kinds - allowed.kinds, allowed.kinds)
            )
            return Refusal(4, "kinds", f"institutions of kind {wrong} are not allowed; name the allowed kinds: {right}")
        if allowed.regions is not None and not asked.regions <= allowed.regions:
            wrong, right = map(_listed_regions, (asked.regions - allowed.regions, allowed.regions))
            reason = (
                f"institutions of region {wrong} are not allowed; name institutions of the allowed regions: {right}"
            )
            return Refusal(5, "institution_ids", reason)
        if asked.persons and not allowed.persons:
            return Refusal(6, "lookups", "lookups of persons and organisations are not allowed; allowed: property")
        if asked.properties and not allowed.properties:
            return Refusal(7, "lookups", "lookups of properties are not allowed; allowed: person")
        return None

    def _speaks_for(self, own: frozenset[str], codes: tuple[str, ...]) -> bool:
        return codes[0] in own or (self.delegation and not own.isdisjoint(codes)) or self.on_behalf_of.has(codes)


class _CallerRules:
    """The rules that concern one caller, in order, each with the caller's courts that it concerns.

    A gateway may have a rule for each of thousands of courts, and asks for one of them at a time.
    """

    def __init__(self, rules: Sequence[tuple[PolicyRule, frozenset[str]]]) -> None:
        self.all = rules
        self._by_own: dict[str, list[int]] = defaultdict(list)
        for number, (_, own) in enumerate(rules):
            for code in own:
                self._by_own[code].append(number)
        self._for_others = [number for number, (rule, _) in enumerate(rules) if rule.on_behalf_of != NO_COURTS]

    def for_court(self, court: Court | None) -> Iterable[tuple[PolicyRule, frozenset[str]]]:
        """Those that may allow a request for this court; the others do not speak for it."""
        if court is None:
            return self.all
        numbers = set(self._for_others)
        for code in lineage(court):
            numbers.update(self._by_own.get(code, ()))
        return (self.all[number] for number in sorted(numbers))


class Policy:
    """Decides by rules. State: none but a cache of which rules concern whom."""

    def __init__(self, rules: Sequence[PolicyRule], keys: Iterable[RegisteredKey] = ()) -> None:
        """`rules` in the order in which they count. `keys`: those with which requests may be signed."""
        self.rules = tuple(rules)
        self.keys: RegisteredKeys = {key.public: key for key in keys}
        self._by_single = _numbers_by(lambda courts: courts.single, rules)
        self._by_root = _numbers_by(lambda courts: courts.roots, rules)
        self._without_courts = [number for number, rule in enumerate(rules) if rule.callers.courts is None]
        self._rules_for = lru_cache(maxsize=_IDENTITIES)(self._find_rules)

    def decide(self, identity: Identity, asked: Asked) -> Decision:
        """Whether the caller is allowed this request. The message names no subject."""
        rules = self._rules_for(identity)
        furthest: tuple[PolicyRule, Refusal] | None = None
        for rule, own in rules.for_court(asked.court):
            refusal = rule.refusal(own, asked)
            if refusal is None:
                return Decision(
                    allowed=True, rule=rule.name, quotas=rule.quotas, signature_required=rule.signature_required
                )
            if furthest is None or refusal.step > furthest[1].step:
                furthest = rule, refusal
        if furthest is None or furthest[1].step <= _COURT_STEP:  # then another rule may have come as far, and be first
            furthest = _furthest(rules.all, asked)
        if furthest is None:
            return Decision(allowed=False, rule="", message=f"no rule of the policy concerns {_described(identity)}")
        rule, (_, where, reason) = furthest
        return Decision(allowed=False, rule=rule.name, field=where, message=f"rule {rule.name!r}: {where}: {reason}")

    def findings(self, identity: Identity, asked: Asked) -> list[tuple[str, Refusal | None]]:
        """What each rule that concerns the caller says of a request: its name, and why it does not allow it, if so."""
        return [(rule.name, rule.refusal(own, asked)) for rule, own in self._rules_for(identity).all]

    def _find_rules(self, identity: Identity) -> "_CallerRules":
        all_own = {codes[0]: codes for codes in map(_lineage, identity.courts)}
        own: dict[int, set[str]] = {number: set(all_own) for number in self._without_courts}
        for code, codes in all_own.items():
            for number in self._numbers(codes):
                own.setdefault(number, set()).add(code)
        return _CallerRules(
            [
                (self.rules[number], frozenset(own[number]))
                for number in sorted(own)
                if self.rules[number].callers.include(identity)
            ]
        )

    def _numbers(self, codes: tuple[str, ...]) -> Iterable[int]:
        yield from self._by_single.get(codes[0], ())
        for code in codes:
            yield from self._by_root.get(code, ())


def _numbers_by(part: Callable[[CourtSet], frozenset[str]], rules: Sequence[PolicyRule]) -> Mapping[str, Sequence[int]]:
    """The numbers of the rules that concern callers of a court, by the court's code, in one part of their sets."""
    numbers = defaultdict(list)
    for number, rule in enumerate(rules):
        for code in part(rule.callers.courts or NO_COURTS):
            numbers[code].append(number)
    return numbers


def _furthest(rules: Iterable[tuple[PolicyRule, frozenset[str]]], asked: Asked) -> tuple[PolicyRule, Refusal] | None:
    """The rule that came furthest, and its refusal, if none came further than to `_COURT_STEP`; None: no rules."""
    found: tuple[PolicyRule, Refusal] | None = None
    for rule, own in rules:
        refusal = rule.refusal(own, asked)
        if refusal is not None and refusal.step == _COURT_STEP:
            return rule, refusal
        if refusal is not None and found is None:
            found = rule, refusal
    return found


def _lineage(code: str) -> tuple[str, ...]:
    return lineage(parse_court(code))


def _court_field(asked: Asked) -> str:
    return "mandate.court_code" if asked.method == INVESTIGATE else "court_code"


def _described(identity: Identity) -> str:
    """A caller in a message: its own names, which it knows."""
    parts = [
        f"{role} {', '.join(sorted(names)[:_NAMED])}{' and more' if len(names) > _NAMED else ''}"
        for role, names in (
            ("court", identity.courts),
            ("institution", identity.institutions),
            ("operator", identity.operators),
        )
        if names
    ]
    return f"the certificate of {'; '.join(parts)}" if parts else "callers without a certificate"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _listed_regions(regions: Iterable[str | None]) -> str:
    return _listed(region or NATIONAL for region in regions)

"""Decisions: every key of a rule, every way to break it, and what refusals say."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.access.identity import ANONYMOUS, Identity
from broker.access.policy import METHODS, Asked, Policy
from broker.access.policy_file import read_policy
from broker.access.quota import Quotas
from broker.core.subjects.court import parse_court
from broker.model import ALL_KINDS, Kind

PRINT = "ab" * 32
COURT = Identity(courts=frozenset({"京0101"}), fingerprint=PRINT)
HIGH = Identity(courts=frozenset({"京"}))
OPERATOR = Identity(operators=frozenset({"night shift"}))
ASKED = Asked(
    method="Investigate",
    court=parse_court("京0101"),
    officer="王法官",
    kinds=frozenset({Kind.BANK, Kind.VEHICLE}),
    regions=frozenset({None, "京"}),
    persons=True,
    properties=True,
)


def policy(rule: str) -> Policy:
    return read_policy(f'[[rule]]\nname = "one"\n{rule}')


@pytest.mark.parametrize(
    ("rule", "identity"),
    [
        ('courts = ["京0101"]', COURT),
        ('courts = ["京*"]', COURT),
        ('courts = ["京01*"]', COURT),
        ('courts = ["京0101*"]', COURT),
        ('courts = ["*"]', COURT),
        ('courts = ["最高法*"]', COURT),
        (f'fingerprints = ["{PRINT}"]', COURT),
        (f'courts = ["京0101"]\nfingerprints = ["{":".join(["AB"] * 32)}"]', COURT),
        ('courts = ["京"]\ndelegation = true', HIGH),
        ('courts = ["京"]\non_behalf_of = ["京0101"]', HIGH),
        ('operators = ["night shift"]\non_behalf_of = ["京*"]', OPERATOR),
        ('courts = ["*"]\nmethods = ["Investigate"]', COURT),
        ('courts = ["*"]\nlevels = ["basic"]', COURT),
        ('courts = ["*"]\nofficers = ["李法官", "王法官"]', COURT),
        ('courts = ["*"]\nofficers = ["王*"]', COURT),
        ('courts = ["*"]\nofficers = ["*"]', COURT),
        ('courts = ["*"]\nkinds = ["bank", "vehicle"]', COURT),
        ('courts = ["*"]\nregions = ["national", "京"]', COURT),
        ('courts = ["*"]\nlookups = ["person", "property"]', COURT),
    ],
)
def test_what_a_rule_allows(rule: str, identity: Identity) -> None:
    decision = policy(rule).decide(identity, ASKED)
    assert decision.allowed
    assert decision.rule == "one"
    assert not decision.signature_required
    assert decision.quotas == Quotas()


@pytest.mark.parametrize(
    ("rule", "identity", "field", "says"),
    [
        # who calls
        ('courts = ["京0102"]', COURT, "", "the certificate of court 京0101"),
        ('courts = ["京01"]', COURT, "", "the certificate of court 京0101"),
        ('courts = ["沪*"]', COURT, "", "the certificate of court 京0101"),
        ('operators = ["night shift"]\non_behalf_of = ["*"]', COURT, "", "the certificate of court 京0101"),
        (f'fingerprints = ["{"cd" * 32}"]', COURT, "", "the certificate of court 京0101"),
        (f'courts = ["京0101"]\nfingerprints = ["{"cd" * 32}"]', COURT, "", "the certificate of court 京0101"),
        (f'courts = ["京0102"]\nfingerprints = ["{PRINT}"]', COURT, "", "the certificate of court 京0101"),
        ('courts = ["*"]', OPERATOR, "", "the certificate of operator night shift"),
        ('courts = ["*"]', ANONYMOUS, "", "callers without a certificate"),
        (f'fingerprints = ["{PRINT}"]\non_behalf_of = ["*"]', ANONYMOUS, "", "callers without a certificate"),
        # for whom
        ('courts = ["京"]', HIGH, "mandate.court_code", "does not speak for court 京0101"),
        ('courts = ["沪"]\ndelegation = true', Identity(frozenset({"沪"})), "mandate.court_code", "speak for court"),
        ('courts = ["京"]\non_behalf_of = ["京0102"]', HIGH, "mandate.court_code", "does not speak for court 京0101"),
        ('operators = ["night shift"]', OPERATOR, "mandate.court_code", "does not speak for court 京0101"),
        # what
        ('courts = ["*"]\nmethods = ["ListInstitutions"]', COURT, "method", "allowed: ListInstitutions"),
        ('courts = ["*"]\nlevels = ["high", "supreme"]', COURT, "mandate.court_code", "allowed: high, supreme"),
        ('courts = ["*"]\nofficers = ["王法"]', COURT, "mandate.officer", "not among those"),
        ('courts = ["*"]\nofficers = ["李*", "?法官"]', COURT, "mandate.officer", "not among those"),
        (
            'courts = ["*"]\nkinds = ["bank"]',
            COURT,
            "kinds",
            "kind VEHICLE are not allowed; name the allowed kinds: BANK",
        ),
        ('courts = ["*"]\nregions = ["京"]', COURT, "institution_ids", "region national are not allowed"),
        ('courts = ["*"]\nregions = ["national", "沪"]', COURT, "institution_ids", "allowed regions: national, 沪"),
        ('courts = ["*"]\nlookups = ["property"]', COURT, "lookups", "persons and organisations are not allowed"),
        ('courts = ["*"]\nlookups = ["person"]', COURT, "lookups", "properties are not allowed"),
    ],
)
def test_what_breaks_a_rule(rule: str, identity: Identity, field: str, says: str) -> None:
    decision = policy(rule).decide(identity, ASKED)
    assert not decision.allowed
    assert decision.field == field
    assert decision.rule == ("one" if field else "")
    assert says in decision.message
    if field:
        assert decision.message.startswith(f"rule 'one': {field}: ")
    assert "王法官" not in decision.message


def test_a_certificate_speaks_only_for_those_of_its_courts_that_the_rule_concerns() -> None:
    both = Identity(courts=frozenset({"京0101", "沪0101"}))
    shanghai = policy('courts = ["沪*"]')
    assert not shanghai.decide(both, ASKED).allowed
    assert shanghai.decide(both, replace(ASKED, court=parse_court("沪0101"))).allowed


def test_courts_below_stop_at_delegation() -> None:
    delegated = policy('courts = ["京01"]\ndelegation = true')
    intermediate = Identity(courts=frozenset({"京01"}))
    for code, allowed in (("京01", True), ("京0101", True), ("京02", False), ("京0201", False), ("京", False)):
        assert delegated.decide(intermediate, replace(ASKED, court=parse_court(code))).allowed is allowed, code


def test_the_two_spellings_of_inner_mongolia_are_one_court() -> None:
    for written, certified, asked in (("内01", "蒙01", "内01"), ("蒙01", "内01", "蒙01"), ("内*", "蒙01", "内01")):
        decision = policy(f'courts = ["{written}"]').decide(
            Identity(courts=frozenset({certified})), replace(ASKED, court=parse_court(asked))
        )
        assert decision.allowed


def test_a_method_without_a_court_asks_for_nobody() -> None:
    listed = policy('operators = ["night shift"]\nmethods = ["ListInstitutions"]')
    assert listed.decide(OPERATOR, Asked(method="ListInstitutions", court=None)).allowed
    refused = listed.decide(OPERATOR, Asked(method="ListInstitutions", court=parse_court("京")))
    assert refused.field == "court_code"


def test_the_first_rule_that_allows_a_request_counts() -> None:
    rules = read_policy("""
        [[rule]]
        name = "banks"
        courts = ["*"]
        kinds = ["bank"]
        [[rule]]
        name = "signed"
        courts = ["京*"]
        signature = "required"
        quotas = {case = 10, court_per_day = 20}
        [[rule]]
        name = "anything"
        courts = ["*"]
        [[key]]
        name = "the court's"
        public_key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
        courts = ["*"]
    """)
    decision = rules.decide(COURT, ASKED)
    assert (decision.rule, decision.signature_required) == ("signed", True)
    assert decision.quotas == Quotas(case=10, court_per_day=20)
    assert rules.decide(COURT, replace(ASKED, kinds=frozenset({Kind.BANK}))).rule == "banks"


def test_rules_do_not_add_up() -> None:
    rules = read_policy("""
        [[rule]]
        name = "banks"
        courts = ["*"]
        kinds = ["bank"]
        [[rule]]
        name = "vehicles"
        courts = ["*"]
        kinds = ["vehicle"]
    """)
    assert not rules.decide(COURT, ASKED).allowed


def test_a_refusal_names_the_rule_that_came_furthest() -> None:
    rules = read_policy("""
        [[rule]]
        name = "other officers"
        courts = ["*"]
        officers = ["李法官"]
        [[rule]]
        name = "almost"
        courts = ["*"]
        lookups = ["person"]
        [[rule]]
        name = "banks"
        courts = ["*"]
        kinds = ["bank"]
    """)
    decision = rules.decide(COURT, ASKED)
    assert (decision.rule, decision.field) == ("almost", "lookups")


class Naive:
    """Interprets a policy as written, rule by rule, with texts alone."""

    def __init__(self, rules: list[dict[str, Any]]) -> None:
        self._rules = rules

    def allowing(self, identity: Identity, asked: Asked) -> str | None:
        """The name of the first rule that allows it."""
        return next((rule["name"] for rule in self._rules if self._allows(rule, identity, asked)), None)

    def _allows(self, rule: dict[str, Any], identity: Identity, asked: Asked) -> bool:
        return all(self._answers(rule, identity, asked))

    def _answers(self, rule: dict[str, Any], identity: Identity, asked: Asked) -> Iterator[bool]:
        own = {court for court in identity.courts if "courts" not in rule or _listed(rule["courts"], court)}
        yield "courts" not in rule or bool(own)
        yield "operators" not in rule or any(one in rule["operators"] for one in identity.operators)
        yield asked.method in rule.get("methods", METHODS)
        if asked.court is not None:
            code = asked.court.code
            yield (
                code in own
                or (rule.get("delegation", False) and any(_is_below(code, superior) for superior in own))
                or _listed(rule.get("on_behalf_of", []), code)
            )
            yield asked.court.level in rule.get("levels", [asked.court.level])
        if asked.officer is not None:
            yield asked.officer in rule.get("officers", [asked.officer])
        yield all(kind.name.lower() in rule.get("kinds", [kind.name.lower()]) for kind in asked.kinds)
        regions = [region or "national" for region in asked.regions]
        yield all(region in rule.get("regions", regions) for region in regions)
        lookups = rule.get("lookups", ["person", "property"])
        yield not (asked.persons and "person" not in lookups)
        yield not (asked.properties and "property" not in lookups)


def _is_below(code: str, superior: str) -> bool:
    return superior == "最高法" or code.startswith(superior)


def _listed(patterns: list[str], code: str) -> bool:
    return any(one in (code, "*") or (one.endswith("*") and _is_below(code, one[:-1])) for one in patterns)


CODES = ["最高法", "京", "京01", "京0101", "京0102", "京02", "沪", "沪01", "沪0101", "军", "军01"]
SETS = [*CODES, "*", *(f"{code}*" for code in CODES)]


def some(values: list[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True)


KEYS = {
    "on_behalf_of": some(SETS),
    "methods": some(list(METHODS)),
    "levels": some(["basic", "intermediate", "high", "supreme"]),
    "officers": some(["甲", "乙", "丙"]),
    "kinds": some([kind.name.lower() for kind in Kind]),
    "lookups": some(["person", "property"]),
    "regions": some(["national", "京", "沪"]),
}
RULES = st.one_of(
    st.fixed_dictionaries({"courts": some(SETS)}, optional={"delegation": st.booleans(), **KEYS}),
    st.fixed_dictionaries({"operators": some(["a", "b"])}, optional=KEYS),
    st.fixed_dictionaries({"operators": some(["a", "b"]), "courts": some(SETS)}, optional=KEYS),
)
IDENTITIES = st.builds(
    Identity, courts=st.frozensets(st.sampled_from(CODES), max_size=3), operators=st.frozensets(st.sampled_from("abc"))
)
REQUESTS = st.builds(
    Asked,
    method=st.sampled_from(METHODS),
    court=st.sampled_from(CODES).map(parse_court) | st.none(),
    officer=st.sampled_from("甲乙丙丁") | st.none(),
    kinds=st.frozensets(st.sampled_from(sorted(ALL_KINDS))),
    regions=st.frozensets(st.sampled_from([None, "京", "沪", "粤"])),
    persons=st.booleans(),
    properties=st.booleans(),
)


@given(st.lists(RULES, min_size=1, max_size=5), IDENTITIES, st.lists(REQUESTS, min_size=1, max_size=5))
def test_decisions_equal_a_naive_interpreter(
    rules: list[dict[str, Any]], identity: Identity, requests: list[Asked]
) -> None:
    named = [{"name": f"rule {number}", **rule} for number, rule in enumerate(rules)]
    compiled, naive = read_policy(written(named)), Naive(named)
    for asked in requests:
        decision = compiled.decide(identity, asked)
        assert (decision.rule if decision.allowed else None) == naive.allowing(identity, asked)
        assert decision.allowed == (not decision.message)
        refusals = [(rule, refusal) for rule, refusal in compiled.findings(identity, asked) if refusal is not None]
        if not decision.allowed and refusals:
            furthest = max(refusals, key=lambda one: one[1].step)  # the first of those
            assert (decision.rule, decision.field) == (furthest[0], furthest[1].field)


def written(rules: list[dict[str, Any]]) -> str:
    """The rules in TOML."""
    lines = []
    for rule in rules:
        lines += ["[[rule]]", *(f"{key} = {toml(value)}" for key, value in rule.items())]
    return "\n".join(lines)


def toml(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    return str(value).lower() if isinstance(value, bool) else f'"{value}"'

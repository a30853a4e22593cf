"""Policies as written: what is refused, and with which remedy."""

import pytest

from broker.access.policy_file import read_policy
from broker.errors import ConfigError

RULE = '[[rule]]\nname = "one"\ncourts = ["京0101"]\n'


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "rule: at least one [[rule]] block is needed"),
        ("rule = 1", "rule: must be blocks [[rule]]"),
        ("rule = [1]", "rule 1 (?): must be a table"),
        (f"default = true\n{RULE}", "default: is no key"),
        ("[[rule]", "cannot be read as TOML"),
        ('[[rule]]\ncourts = ["京"]', "rule 1 (?).name: is missing"),
        ('[[rule]]\nname = " a"\ncourts = ["京"]', "rule 1 ( a).name: must have 1 to 100 printable characters"),
        ('[[rule]]\nname = "one"', "rule 1 (one).courts: courts, operators or fingerprints are needed"),
        ('[[rule]]\nname = "one"\ncourts = []', "rule 1 (one).courts: must not be empty"),
        ('[[rule]]\nname = "one"\ncourts = ["京1"]', "'京1' must be a court's code, such as 京0101, or a code with *"),
        ('[[rule]]\nname = "one"\ncourts = ["京*01"]', "'京*01' must be a court's code"),
        (
            '[[rule]]\nname = "one"\noperators = ["a"]\ndelegation = true',
            "delegation: goes with courts, and only with it",
        ),
        ('[[rule]]\nname = "one"\nfingerprints = ["ab"]', "fingerprints: 'ab' is no SHA-256 in hexadecimal"),
        (f"{RULE}delegations = true", "delegations: is no key: known are"),
        (f'{RULE}delegation = "yes"', "delegation: Expected `bool`"),
        (f'{RULE}on_behalf_of = ["x"]', "on_behalf_of: 'x' must be a court's code"),
        (
            f'{RULE}methods = ["investigate"]',
            "methods: 'investigate' is none of Investigate, ListInstitutions; did you",
        ),
        (f'{RULE}levels = ["low"]', "levels: 'low' is none of basic, intermediate, high, supreme"),
        (f'{RULE}officers = [" 王法官"]', "officers: ' 王法官' must be an officer's identifier"),
        (f'{RULE}officers = ["*a*b*"]', "with at most 2 *"),
        (
            f'{RULE}kinds = ["banks"]',
            "kinds: 'banks' is none of bank, vehicle, securities, real_estate; did you mean bank?",
        ),
        (f"{RULE}kinds = []", "kinds: must not be empty, or the rule allows nothing"),
        (f'{RULE}lookups = ["persons"]', "lookups: 'persons' is none of person, property; did you mean person?"),
        (f'{RULE}regions = ["北京"]', "regions: '北京' must be the character that a region's court codes begin with"),
        (f'{RULE}regions = ["军"]', "regions: '军' must be"),
        (f'{RULE}signature = "yes"', "signature: 'yes' is none of required, optional"),
        (f"{RULE}quotas = {{case = 0}}", "quotas: must be 1 to 10000000 subjects"),
        (
            f"{RULE}quotas = {{cases = 1}}",
            "quotas: 'cases' is none of case, case_per_day, officer_per_day, court_per_day",
        ),
        (f"{RULE}{RULE}", "rule.name: 'one' is given twice"),
    ],
)
def test_a_fault_is_named_with_its_key_and_a_remedy(text: str, fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_policy(text)
    assert len(caught.value.faults) == 1
    assert fault in caught.value.faults[0]


def test_all_faults_are_found_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        read_policy(f'x = 1\n{RULE}kinds = ["x"]\nlevels = ["y"]\n[[rule]]\nname = "two"')
    assert [fault.partition(": ")[0] for fault in caught.value.faults] == [
        "x",
        "rule 1 (one).levels",
        "rule 1 (one).kinds",
        "rule 2 (two).courts",
    ]

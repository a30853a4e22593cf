"""A firm is found at institutions that compare names exactly, however the court writes its brackets."""

from pathlib import Path

from broker.v1 import investigation_pb2 as pb
from tests.end_to_end.testbed import (
    FOUND,
    MOCKS,
    NOT_FOUND,
    REGIONAL,
    Testbed,
    as_message,
    asking,
    sample,
    with_testbed,
)

EXACT = sorted(each.id for each in MOCKS.institutions if each.names == "exact")
FIRMS = [lookup for lookup in sample(40, mix="organisations") if "（" in lookup.name]
TYPED = [lookup._replace(name=lookup.name.replace("（", "(").replace("）", ")")) for lookup in FIRMS]


def test_a_firm_is_found_under_its_registered_name_and_the_report_says_so(tmp_path: Path) -> None:
    async def scenario(opened: Testbed) -> None:
        registered = await opened.ask(asking(FIRMS, court="京", institution_ids=EXACT))
        before = (await opened.stats())["inquiries"]
        assert before == len(FIRMS) * len(EXACT), "asked once"
        typed = await opened.ask(asking(TYPED, court="京", institution_ids=EXACT))
        assert (await opened.stats())["inquiries"] == before + 2 * len(TYPED) * len(EXACT)
        assert typed.outcomes() == registered.outcomes()
        assert typed.outcomes()[FOUND]
        assert typed.outcomes()[NOT_FOUND]
        for position, by_institution in typed.answers().items():
            for institution, answer in by_institution.items():
                direct = registered.answers()[position][institution]
                assert (answer.outcome, list(answer.assets)) == (direct.outcome, list(direct.assets))
                assert answer.found_as == (FIRMS[position].name if answer.outcome == FOUND else "")
                assert not direct.found_as

        again = await opened.ask(asking(TYPED, court="京", institution_ids=EXACT))
        assert set(again.sources()) == {"CACHE"}
        assert spellings(again.reports) == spellings(typed.reports)

    assert REGIONAL in EXACT
    with_testbed(tmp_path, scenario)


def test_an_institution_that_folds_names_is_asked_once(tmp_path: Path) -> None:
    async def scenario(opened: Testbed) -> None:
        said = await opened.ask(asking(TYPED, court="京", institution_ids=EXACT))
        assert set(said.outcomes()) == {NOT_FOUND}, "these do not fold names, whatever their configuration says"
        assert (await opened.stats())["inquiries"] == len(TYPED) * len(EXACT)

    with_testbed(tmp_path, scenario, names="folded")


def test_an_invisible_character_is_that_lookups_fault(tmp_path: Path) -> None:
    async def scenario(opened: Testbed) -> None:
        wrong = FIRMS[0]._replace(name=FIRMS[0].name + "\ufe00")
        said = await opened.ask(asking([as_message(wrong), *FIRMS[1:3]]))
        (answer,) = next(report for report in said.reports if report.position == 0).answers
        assert (answer.problem.reason, answer.problem.field) == ("BAD_CHARACTER", "organization.name")

    with_testbed(tmp_path, scenario)


def spellings(reports: list[pb.Report]) -> set[tuple[int, str, str]]:
    return {
        (report.position, answer.institution_id, answer.found_as) for report in reports for answer in report.answers
    }

"""The steps of the demo. Each shows one feature, and raises `DemoFailedError` if a result is wrong."""

import asyncio
import io
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table
from rich.text import Text

from broker.client import Client, Lookup, Mandate, Outcome, Receipt, Report, RequestRefusedError, Source, Terms, Totals
from broker.core.subjects.court import parse_court
from broker.demo.record import show_record
from broker.demo.testbed import DemoFailedError, Testbed, output
from broker.demo.verification import verify
from broker.formats.lookup_file import LookupFile
from broker.formats.tables import Shown, answer_cells, institutions_table, reports_table, table, totals_line

_COURTS = ("最高法", "京", "沪01", "京0101")
"""One court of each level. Only 沪01 is outside the region of the regional bank."""
_OUTSIDE = "沪01"
_REGIONAL = "mock-bank-jing"
_EXACT = _REGIONAL
"""It compares names character by character."""
_FAILING = "mock-vehicle"
_OPEN = (Outcome.UNAVAILABLE, Outcome.TIMED_OUT, Outcome.PENDING)
# Latencies in the first step, in seconds, so that answers visibly arrive one by one. Real institutions are slower.
_LATENCIES = {
    "mock-bank": 0.1,
    "mock-bank-jing": 0.2,
    "mock-securities": 0.3,
    "mock-vehicle": 0.45,
    "mock-real-estate": 0.6,
}
_DEBTORS = 3  # in the first step: they fit on a screen
_THINGS = 20  # with probability 0.999, at least one of them is a vehicle
_FIRMS = 40  # half of them have brackets in their names, and the bank knows a third of those
_FAILED = 200  # lookups in the last step


@dataclass(slots=True)
class DemoTotals:
    """The numbers in the last line."""

    began: float = field(default_factory=time.perf_counter)
    lookups: int = 0
    inquiries: int = 0
    unanswered: int = 0
    cached: int = 0
    unavailable: int = 0

    def add(self, totals: Totals) -> None:
        """Adds the totals of one investigation."""
        self.lookups += totals.lookups
        self.inquiries += totals.inquiries
        self.unanswered += sum(totals.outcomes.get(outcome, 0) for outcome in _OPEN)
        self.cached += totals.sources.get(Source.CACHE, 0)
        self.unavailable += totals.outcomes.get(Outcome.UNAVAILABLE, 0) + totals.outcomes.get(Outcome.TIMED_OUT, 0)

    def __str__(self) -> str:
        return (
            f"demo: {self.lookups} lookups, {self.inquiries} inquiries, {self.inquiries - self.unanswered} answered, "
            f"{self.cached} from cache, {self.unavailable} unavailable in {time.perf_counter() - self.began:.1f} s"
        )


@dataclass(frozen=True, slots=True)
class CourtRun:
    """The result of one batch. Times are in seconds since it was sent."""

    reports: Sequence[Report]
    """In the order of the lookups."""
    totals: Totals
    first_after: float
    took: float
    receipts: Sequence[Receipt]

    @property
    def institutions(self) -> set[str]:
        """The ids of those that were asked."""
        return {institution for institution, _ in self.outcomes}

    @property
    def outcomes(self) -> Counter[tuple[str, Outcome]]:
        """The number of answers by institution and outcome."""
        answers = (answer for report in self.reports for answer in report.answers)
        return Counter((answer.institution_id, Outcome(answer.outcome)) for answer in answers)


class Demo:
    """One run of the demo. State: the totals, and the lookups of each court."""

    def __init__(self, testbed: Testbed, client: Client, screen: Console, *, seed: int) -> None:
        self.totals = DemoTotals()
        self._testbed = testbed
        self._client = client
        self._screen = screen
        self._seed = seed
        self._lookups: dict[str, Sequence[Lookup]] = {}

    async def run(self, count: int) -> None:
        """Runs all steps, with `count` lookups in the main one."""
        debtors, things, firms, everybody = await asyncio.gather(
            self._draw("persons", _DEBTORS),
            self._draw("properties", _THINGS),
            self._draw("organisations", _FIRMS),
            self._draw("all", count),
        )
        self._lookups = {court: everybody[index :: len(_COURTS)] for index, court in enumerate(_COURTS)}
        await self._introduce()
        await self._one_by_one(debtors)
        await self._four_levels()
        await self._property_lookup(things)
        await self._regional_bank(debtors)
        await self._names(firms)
        await self._from_cache()
        receipt = await self._failing(everybody[:_FAILED])
        self._heading("What was recorded: an inspector verifies it, a debtor asks, a court proves")
        await show_record(self._testbed.folder, self._screen, receipt, debtors[0])

    async def _introduce(self) -> None:
        self._heading("Five institutions and a broker, all on this machine, over mutual TLS")
        self._screen.print(institutions_table(await self._client.institutions()))

    async def _one_by_one(self, lookups: Sequence[Lookup]) -> None:
        self._heading(f"A basic court asks about {len(lookups)} debtors; answers arrive as the institutions give them")
        for institution, seconds in _LATENCIES.items():
            await self._testbed.set_faults(institution, latency={"distribution": "fixed", "seconds": seconds})
        merged = [Report() for _ in lookups]
        began = time.perf_counter()
        async with self._client.investigate(_mandate("京0101"), lookups, Terms(incremental=True)) as investigation:
            async for report in investigation:
                merged[report.position].MergeFrom(report)
                self._show_increment(report, time.perf_counter() - began)
        for institution in _LATENCIES:
            await self._testbed.set_faults(institution)
        self._count(investigation.totals, len(lookups))
        verified = await verify(lookups, merged, seed=self._seed)
        self._screen.print(f"\n{verified} of these answers were recomputed from the mocks' seed: all equal")

    def _show_increment(self, report: Report, elapsed: float) -> None:
        for answer in report.answers:
            cells = answer_cells(answer)[:3]
            line = Text.assemble((f"{1000 * elapsed:5.0f} ms ", "cyan"), f" {report.ref}  ")
            for cell, width in zip(cells, (17, 10, 0), strict=True):
                cell.pad_right(max(0, width - len(cell)))
                line.append_text(cell)
            if report.final:
                line.append("  [complete]", "bold cyan")
            self._screen.print(line, no_wrap=True, overflow="ellipsis", crop=True)

    async def _four_levels(self) -> None:
        self._heading("Courts of all four levels ask; the cache is empty")
        batches = await self._ask_all()
        for court, batch in batches.items():
            _require(
                (_REGIONAL in batch.institutions) == (court != _OUTSIDE), f"{court} reached the wrong institutions"
            )
        stats = await self._testbed.stats()
        _require(not any(one["duplicates"] for one in stats.values()), "an institution received the same inquiry twice")
        asked = sum(one["first_attempts"] for one in stats.values())
        self._screen.print(f"\nthe institutions received {asked:,} inquiries, none of them twice")

    async def _property_lookup(self, things: Sequence[Lookup]) -> None:
        self._heading("A property lookup: who holds this vehicle?")
        vehicles = [one for one in things if (one.property.WhichOneof("number") or "").startswith("vehicle")]
        chosen = (vehicles or things)[:1]
        batch = await self._ask("最高法", chosen, Terms())
        _require(Outcome.FOUND in batch.totals.outcomes, "no holder of a registered thing was found")
        self._screen.print(reports_table(Shown(report, is_property=True) for report in batch.reports))
        await verify(chosen, batch.reports, seed=self._seed)

    async def _regional_bank(self, lookups: Sequence[Lookup]) -> None:
        self._heading(f"{_REGIONAL} is reached only by courts of its region; {_OUTSIDE} selects it anyway")
        try:
            await self._ask(_OUTSIDE, lookups, Terms(institutions=(_REGIONAL,)))
        except RequestRefusedError as error:
            self._screen.print(Text(error.code, "bold magenta"))
            for violation in error.violations:
                self._screen.print(Text(f"  {violation.field}: {violation.description}"))
            _require(_REGIONAL in str(error), "the refusal does not name the institution")
        else:
            raise DemoFailedError("an institution was reached by a court outside its region")
        inside = await self._ask("京", lookups, Terms(institutions=(_REGIONAL,)))
        self._screen.print(f"the high court 京 may ask it: {totals_line(inside.totals)}")

    async def _names(self, firms: Sequence[Lookup]) -> None:
        self._heading(f"{_EXACT} compares names exactly; a court writes (北京) for （北京）")
        registered = [firm for firm in firms if "（" in firm.organization.name]
        typed = [_with_half_width_brackets(firm) for firm in registered]
        only = Terms(institutions=(_EXACT,))
        asked, direct = await self._ask("京", typed, only), await self._ask("京", registered, only)
        _require(asked.outcomes == direct.outcomes, "the two spellings of a firm's name have different answers")
        _require(asked.outcomes[_EXACT, Outcome.FOUND], "no firm was found under its registered name")
        for report, same, firm in zip(asked.reports, direct.reports, registered, strict=True):
            (answer,), (other,) = report.answers, same.answers
            _require(list(answer.assets) == list(other.assets), "the two spellings of a firm's name have other assets")
            _require(answer.found_as == (firm.organization.name if answer.assets else ""), "a spelling is wrong")
        first = next(index for index, report in enumerate(asked.reports) if report.answers[0].assets)
        self._screen.print(reports_table([Shown(asked.reports[first])]))
        self._screen.print("\nunder its registered name it is found at once:\n")
        self._screen.print(reports_table([Shown(direct.reports[first])]))

    async def _from_cache(self) -> None:
        self._heading("The same lookups again: every answer comes from the cache")
        before = await self._inquiries()
        batches = await self._ask_all()
        asked = await self._inquiries() - before
        _require(not asked, f"institutions received {asked} inquiries whose answers are cached")
        _require(
            all(batch.totals.sources.keys() == {Source.CACHE} for batch in batches.values()),
            "not every answer came from the cache",
        )
        self._screen.print("\nthe institutions received 0 inquiries")

    async def _failing(self, lookups: Sequence[Lookup]) -> Receipt:
        self._heading(f"{_FAILING} is down, and a court accepts no cached answers; the other institutions answer")
        await self._testbed.set_faults(_FAILING, down=True)
        batch = await self._ask("京0101", lookups, Terms(max_age=0, timeout=10))
        self._screen.print(reports_table([Shown(report) for report in batch.reports if not report.complete][:1]))
        self._screen.print()
        self._screen.print(_outcomes_table(batch))
        _require(batch.totals.unavailable == {_FAILING}, "the wrong institutions were unavailable")
        _require(not batch.totals.complete, "an incomplete batch was reported as complete")
        _require(not batch.outcomes[_FAILING, Outcome.NOT_FOUND], "a failure was reported as NOT_FOUND")
        _require(batch.receipts, "the broker gave no receipt")
        return batch.receipts[0]

    async def _ask_all(self) -> dict[str, CourtRun]:
        """Every court asks about its lookups, one court after the other."""
        shown = table("court", "level", "institutions", "lookups", "inquiries", "found", "first report", "all reports")
        batches = {}
        for court, lookups in self._lookups.items():
            batch = batches[court] = await self._ask(court, lookups, Terms())
            _require(batch.totals.complete, f"the reports to {court} are not complete")
            numbers = (len(batch.institutions), batch.totals.lookups, batch.totals.inquiries)
            found = batch.totals.outcomes.get(Outcome.FOUND, 0)
            times = (f"{1000 * seconds:,.0f} ms" for seconds in (batch.first_after, batch.took))
            shown.add_row(court, parse_court(court).level, *(f"{one:,}" for one in (*numbers, found)), *times)
        self._screen.print(shown)
        return batches

    async def _ask(self, court: str, lookups: Sequence[Lookup], terms: Terms) -> CourtRun:
        reports: list[Report] = []
        began = time.perf_counter()
        first_after = 0.0
        async with self._client.investigate(_mandate(court), lookups, terms) as investigation:
            async for report in investigation:
                first_after = first_after or time.perf_counter() - began
                reports.append(report)
        took = time.perf_counter() - began
        reports.sort(key=lambda report: report.position)
        _require(
            [one.ref for one in reports] == [one.ref for one in lookups],
            "there is not exactly one report for each lookup",
        )
        self._count(investigation.totals, len(lookups))
        return CourtRun(reports, investigation.totals, first_after, took, investigation.receipts)

    def _count(self, totals: Totals, lookups: int) -> None:
        _require(totals.lookups == lookups, "some lookups have no final report")
        self.totals.add(totals)

    async def _inquiries(self) -> int:
        return sum(one["inquiries"] for one in (await self._testbed.stats()).values())

    async def _draw(self, mix: str, count: int) -> list[Lookup]:
        """Draws lookups of people and things that exist in the mocks' population."""
        sizes = ("--count", str(count), "--mix", mix, "--format", "jsonl")
        # The seed depends on the mix: with equal seeds, the debtors of the first step would be drawn again.
        seeds = ("--seed", str(self._seed), "--rng-seed", str(self._seed * 1000 + len(mix)))
        population = await output("mock_institutions", "population", *sizes, *seeds)
        return [row.lookup() for row in LookupFile(io.BytesIO(population.encode())).read()]

    def _heading(self, text: str) -> None:
        self._screen.print()
        self._screen.rule(Text(text, "bold"), align="left", style="cyan")


def _with_half_width_brackets(firm: Lookup) -> Lookup:
    copy = Lookup()
    copy.CopyFrom(firm)
    copy.organization.name = copy.organization.name.replace("（", "(").replace("）", ")")
    return copy


def _require(condition: object, otherwise: str) -> None:
    if not condition:
        raise DemoFailedError(otherwise)


def _outcomes_table(batch: CourtRun) -> Table:
    """The number of answers of each institution, by outcome."""
    counts = batch.outcomes
    columns = [outcome for outcome in Outcome if any(counted == outcome for _, counted in counts)]
    shown = table("institution", *(outcome.name for outcome in columns))
    for name in sorted(batch.institutions):
        shown.add_row(name, *(f"{counts[name, outcome]:,}" for outcome in columns))
    return shown


def _mandate(court: str) -> Mandate:
    return Mandate(
        court_code=court, officer="示例法官", case_number=f"（2026）{court}执1号", legal_document="协助查询通知书1号"
    )

"""How cost grows with the size of requests, the number of institutions, and the number of concurrent courts.

    python -m benchmarks.growth [--part throughput|overlap|all] [--seconds 3] [--inquiries 200000]

*Throughput*: one parameter is varied at a time; the others are four institutions, 1,000 lookups per request, 16 courts.
Each setting is measured for misses (`--inquiries` that nobody has asked before), then for hits: the same lookups again
for some seconds. All answers to the misses are recomputed from the mocks' seed; every hit is compared with an earlier
reply.

*Overlap*: four streams ask for the same persons at the same time, at 4, 400 and 4,000 institutions, 50 lookups per
request. So answers are shared with requests in flight, and land in the store while others are planned. The broker has
one worker. The cost per inquiry must not grow with the number of institutions, and no step of the worker's event loop
may take long, since every other request waits for it: the longest is printed by wall time and by CPU time. A sample of
the answers is recomputed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import click

from benchmarks import overlap
from benchmarks.answer_check import AnswerChecker
from benchmarks.hits import ReferenceReplies, repeated
from benchmarks.load_generator import requests, run_load, sample, uvloop_runner
from benchmarks.message_buffer import BYTES_PER_LOOKUP, MessageBuffer
from benchmarks.output import print_json, print_table, progress
from benchmarks.overlap import OverlapResult, OverlapSetting
from benchmarks.resource_meter import ResourceMeter
from benchmarks.testbed import FOUR, open_testbed
from mock_institutions import config

_MAX_SUBJECTS = 100_000  # of one setting: as many as one lookup per request gets through in a minute
_MIN_SUBJECTS = 1_000
_OVERLAP_BATCH = 50  # lookups per request: at 4,000 institutions, 200,000 inquiries
_OVERLAP_SUBJECTS = range(2 * _OVERLAP_BATCH, 20_000)  # at least two requests of each stream


@dataclass(frozen=True, slots=True)
class Setting:
    """One point of the throughput part: which parameter is varied, and the values of all."""

    varied: str
    institutions: int = 4
    batch: int = 1000
    courts: int = 16

    @property
    def value(self) -> int:
        """Of the parameter varied."""
        return {
            "lookups per request": self.batch,
            "institutions": self.institutions,
            "concurrent courts": self.courts,
        }[self.varied]


SETTINGS = (
    *(Setting("lookups per request", batch=batch) for batch in (1, 10, 100, 1_000, 10_000)),
    *(Setting("institutions", institutions=count) for count in (4, 40, 400)),
    *(Setting("concurrent courts", courts=count) for count in (1, 4, 16, 64)),
)
OVERLAP_INSTITUTIONS = (4, 400, 4_000)


@dataclass(frozen=True, slots=True)
class SettingResult:
    """What one setting cost."""

    misses_per_second: float
    miss_cpu_us: float
    hits_per_second: float
    hit_cpu_us: float
    peak_rss_mib: float
    wrong: int
    lost: int


@click.command(help=__doc__)
@click.option("--part", type=click.Choice(["throughput", "overlap", "all"]), default="all", show_default=True)
@click.option("--seconds", default=3.0, show_default=True, help="Duration of hits, per setting.")
@click.option("--inquiries", default=200_000, show_default=True, help="Distinct inquiries per setting, about.")
@click.option("--overlapping", default=OVERLAP_INSTITUTIONS, multiple=True, show_default=True, help="Institutions.")
@click.option("--seed", default=1, show_default=True)
def main(*, part: str, seconds: float, inquiries: int, overlapping: Sequence[int], seed: int) -> None:
    """Run the benchmark."""
    settings = SETTINGS if part != "overlap" else ()
    overlaps = [_overlap_setting(count, inquiries) for count in overlapping] if part != "throughput" else []
    with progress() as bar:
        task = bar.add_task("settings", total=len(settings) + len(overlaps))
        results, overlap_results = [], []
        for setting in settings:
            results.append(_measure(setting, seconds, inquiries, seed))
            bar.advance(task)
        for each in overlaps:
            overlap_results.append(overlap.measure(each, seed))
            bar.advance(task)
    result: dict[str, object] = {"benchmark": "growth"}
    if settings:
        result |= _print_throughput(settings, results)
    if overlaps:
        result |= {"overlap": _print_overlap(overlaps, overlap_results)}
    print_json(result)


def _overlap_setting(institutions: int, inquiries: int) -> OverlapSetting:
    subjects = max(_OVERLAP_SUBJECTS.start, min(_OVERLAP_SUBJECTS.stop, inquiries // institutions))
    return OverlapSetting(institutions=institutions, subjects=subjects, batch=_OVERLAP_BATCH, streams=4)


def _measure(setting: Setting, seconds: float, inquiries: int, seed: int) -> SettingResult:
    national = None if setting.institutions == len(FOUR) else setting.institutions
    mocks = config.load() if national is None else config.load().with_national(national)
    names = FOUR if national is None else tuple(one.id for one in mocks.institutions)
    subjects = min(max(inquiries // setting.institutions, _MIN_SUBJECTS), _MAX_SUBJECTS)
    if setting.batch == 1:
        subjects //= 10  # each is a request of its own
    lookups = sample(seed, subjects)
    bodies = requests(lookups, setting.batch)
    checker = AnswerChecker(seed, lookups, names, mocks)
    with open_testbed(seed=seed, national=national) as testbed, uvloop_runner() as runner:
        ask = partial(run_load, testbed.address, streams=setting.courts)
        buffer = MessageBuffer(capacity=BYTES_PER_LOOKUP * len(lookups) * setting.institutions // len(FOUR))
        with ResourceMeter(testbed) as missing:
            missed = runner.run(ask(iter(bodies), buffer=buffer))
        check = checker.check(missed.kept)
        references = ReferenceReplies()
        while runner.run(ask(iter(bodies), keep=references.learn)).kept:  # until everything is committed
            pass
        with ResourceMeter(testbed) as hitting:
            hits = runner.run(ask(repeated(bodies, seconds, seed), keep=references.differs))
        differing = checker.check(hits.kept)
    return SettingResult(
        misses_per_second=missed.inquiries / missing.seconds,
        miss_cpu_us=missing.broker_cpu / missed.inquiries * 1e6,
        hits_per_second=hits.inquiries / hitting.seconds,
        hit_cpu_us=hitting.broker_cpu / hits.inquiries * 1e6,
        peak_rss_mib=max(missing.peak_rss_mib, hitting.peak_rss_mib),
        wrong=check.wrong + differing.wrong,
        lost=missed.lookups - check.reports + hits.lookups - hits.discarded - differing.reports,
    )


def _print_throughput(settings: Sequence[Setting], results: Sequence[SettingResult]) -> dict[str, object]:
    pairs = list(zip(settings, results, strict=True))
    columns = ("varied", "value", "misses/s", "µs each", "hits/s", "µs each", "peak MiB")
    rows = [
        (
            setting.varied,
            f"{setting.value:,}",
            f"{one.misses_per_second:,.0f}",
            f"{one.miss_cpu_us:.2f}",
            f"{one.hits_per_second:,.0f}",
            f"{one.hit_cpu_us:.2f}",
            f"{one.peak_rss_mib:.0f}",
        )
        for setting, one in pairs
    ]
    print_table("Inquiries per second, and the broker's CPU time for each", columns, rows)
    usual = results[settings.index(Setting("lookups per request", batch=1_000))]
    return {
        "inquiries_per_second": round(usual.hits_per_second),
        "lookups_per_second": round(usual.hits_per_second / len(FOUR)),
        "broker_cpu_us_per_inquiry": round(usual.hit_cpu_us, 3),
        "wrong_answers": sum(one.wrong for one in results),
        "lost": sum(one.lost for one in results),
        "peak_rss_mib": round(max(one.peak_rss_mib for one in results)),
        "settings": [
            {
                "varied": setting.varied,
                "value": setting.value,
                "misses_per_second": round(one.misses_per_second),
                "miss_cpu_us_per_inquiry": round(one.miss_cpu_us, 3),
                "hits_per_second": round(one.hits_per_second),
                "hit_cpu_us_per_inquiry": round(one.hit_cpu_us, 3),
                "peak_rss_mib": round(one.peak_rss_mib),
            }
            for setting, one in pairs
        ],
    }


def _print_overlap(settings: Sequence[OverlapSetting], results: Sequence[OverlapResult]) -> list[dict[str, object]]:
    pairs = list(zip(settings, results, strict=True))
    columns = (
        *("institutions", "persons", "inquiries", "seconds", "CPU, µs each"),
        *("longest step, ms", "by CPU, ms", "steps over 10 ms", "peak MiB", "refused", "unanswered"),
    )
    rows = [
        (
            f"{setting.institutions:,}",
            f"{setting.subjects:,}",
            f"{one.inquiries:,}",
            f"{one.seconds:.1f}",
            f"{one.cpu_us:.2f}",
            f"{one.longest_step * 1e3:,.1f}",
            f"{one.longest_step_cpu * 1e3:,.1f}",
            f"{one.long_steps:,}",
            f"{one.peak_rss_mib:,.0f}",
            f"{one.refused:,}",
            f"{one.unanswered:,}",
        )
        for setting, one in pairs
    ]
    print_table("Four streams about the same persons: cost, and the longest step of the event loop", columns, rows)
    return [
        {
            "institutions": setting.institutions,
            "subjects": setting.subjects,
            "lookups_per_request": setting.batch,
            "inquiries": one.inquiries,
            "inquiries_per_second": round(one.inquiries / one.seconds),
            "broker_cpu_us_per_inquiry": round(one.cpu_us, 3),
            "longest_step_ms": round(one.longest_step * 1e3, 2),
            "longest_step_cpu_ms": round(one.longest_step_cpu * 1e3, 2),
            "longest_step": one.longest_step_name,
            "steps_over_10_ms": one.long_steps,
            "longest_collection_ms": round(one.longest_collection * 1e3, 2),
            "peak_rss_mib": round(one.peak_rss_mib),
            "sources": one.sources,
            "asked_twice": one.duplicates,
            "refused_requests": one.refused,
            "failed_requests": one.failed,
            "unanswered": one.unanswered,
            "wrong_answers": one.check.wrong,
            "answers_checked": one.check.checked,
            "lost": one.lost,
        }
        for setting, one in pairs
    ]


if __name__ == "__main__":
    main()

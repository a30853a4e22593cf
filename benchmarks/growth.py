"""How cost grows with the size of requests, the number of institutions, and the number of concurrent courts.

    python -m benchmarks.growth [--seconds 3] [--inquiries 200000]

One parameter is varied at a time; the others are four institutions, 1,000 lookups per request, 16 courts. Each setting
is measured for misses (`--inquiries` that nobody has asked before), then for hits: the same lookups again for some
seconds. All answers to the misses are recomputed from the mocks' seed; every hit is compared with an earlier reply.
"""

from dataclasses import dataclass
from functools import partial

import click

from benchmarks.answer_check import AnswerChecker
from benchmarks.hits import ReferenceReplies, repeated
from benchmarks.load_generator import requests, run_load, sample, uvloop_runner
from benchmarks.message_buffer import BYTES_PER_LOOKUP, MessageBuffer
from benchmarks.output import print_result, progress
from benchmarks.resource_meter import ResourceMeter
from benchmarks.testbed import FOUR, open_testbed
from mock_institutions import config

_MAX_SUBJECTS = 100_000  # of one setting: what one lookup per request can ask about in a minute
_MIN_SUBJECTS = 1_000


@dataclass(frozen=True, slots=True)
class Setting:
    """One point of the benchmark: which parameter is varied, and the values of all."""

    varied: str
    institutions: int = 4
    batch: int = 1000
    courts: int = 16


SETTINGS = (
    *(Setting("lookups per request", batch=batch) for batch in (1, 10, 100, 1_000, 10_000)),
    *(Setting("institutions", institutions=count) for count in (4, 40, 400)),
    *(Setting("concurrent courts", courts=count) for count in (1, 4, 16, 64)),
)


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
@click.option("--seconds", default=3.0, show_default=True, help="Duration of hits, per setting.")
@click.option("--inquiries", default=200_000, show_default=True, help="Misses per setting, about.")
@click.option("--seed", default=1, show_default=True)
def main(*, seconds: float, inquiries: int, seed: int) -> None:
    """Run the benchmark."""
    results = []
    with progress() as bar:
        task = bar.add_task("settings", total=len(SETTINGS))
        for setting in SETTINGS:
            results.append(_measure(setting, seconds, inquiries, seed))
            bar.advance(task)
    rows = {
        f"{setting.varied}: {_value(setting):,}": (
            f"{one.misses_per_second:>7,.0f}/s {one.miss_cpu_us:7.2f} µs  "
            f"{one.hits_per_second:>9,.0f}/s {one.hit_cpu_us:6.2f} µs"
        )
        for setting, one in zip(SETTINGS, results, strict=True)
    }
    usual = results[SETTINGS.index(Setting("lookups per request", batch=1_000))]
    result: dict[str, object] = {
        "benchmark": "growth",
        "inquiries_per_second": round(usual.hits_per_second),
        "lookups_per_second": round(usual.hits_per_second / len(FOUR)),
        "broker_cpu_us_per_inquiry": round(usual.hit_cpu_us, 3),
        "wrong_answers": sum(one.wrong for one in results),
        "lost": sum(one.lost for one in results),
        "peak_rss_mib": round(max(one.peak_rss_mib for one in results)),
        "settings": [
            {
                "varied": setting.varied,
                "value": _value(setting),
                "misses_per_second": round(one.misses_per_second),
                "miss_cpu_us_per_inquiry": round(one.miss_cpu_us, 3),
                "hits_per_second": round(one.hits_per_second),
                "hit_cpu_us_per_inquiry": round(one.hit_cpu_us, 3),
            }
            for setting, one in zip(SETTINGS, results, strict=True)
        ],
    }
    print_result("Misses and hits: inquiries/s, broker CPU each", rows, result)


def _value(setting: Setting) -> int:
    return {
        "lookups per request": setting.batch,
        "institutions": setting.institutions,
        "concurrent courts": setting.courts,
    }[setting.varied]


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
        check = checker.check(missed)
        references = ReferenceReplies()
        while runner.run(ask(iter(bodies), keep=references.learn)).kept:  # until everything is committed
            pass
        with ResourceMeter(testbed) as hitting:
            hits = runner.run(ask(repeated(bodies, seconds, seed), keep=references.differs))
        differing = checker.check(hits)
    return SettingResult(
        misses_per_second=missed.inquiries / missing.seconds,
        miss_cpu_us=missing.broker_cpu / missed.inquiries * 1e6,
        hits_per_second=hits.inquiries / hitting.seconds,
        hit_cpu_us=hitting.broker_cpu / hits.inquiries * 1e6,
        peak_rss_mib=max(missing.peak_rss_mib, hitting.peak_rss_mib),
        wrong=check.wrong + differing.wrong,
        lost=missed.lookups - check.reports + hits.lookups - hits.discarded - differing.reports,
    )


if __name__ == "__main__":
    main()

"""What `broker investigate` itself costs: inquiries per second, CPU time of its process per inquiry, and its memory.

    python -m benchmarks.command_line [--lookups 10000] [--lookups 100000] [--output jsonl] [--path misses]

A file of persons nobody has asked about is sent to a broker with four mock institutions for each number of lookups and
each output (misses), and then once more (hits). The CPU time is that of the command from its start to its end, so it
contains the import of the program; `--lookups 1` shows how much that is. The command checks that every lookup has been
answered: its exit code must be 0.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import click

from benchmarks.load_generator import sample
from benchmarks.output import print_json, print_table, progress
from benchmarks.program_cost import ProgramCost, run_program
from benchmarks.testbed import FOUR, open_testbed
from mock_institutions.population import Lookup

_OUTPUTS = ("jsonl", "csv", "table")
_PATHS = ("misses", "hits")
_MANDATE = (
    *("--court", "沪0101", "--officer", "基准测试", "--case", "（2026）沪0101执1号"),
    *("--document", "协助执行通知书"),
)


@dataclass(frozen=True, slots=True)
class RunResult:
    """What one run of the command cost."""

    path: str
    output: str
    lookups: int
    inquiries_per_second: int
    cli_cpu_us_per_inquiry: float
    inquiries_per_cli_cpu_second: int
    peak_rss_mib: float


@click.command(help=__doc__)
@click.option(
    "--lookups", "sizes", multiple=True, type=click.IntRange(min=1), default=(10_000, 100_000), show_default=True
)
@click.option("--output", "outputs", multiple=True, type=click.Choice(_OUTPUTS), default=_OUTPUTS, show_default=True)
@click.option("--path", "paths", multiple=True, type=click.Choice(_PATHS), default=_PATHS, show_default=True)
@click.option("--seed", default=1, show_default=True)
def main(*, sizes: Sequence[int], outputs: Sequence[str], paths: Sequence[str], seed: int) -> None:
    """Run the benchmark."""
    persons = iter(sample(seed, sum(sizes) * len(outputs)))
    results = []
    with open_testbed(seed=seed) as testbed, progress() as bar:
        planned = [(size, output) for size in sizes for output in outputs]
        for size, output in bar.track(planned, description="investigating"):
            file = testbed.folder / "debtors.csv"
            _write(file, islice(persons, size))
            for path in ("misses", "hits"):
                if path == "misses" or path in paths:
                    cost = _investigate(testbed.address, file, output)
                    results.append(_result(path, output, size, cost))
                    bar.console.print(results[-1])
    _print([one for one in results if one.path in paths])


def _write(file: Path, lookups: Iterator[Lookup]) -> None:
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(Lookup._fields)
        writer.writerows(lookups)


def _investigate(address: str, file: Path, output: str) -> ProgramCost:
    reports = file.with_name(f"reports.{output}")
    into = () if output == "table" else ("--output", str(reports))
    log = file.with_name("investigate.log")
    cost = run_program(
        ["broker", "investigate", "--broker", address, *_MANDATE, "--bulk", "--timeout", "0", *into, str(file)],
        output=log,
    )
    if cost.exit_code:
        raise SystemExit(f"the command ended with {cost.exit_code}:\n{log.read_text(encoding='utf-8')[-2000:]}")
    reports.unlink(missing_ok=True)
    return cost


def _result(path: str, output: str, lookups: int, cost: ProgramCost) -> RunResult:
    inquiries = lookups * len(FOUR)
    return RunResult(
        path=path,
        output=output,
        lookups=lookups,
        inquiries_per_second=round(inquiries / cost.seconds),
        cli_cpu_us_per_inquiry=round(cost.cpu_seconds / inquiries * 1e6, 2),
        inquiries_per_cli_cpu_second=round(inquiries / cost.cpu_seconds),
        peak_rss_mib=round(cost.peak_rss_mib, 1),
    )


def _print(results: Sequence[RunResult]) -> None:
    columns = ("path", "output", "lookups", "inquiries/s", "CPU of the command, µs per inquiry", "peak RSS, MiB")
    rows = [
        (
            *(one.path, one.output, f"{one.lookups:,}", f"{one.inquiries_per_second:,}"),
            *(f"{one.cli_cpu_us_per_inquiry:.2f}", f"{one.peak_rss_mib:.0f}"),
        )
        for one in results
    ]
    print_table("broker investigate, four institutions", columns, rows)
    print_json({"benchmark": "command_line", "runs": [asdict(one) for one in results]})


if __name__ == "__main__":
    main()

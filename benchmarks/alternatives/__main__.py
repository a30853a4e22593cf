"""What the code that is written by hand gains over a library that does the same.

    python -m benchmarks.alternatives [--part structs|lookups|reports|keys|index|store]... [--rounds 9]

Where the broker does something in a way of its own although a library could do it, both are given the same input, in
turns, in one process and one thread; the results are compared in every round. Costs are CPU time, medians of the
rounds. The ratio says how much longer the library takes, with an interval that contains its median at 95 %.

\b
    structs   assets of JSON replies as protobuf: column by column / messages of the generated classes
    lookups   a request's lookups: from their bytes, with numpy / parsed by protobuf, checked one by one
    reports   answers and reports: spliced bytes / messages of the generated classes
    keys      cache keys: AES-CMAC for a whole batch / a keyed hash for each subject
    index     where records are: the hash index / a tree of LMDB
    store     the records: a log and the hash index / a tree of LMDB keyed by subject

The last two are measured while they grow to `--records` subjects, in a temporary folder, which is removed at the end;
the store takes about a gigabyte of it for a million subjects. A tree could do without compaction, which is counted
against the log, but would need another way to remove what has expired, which is not counted.
"""  # noqa: D301 - \\b tells click to keep the lines of a paragraph

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import click

from benchmarks.alternatives import lookup_reading, report_building, struct_writing, subject_keys
from benchmarks.alternatives.alternative import Alternative, AlternativeResult, DifferenceError, measure
from benchmarks.alternatives.record_index import Growth, index_alternatives, store_alternatives
from benchmarks.alternatives.sample import Sample
from benchmarks.output import print_json, print_table, progress
from benchmarks.store_growth import FOUND_SHARES, SubjectGenerator

_IN_MEMORY: dict[str, Callable[[Sample], list[Alternative]]] = {
    "structs": struct_writing.alternatives,
    "lookups": lookup_reading.alternatives,
    "reports": report_building.alternatives,
    "keys": subject_keys.alternatives,
}
_ON_DISK: dict[str, Callable[[Growth, ExitStack, Path], list[Alternative]]] = {
    "index": index_alternatives,
    "store": store_alternatives,
}


@click.command(help=__doc__)
@click.option(
    "--part",
    "parts",
    type=click.Choice([*_IN_MEMORY, *_ON_DISK]),
    multiple=True,
    help="What to compare; may be given several times. Default: all.",
)
@click.option("--rounds", type=click.IntRange(min=1), default=9, show_default=True, help="Measurements of each way.")
@click.option("--batches", default=10, show_default=True, help="Requests of 1,000 lookups per round.")
@click.option("--records", default=1_000_000, show_default=True, help="Subjects in index and store at the end.")
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Where to make the temporary folder. Default: the system's.",
)
@click.option("--seed", default=1, show_default=True)
def main(*, parts: Sequence[str], rounds: int, batches: int, records: int, folder: Path | None, seed: int) -> None:
    """Run the benchmark."""
    results: list[AlternativeResult] = []
    try:
        with progress() as bar:
            for name in bar.track(dict.fromkeys(parts or (*_IN_MEMORY, *_ON_DISK)), description="measuring"):
                with ExitStack() as stack:
                    if name in _IN_MEMORY:
                        alternatives = _IN_MEMORY[name](Sample(seed, batches))
                    else:
                        within = tempfile.TemporaryDirectory(prefix="broker-benchmark-", dir=folder)
                        growth = Growth(SubjectGenerator(seed, FOUND_SHARES), records=records, rounds=rounds + 1)
                        alternatives = _ON_DISK[name](growth, stack, Path(stack.enter_context(within)))
                    results += [measure(one, rounds) for one in alternatives]
    except DifferenceError as error:
        raise SystemExit(str(error)) from None
    _print(results, rounds)


def _print(results: Sequence[AlternativeResult], rounds: int) -> None:
    columns = ("", "the library's way", "per", "ours, µs", "library, µs", "ratio", "interval", "ratio, elapsed")
    rows = [
        (
            one.alternative.task,
            one.alternative.library_way,
            one.alternative.unit,
            f"{one.ours:.2f}",
            f"{one.library:.2f}",
            f"{one.ratio.median:.2f}",
            f"{one.ratio.low:.2f} – {one.ratio.high:.2f}",
            f"{one.elapsed_ratio:.2f}",
        )
        for one in results
    ]
    print_table(f"What is written by hand, and libraries ({rounds} rounds)", columns, rows)
    print_json({"benchmark": "alternatives", "rounds": rounds, "alternatives": list(map(_as_json, results))})


def _as_json(result: AlternativeResult) -> dict[str, object]:
    return {
        "part": result.alternative.part,
        "task": result.alternative.task,
        "library": result.alternative.library_way,
        "unit": result.alternative.unit,
        "ours_us": round(result.ours, 3),
        "library_us": round(result.library, 3),
        "ratio": round(result.ratio.median, 3),
        "ratio_low": round(result.ratio.low, 3),
        "ratio_high": round(result.ratio.high, 3),
        "confidence": round(result.ratio.confidence, 3),
        "elapsed_ratio": round(result.elapsed_ratio, 3),
    }


if __name__ == "__main__":
    main()

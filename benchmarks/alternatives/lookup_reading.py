"""Reading lookups: plain ones from their bytes with numpy, against parsing each with protobuf and normalising it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date

from benchmarks.alternatives.alternative import Alternative
from benchmarks.alternatives.sample import Sample
from broker.core.planning.chunk import LookupColumns
from broker.core.subjects.key import Keyer
from broker.serving.lookups import look_closely, read_lookups


def alternatives(sample: Sample) -> list[Alternative]:
    """Lookups about persons, a request at a time, up to the keys; then also up to the subjects, as misses need them."""
    keyer, today = Keyer(b"k" * 32), date.today()  # noqa: DTZ011 - only birth dates are compared with it

    def plain(lookups: Sequence[bytes]) -> LookupColumns:
        return read_lookups(lookups, keyer, today=today)

    def closely(lookups: Sequence[bytes]) -> LookupColumns:
        return look_closely(lookups, keyer, today)

    def alternative(task: str, finish: Callable[[LookupColumns], LookupColumns]) -> Alternative:
        return Alternative(
            part="core.subjects.plain_lookups",
            task=task,
            unit="lookup",
            count=sum(map(len, sample.lookups)),
            library_way="parse each Lookup with protobuf, normalise and check its fields",
            prepare=lambda _: sample.lookups,
            ours=lambda requests: [finish(plain(lookups)) for lookups in requests],
            library=lambda requests: [finish(closely(lookups)) for lookups in requests],
            same=_same,
        )

    return [
        alternative("read lookups and key them", lambda columns: columns),
        alternative("the same, with their subjects", _with_subjects),
    ]


def _with_subjects(columns: LookupColumns) -> LookupColumns:
    """Has the subjects made, which plain lookups leave until one is needed."""
    return replace(columns, subjects=list(columns.subjects))


def _same(ours: Sequence[LookupColumns], library: Sequence[LookupColumns]) -> bool:
    return list(map(_content, ours)) == list(map(_content, library))


def _content(columns: LookupColumns) -> tuple[object, ...]:
    subjects = [*columns.heads], [*columns.types], [*columns.keys], [*columns.subjects]
    return *subjects, dict(columns.problems), dict(columns.warnings)

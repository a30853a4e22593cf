"""Every target reads what it once failed on, the examples it is fuzzed from, damaged ones, and anything at all."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzzing.targets import TARGETS

CORPUS = Path(__file__).with_name("corpus")
DAMAGED = 40  # variants of each example


def test_every_target_has_examples_and_every_example_a_target() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)
    assert all(any(folder.iterdir()) for folder in CORPUS.iterdir())


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*/*")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_an_example_and_damaged_ones_are_read_or_refused(path: Path) -> None:
    target, example = TARGETS[path.parent.name], path.read_bytes()
    target(example)
    for damaged in islice(_damaged(example), DAMAGED):
        target(damaged)


def _damaged(example: bytes) -> Iterator[bytes]:
    chance = Random(1)  # noqa: S311 - the same each time
    while example:
        at, end = chance.randrange(len(example)), chance.randrange(len(example) + 1)
        yield example[:at]
        yield example[:at] + chance.randbytes(1) + example[at + 1 :]
        yield example[:at] + example[end:]
        yield example[:end] + chance.choice((b"\0", b"\xff", b'"', b"\n", b"9" * 30)) * 3 + example[at:]


@pytest.mark.parametrize("name", TARGETS)
def test_anything_is_read_or_refused(name: str) -> None:
    @settings(max_examples=30, deadline=None)
    @given(st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
    def reads(data: bytes) -> None:
        TARGETS[name](data)

    reads()

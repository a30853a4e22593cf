"""What is published is whole at any moment, and follows the commits in time."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pytest
from aics_tlog.tiles import MemoryTileReader, tree_root_from_tiles

from broker.audit.journal import Journal, first_index, journal_path
from broker.audit.log import LogLimits, commit
from broker.audit.publication import CHECKPOINT, publish
from broker.audit.recovery import recover
from broker.audit.sequencer import Sequencer, Unrecorded
from broker.audit.tlog.checkpoint import parse_checkpoint
from tests.audit.logs import KEYS, SIGNER, MemoryFiles, admitted, opened, run


@dataclass(slots=True)
class WatchedFiles(MemoryFiles):
    """Has somebody look at the folder after each change of what is published."""

    look: Callable[[dict[str, bytes]], object] = field(default=lambda _: None)

    def replace(self, resources: Iterable[tuple[str, bytes]]) -> None:
        for resource in resources:
            MemoryFiles.replace(self, [resource])
            self.look(self.content)

    def delete(self, path: str) -> None:
        MemoryFiles.delete(self, path)
        self.look(self.content)


def assert_whole(content: dict[str, bytes]) -> None:
    """All tiles that the published checkpoint covers are there, says the independent implementation."""
    if CHECKPOINT in content:
        checkpoint, _ = parse_checkpoint(content[CHECKPOINT].decode())
        assert tree_root_from_tiles(MemoryTileReader(content), checkpoint.size) == checkpoint.root


def test_the_published_checkpoint_is_covered_at_any_moment() -> None:
    files = WatchedFiles(look=assert_whole)
    sequencer = Sequencer(recover(files, SIGNER.key).head, SIGNER, KEYS.sealer(), lambda: 0.0)
    journal = Journal(files)
    for count in (1, 200, 54, 1, 1, 300, 255, 700):
        batch = [sequencer.seal(Unrecorded(admitted(), (), proof=False))] * count
        commit(sequencer, journal, lambda unpublished: publish(files, unpublished), batch)
    replaced = [path for path in files.content if path.startswith(("tile/0/000.p", "tile/entries/004.p"))]
    assert replaced == [], "whole tiles take the place of partial ones"


def published(files: MemoryFiles) -> int:
    """How many entries are published."""
    return parse_checkpoint(files.content[CHECKPOINT].decode())[0].size


def test_the_newest_commit_is_published_when_the_log_is_closed() -> None:
    files = MemoryFiles()

    async def record() -> None:
        for _ in range(5):
            await log.append(admitted())
        assert published(files) == 1, "an hour has not passed"

    with opened(files, LogLimits(publish_interval=3600)) as log:
        run(record)
    assert published(files) == 6


def test_whole_tiles_do_not_wait() -> None:
    files = WatchedFiles()

    async def record() -> None:
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        files.look = lambda _: published(files) < 256 or loop.call_soon_threadsafe(done.set)
        await asyncio.gather(*(log.append(admitted(), proof=False) for _ in range(300)))
        await done.wait()
        files.look = lambda _: None

    with opened(files, LogLimits(publish_interval=3600)) as log:
        run(record)


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("0000000000000000.journal", 0),
        ("0000000000001234.journal", 1234),
        ("1234.journal", None),
        ("0000000000001234.journal.new", None),
        ("000000000000123x.journal", None),
        ("journal", None),
    ],
)
def test_names_of_journal_files(name: str, first: int | None) -> None:
    assert first_index(name) == first
    if first is not None:
        assert journal_path(first) == f"journal/{name}"

"""Between workers: what comes of a forwarded request when its owner answers, refuses, breaks off, hangs or is gone."""

import asyncio
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest

from broker.core.control.admission import Admission
from broker.core.planning.ownership import Ownership
from broker.errors import ConfigError, InvalidRequestError, Violation
from broker.investigation.context import Write
from broker.model import Delivery, Priority, Request, Subject, SubjectType
from broker.peers.client import PeerError, Peers, open_peers, socket_of
from broker.peers.liveness import ALIVE, beating
from broker.peers.messages import ForwardRequest, Trailer
from broker.peers.server import PeerService
from tests.fakes import MANDATE

T = TypeVar("T")
PATIENCE = 20.0  # s, on a machine with much else to do
TRAILER = Trailer(b"the last", b"counts", complete=True)
REPORTS = [b"\x0a\x00", b"\x0a\x02\x18\x01"]
Answer = Callable[[ForwardRequest, Write], Awaitable[Trailer]]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: the system takes no longer one for a socket."""
    with tempfile.TemporaryDirectory(prefix="broker-") as name:
        yield Path(name)


def forward_request(time_left: float = PATIENCE) -> ForwardRequest:
    return ForwardRequest(
        request=Request(
            mandate=MANDATE,
            request_id="mine",
            institution_ids=(),
            kinds=frozenset(),
            max_age=None,
            priority=Priority.BULK,
            delivery=Delivery.COMPLETE,
        ),
        selected=("bank",),
        time_left=time_left,
        positions=[0],
        heads=[b"\x0a\x01a"],
        keys=[b"k" * 16],
        subjects=[Subject(SubjectType.RESIDENT_ID, "11010519491231002X", "张三")],
    )


@asynccontextmanager
async def peer(folder: Path, answer: Answer, admission: Admission | None = None) -> AsyncIterator[PeerService]:
    """The worker in slot 1."""
    service = PeerService(
        answer, admission or Admission(max_inquiries=1, max_request_bytes=1), socket_of(folder, 1), longest=1 << 20
    )
    await service.open()
    try:
        yield service
    finally:
        await service.close()


async def ask(peers: Peers, asked: ForwardRequest | None = None) -> list[bytes | Trailer]:
    return [part async for part in peers.ask(1, asked or forward_request())]


def with_peers(folder: Path, main: Callable[[Peers], Awaitable[T]]) -> T:
    """Runs what the worker in slot 0 does."""

    async def bounded() -> T:
        async with asyncio.timeout(PATIENCE), open_peers(Ownership(0, 2), folder) as peers:
            return await main(peers)

    return asyncio.run(bounded())


def saying(messages: Sequence[bytes], *, error: Exception | None = None) -> Answer:
    async def answer(_: ForwardRequest, write: Write) -> Trailer:
        for message in messages:
            await write(message)
        if error is not None:
            raise error
        return TRAILER

    return answer


async def hang(_: ForwardRequest, write: Write) -> Trailer:
    await write(REPORTS[0])
    await asyncio.Event().wait()
    return TRAILER


def test_reports_are_passed_on_unchanged_and_the_trailer_comes_last(folder: Path) -> None:
    seen: list[ForwardRequest] = []

    async def answer(asked: ForwardRequest, write: Write) -> Trailer:
        seen.append(asked)
        return await saying(REPORTS)(asked, write)

    async def main(peers: Peers) -> None:
        async with peer(folder, answer):
            assert await ask(peers) == [*REPORTS, TRAILER]

    with_peers(folder, main)
    (received,) = seen
    asked = forward_request()
    assert 0.8 * asked.time_left < received.time_left < asked.time_left, "the owner ends first, and properly"
    assert msgspec.structs.replace(received, time_left=asked.time_left) == asked


def test_who_is_not_there_is_noticed_at_once_and_found_again_when_back(folder: Path) -> None:
    async def main(peers: Peers) -> None:
        for _ in range(2):
            with pytest.raises(PeerError, match="worker 1 failed: UNAVAILABLE"):
                await ask(peers)
        for _ in range(2):  # the second time, it takes the place of one that has left
            async with peer(folder, saying(REPORTS)):
                while True:
                    try:
                        assert await ask(peers) == [*REPORTS, TRAILER]
                        break
                    except PeerError:
                        pass

    with_peers(folder, main)


def test_the_socket_of_one_that_was_killed_is_taken_over(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(socket_of(folder, 1).removeprefix("unix:"))

    async def main(peers: Peers) -> None:
        async with peer(folder, saying([])):
            assert await ask(peers) == [TRAILER]

    with_peers(folder, main)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RuntimeError("张三"), "INTERNAL"),
        (ConfigError("other institutions"), "FAILED_PRECONDITION"),
        (InvalidRequestError([Violation("institution_ids[0]", "is not known")]), "FAILED_PRECONDITION"),
    ],
)
def test_who_breaks_off_has_not_done_it(
    folder: Path, error: Exception, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main(peers: Peers) -> None:
        async with peer(folder, saying(REPORTS, error=error)):
            answer = peers.ask(1, forward_request())
            assert [await anext(answer) for _ in REPORTS] == REPORTS
            with pytest.raises(PeerError, match=code):
                await anext(answer)

    with_peers(folder, main)
    assert len(caplog.records) == 1
    assert "张三" not in caplog.text
    assert ("internal error" in caplog.text) == (code == "INTERNAL")


def test_who_stops_takes_nothing_over(folder: Path) -> None:
    admission = Admission(max_inquiries=1, max_request_bytes=1)
    admission.draining = True

    async def main(peers: Peers) -> None:
        async with peer(folder, saying(REPORTS), admission):
            with pytest.raises(PeerError, match="UNAVAILABLE"):
                await ask(peers)

    with_peers(folder, main)


def test_an_invalid_forward_request_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.peers.client.encode_forward_request", lambda _: b"\xc1")

    async def main(peers: Peers) -> None:
        async with peer(folder, saying(REPORTS)):
            with pytest.raises(PeerError, match="FAILED_PRECONDITION"):
                await ask(peers)

    with_peers(folder, main)


def test_the_trailer_of_another_version_ends_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.peers.server.encode_trailer", lambda _: b"\xff\x91\xc3")  # [true]

    async def main(peers: Peers) -> None:
        async with peer(folder, saying(REPORTS)):
            answer = peers.ask(1, forward_request())
            assert [await anext(answer) for _ in REPORTS] == REPORTS
            with pytest.raises(PeerError, match="another version"):
                await anext(answer)

    with_peers(folder, main)


def test_who_hangs_is_given_up_within_the_time_there_is(folder: Path) -> None:
    """Beyond it the caller's stream could not be ended properly any more."""

    async def main(peers: Peers) -> float:
        async with peer(folder, hang):
            await ask_once(peers)  # connected
            began = time.monotonic()
            with pytest.raises(PeerError, match="DEADLINE_EXCEEDED"):
                await ask(peers, forward_request(0.5))
            return time.monotonic() - began

    async def ask_once(peers: Peers) -> None:
        async for _ in peers.ask(1, forward_request()):
            break

    assert with_peers(folder, main) > 0.4


def test_a_peer_that_gives_no_sign_of_life_is_given_up(folder: Path) -> None:
    """A stopped process keeps its connections open."""

    async def main() -> None:
        hung = PeerService(
            hang, Admission(max_inquiries=1, max_request_bytes=1), socket_of(folder, 1), longest=1 << 20, beat=PATIENCE
        )
        await hung.open()
        async with asyncio.timeout(PATIENCE), open_peers(Ownership(0, 2), folder, silence=0.2) as peers:
            with pytest.raises(PeerError, match="no sign of life"):
                await ask(peers)
        await hung.close()

    asyncio.run(main())


def test_signs_of_life_are_sent_while_there_is_nothing_else_and_are_not_passed_on(folder: Path) -> None:
    async def main() -> None:
        sent: list[bytes] = []
        three_beats = asyncio.Event()

        async def count(message: bytes) -> None:
            sent.append(message)
            if sent.count(ALIVE) == 3:
                three_beats.set()

        async with beating(count, beat=0.001) as write:
            await three_beats.wait()
            await write(REPORTS[0])
        assert [message for message in sent if message != ALIVE] == [REPORTS[0]]

        async def wait_for_beats(asked: ForwardRequest, write: Write) -> Trailer:
            for _ in range(3):
                await write(ALIVE)
            return await saying(REPORTS)(asked, write)

        async with peer(folder, wait_for_beats), open_peers(Ownership(0, 2), folder) as peers:
            assert await ask(peers) == [*REPORTS, TRAILER]

    asyncio.run(main())


def test_who_does_not_wait_any_more_ends_the_work(folder: Path) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def answer(_: ForwardRequest, __: Write) -> Trailer:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return TRAILER

    async def main(peers: Peers) -> None:
        async with peer(folder, answer):
            asking = asyncio.create_task(ask(peers))
            await begun.wait()
            asking.cancel()
            await ended.wait()

    with_peers(folder, main)


def test_who_leaves_finishes_what_it_has_taken_over(folder: Path) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def answer(asked: ForwardRequest, write: Write) -> Trailer:
        begun.set()
        await go_on.wait()
        return await saying(REPORTS)(asked, write)

    async def main(peers: Peers) -> None:
        async with peer(folder, answer) as service:
            asking = asyncio.create_task(ask(peers))
            await begun.wait()
            leaving = asyncio.create_task(service.wait_idle())
            await asyncio.sleep(0)
            assert not leaving.done()
            go_on.set()
            await leaving
            assert await asking == [*REPORTS, TRAILER]

    with_peers(folder, main)


def test_who_has_to_leave_does_not_wait_for_who_hangs(folder: Path) -> None:
    async def main(peers: Peers) -> None:
        async with peer(folder, hang):
            call = peers.ask(1, forward_request())
            assert await anext(call) == REPORTS[0]
        with pytest.raises(PeerError):
            await anext(call)

    with_peers(folder, main)


def test_a_place_where_no_socket_can_be_is_named(folder: Path) -> None:
    async def main() -> None:
        with pytest.raises(ConfigError, match="cannot listen"):
            await PeerService(
                hang, Admission(max_inquiries=1, max_request_bytes=1), socket_of(folder / ("x" * 120), 1), longest=1
            ).open()

    asyncio.run(main())

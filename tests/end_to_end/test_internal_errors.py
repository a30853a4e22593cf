"""An error that nobody foresaw ends the request it belongs to: the worker lives, and nothing of its text is written."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from broker.investigation.aggregation import Aggregator
from broker.lanes.fan_out import FanOut
from broker.lanes.lane import Lane
from tests.end_to_end.testbed import Testbed, asking, check_truth, sample, with_testbed

SECRET = "张三 11010519491231002X"  # noqa: S105 - what such an error may hold
DOOMED = "doomed"
"""The id of the request whose steps raise."""


def by_aggregator(aggregator: Aggregator, *_: Any) -> str:
    return aggregator.request_id


def by_submission(_: FanOut, submission: Any, *__: Any) -> str:
    return str(submission.missed.waiter.request_id)


def by_parcel(_: Lane, parcel: Any, *__: Any) -> str:
    return str(parcel.waiter.request_id)


ERROR, STRAY = KeyError(SECRET), asyncio.CancelledError(SECRET)


@pytest.mark.parametrize(
    ("owner", "step", "request_of", "error"),
    [
        (FanOut, "submit", by_submission, ERROR),
        (FanOut, "submit", by_submission, STRAY),
        (Lane, "reserve", by_parcel, ERROR),
        (Lane, "ask", by_parcel, ERROR),
        (Aggregator, "add", by_aggregator, ERROR),
        (Aggregator, "seal", by_aggregator, ERROR),
        (Aggregator, "seal", by_aggregator, STRAY),
        (Aggregator, "deliver", by_aggregator, ERROR),
        (Aggregator, "attend", by_aggregator, ERROR),
        (Aggregator, "attend", by_aggregator, STRAY),
    ],
    ids=lambda value: value if isinstance(value, str) else getattr(value, "__name__", type(value).__name__),
)
def test_an_unforeseen_error_ends_its_request_and_no_other(  # noqa: PLR0917 - three of them are fixtures
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    owner: type,
    step: str,
    request_of: Callable[..., str],
    error: BaseException,
) -> None:
    original = getattr(owner, step)

    def raising(self: Any, *args: Any, **kwargs: Any) -> Any:
        if request_of(self, *args) == DOOMED:
            raise error
        return original(self, *args, **kwargs)

    monkeypatch.setattr(owner, step, raising)

    async def scenario(testbed: Testbed) -> None:
        await testbed.faults(latency={"distribution": "fixed", "seconds": 0.3})
        lookups = sample(20)
        others = asyncio.create_task(testbed.ask(asking(lookups[:10])))
        await testbed.stats_reach("calls", 1)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await testbed.ask(asking(lookups[5:], request_id=DOOMED))
        assert refused.value.code() is grpc.StatusCode.INTERNAL
        assert check_truth(lookups[:10], await others)
        assert check_truth(lookups, await testbed.ask(asking(lookups)))
        await testbed.is_idle()
        if owner is not Aggregator or step != "deliver":  # which the lane has caught
            assert await testbed.metric("broker_internal_errors_total") == 1

    with_testbed(tmp_path, scenario)
    assert type(error).__name__ in caplog.text, "what and where is logged"
    written = capfd.readouterr()
    for text in (caplog.text, written.out, written.err):
        assert not set(SECRET.split()) & set(text.split())

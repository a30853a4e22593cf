"""A worker that loses its lanes stops and says so; it must not go on answering from the cache alone."""

import asyncio
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from broker.config import Config, ServerConfig, StoreConfig
from broker.core.planning.ownership import Ownership
from broker.errors import ConfigError
from broker.institutions.stub import stub_spec
from broker.lanes.fan_out import FanOut
from broker.runtime.app import _divided, serve
from broker.runtime.key_source import load_key_ring
from broker.runtime.worker import NoSupervisor
from broker.store import log as log_module
from tests.store.test_lmdb_store import Clock, numbered, opened, statements


def config(tmp_path: Path, metrics: str = "127.0.0.1:0") -> Config:
    store = StoreConfig(path="", key_file=str(tmp_path / "key"))
    bank = replace(stub_spec("bank"), dialect="json")
    return Config(ServerConfig(listen="127.0.0.1:0", metrics=metrics), store, (bank,))


def test_lanes_that_end_end_the_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fall_over(_: FanOut) -> None:
        raise RuntimeError("the lanes fell over")

    monkeypatch.setattr(FanOut, "run", fall_over)
    with pytest.raises(RuntimeError, match="the lanes fell over"):
        asyncio.run(serve(config(tmp_path), stop=asyncio.Event(), ready=lambda _: None))


class Listener(NoSupervisor):
    """A supervisor that remembers what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[str, float]] = []

    def progress(self, step: str, silence: float) -> None:
        """See `Supervisor`."""
        self.told.append((step, silence))


def test_a_worker_shows_life_while_its_index_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path / "cache", Clock(), master_keys=load_key_ring(str(tmp_path / "key")).secrets) as store:
        store.put_many(statements(numbered(range(500))))
    (tmp_path / "cache" / "index").unlink()
    monkeypatch.setattr(log_module, "_AT_ONCE", 1)
    store_config = StoreConfig(path=str(tmp_path / "cache"), key_file=str(tmp_path / "key"))

    async def scenario() -> list[float]:
        supervisor, stop = Listener(), asyncio.Event()
        configured = msgspec.structs.replace(config(tmp_path), store=store_config)
        await serve(configured, stop=stop, ready=lambda _: stop.set(), supervisor=supervisor)
        return [silence for step, silence in supervisor.told if step == "opening the store"]

    silences = asyncio.run(scenario())
    assert len(silences) > 3
    assert max(silences) <= 120, "seconds: one that spins in opening the store is killed after that"


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    async def scenario() -> str:
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        async with server:
            with pytest.raises(ConfigError) as refusal:
                await serve(config(tmp_path, f"{host}:{port}"), stop=asyncio.Event(), ready=lambda _: None)
        return str(refusal.value)

    assert "server.metrics" in asyncio.run(scenario())


@pytest.mark.parametrize("workers", [1, 2, 3, 4])
def test_workers_share_what_is_meant_for_the_host(tmp_path: Path, workers: int) -> None:
    whole = config(tmp_path)
    parts = [_divided(whole, Ownership(slot, workers)) for slot in range(workers)]
    for limit in ("max_inquiries_in_flight", "max_request_bytes_in_flight"):
        assert sum(getattr(part.server, limit) for part in parts) == getattr(whole.server, limit)
    assert sum(part.institutions[0].concurrency for part in parts) == whole.institutions[0].concurrency
    assert sum(part.institutions[0].rate for part in parts) == pytest.approx(whole.institutions[0].rate)

"""What a reload cannot change is refused by name; everything else is accepted."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest
from msgspec.structs import replace

from broker.config import Config, ServerConfig, StoreConfig
from broker.errors import ConfigError
from broker.institutions.stub import stub_spec
from broker.runtime.key_ring import KeyRing, new_ring
from broker.runtime.reload import check_reload

RUNNING = Config(ServerConfig(workers=0), StoreConfig(), (stub_spec("bank"),))
WORKERS = 2
RING, OTHER = new_ring("one"), new_ring("other")
Keys = Mapping[str, Any]
NONE: Keys = MappingProxyType({})


def reload(*, ring: KeyRing = RING, store: Keys = NONE, audit: Keys = NONE, access: Keys = NONE, **server: Any) -> None:
    new = replace(
        RUNNING,
        server=replace(RUNNING.server, **server),
        store=replace(RUNNING.store, **store),
        audit=replace(RUNNING.audit, **audit),
        access=replace(RUNNING.access, **access),
    )
    check_reload(RUNNING, new, workers=WORKERS, rings=(RING, ring))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"listen": "127.0.0.1:1"}, "server.listen: '127.0.0.1:1' instead of '127.0.0.1:50051' takes effect only when"),
        ({"metrics": "127.0.0.1:1"}, "server.metrics"),
        ({"workers": 3}, "server.workers: 3 instead of 2"),
        ({"store": {"path": "elsewhere"}}, "store.path"),
        ({"store": {"key_file": "elsewhere"}}, "store.key_file"),
        ({"store": {"map_size": 1}}, "store.map_size"),
        ({"audit": {"path": "elsewhere"}}, "audit.path"),
        ({"audit": {"origin": "elsewhere"}}, "audit.origin"),
        ({"audit": {"key_file": "elsewhere"}}, "audit.key_file"),
        ({"access": {"quotas": "elsewhere"}}, "access.quotas"),
    ],
)
def test_what_needs_a_restart_is_refused_by_name(change: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=f"^{named}"):
        reload(**change)


def test_all_of_it_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        reload(listen="127.0.0.1:1", workers=3, max_lookups=1, store={"map_size": 1}, ring=OTHER)
    assert list(dict.fromkeys(fault.partition(": ")[0] for fault in error.value.faults)) == [
        "server.listen",
        "store.map_size",
        "server.workers",
        "store.key_file",
    ]


def test_everything_else_may_change() -> None:
    reload()
    reload(audit={"retention_days": 7})
    reload(access={"policy": "new.toml", "registry": "new.toml"})
    reload(max_lookups=1, grace_period=1.0, workers=WORKERS)
    check_reload(RUNNING, replace(RUNNING, institutions=(stub_spec("other"),)), workers=WORKERS, rings=(RING, RING))


def test_the_workers_that_run_must_be_able_to_share_the_institutions() -> None:
    narrow = replace(RUNNING, institutions=(stub_spec("bank", concurrency=1),))
    with pytest.raises(ConfigError, match="lower it to 1"):
        check_reload(RUNNING, narrow, workers=WORKERS, rings=(RING, RING))

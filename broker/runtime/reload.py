"""What a reload cannot change, because the workers are replaced one by one, and share it meanwhile.

The port they listen at is the supervisor's, and so is their number, by which they divide their work. A store of another
path or size could not be used by old and new workers at the same time, nor one with keys that only some of them have,
and quotas in another folder would begin with nothing. The audit logs of all workers lie under one path, and are signed
with one key. A new worker's metrics port may be one that an old worker still has.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from broker.config import Config
from broker.errors import ConfigError
from broker.runtime.key_ring import KeyRing, check_change

_FIXED = (
    ("server", "listen"),
    ("server", "metrics"),
    ("access", "quotas"),
    ("audit", "path"),
    ("audit", "origin"),
    ("audit", "key_file"),
    ("store", "path"),
    ("store", "key_file"),
    ("store", "map_size"),
)


def check_reload(running: Config, new: Config, *, workers: int, rings: tuple[KeyRing, KeyRing]) -> None:
    """Raises `ConfigError` with everything that is new and would need a restart.

    `workers`: how many run. `rings`: the keys that they have, and those that new ones would have.
    """
    changes = [f"{change} takes effect only when the broker is restarted" for change in _changed(running, new, workers)]
    if faults := [*changes, *(f"store.key_file: {fault}" for fault in check_change(*rings))]:
        raise ConfigError(*faults)
    replace(new, server=replace(new.server, workers=workers)).workers(workers)  # they have to share the institutions


def _changed(running: Config, new: Config, workers: int) -> Iterator[str]:
    for section, key in _FIXED:
        old, value = (getattr(getattr(config, section), key) for config in (running, new))
        if old != value:
            yield f"{section}.{key}: {value!r} instead of {old!r}"
    if new.server.workers not in (running.server.workers, workers):
        yield f"server.workers: {new.server.workers} instead of {running.server.workers or workers}"

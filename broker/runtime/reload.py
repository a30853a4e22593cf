"""What a reload cannot change, because the workers are replaced one by one, and share it meanwhile.

The port they listen at is the supervisor's, and so is their number, by which they divide their work. A store of another
key, path or size could not be used by old and new workers at the same time, and quotas in another folder would begin
with nothing. The audit logs of all workers lie under one path, and are signed with one key. A new worker's metrics port
may be one that an old worker still has.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from broker.config import Config
from broker.errors import ConfigError

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


def check_reload(running: Config, new: Config, *, workers: int, same_key: bool) -> None:
    """Raises `ConfigError` with everything that is new and would need a restart.

    `workers`: how many run. `same_key`: whether the key file holds the key that it held at the start.
    """
    changed = list(_changed(running, new, workers))
    if not same_key:
        changed.append("store.key_file: another key in the file")
    if changed:
        raise ConfigError(*(f"{change} takes effect only when the broker is restarted" for change in changed))
    replace(new, server=replace(new.server, workers=workers)).workers(workers)  # they have to share the institutions


def _changed(running: Config, new: Config, workers: int) -> Iterator[str]:
    for section, key in _FIXED:
        old, value = (getattr(getattr(config, section), key) for config in (running, new))
        if old != value:
            yield f"{section}.{key}: {value!r} instead of {old!r}"
    if new.server.workers not in (running.server.workers, workers):
        yield f"server.workers: {new.server.workers} instead of {running.server.workers or workers}"

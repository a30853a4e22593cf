"""What a worker's gate consists of, as the configuration says."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from importlib.metadata import version
from pathlib import Path

from broker.audit.keys import AuditKeys, load_keys
from broker.audit.log import AuditLog
from broker.audit_section import AuditConfig
from broker.config import Config
from broker.errors import ConfigError
from broker.quotas.quota_store import QuotaStore
from broker.runtime.access_files import read_access_files
from broker.serving.gate import Gate
from broker.serving.request_record import Recorder
from broker.serving.tls import ServerTls, peer_identifier

_ORPHAN_PATIENCE = 15.0  # s; a worker whose supervisor was killed finishes what is in flight, and ends within ten


def open_gate(
    config: Config, tls: ServerTls | None, stack: AsyncExitStack, *, slot: int, on_failure: Callable[[], None]
) -> Gate:
    """The gate of the worker in a slot; what it opens is closed with the stack.

    `on_failure` is called, on whatever thread, when nothing can be recorded any more. Raises `ConfigError`,
    `StoreError` or `AuditError`.
    """
    try:
        access = read_access_files(config.access)
    except ConfigError as error:
        raise ConfigError(*(f"access.{fault}" for fault in error.faults)) from None
    quotas = None
    if access.policy is not None:
        quotas = QuotaStore(Path(config.access.quotas))
        stack.callback(quotas.close)
    log = committer = None
    if config.audit.path:
        keys = load_keys(Path(config.audit.key_file), make=True)
        log = _open_log(config.audit, keys, slot)
        log.on_failure = on_failure
        stack.callback(log.close)
        committer = keys.keyer()
    return Gate(
        peers=peer_identifier(tls, access.registry),
        policy=access.policy,
        quotas=quotas,
        recorder=Recorder(log),
        committer=committer,
    )


def _open_log(config: AuditConfig, keys: AuditKeys, slot: int) -> AuditLog:
    name = f"worker-{slot}"
    release = version("property-investigation-broker")
    opened = AuditLog.open(
        Path(config.path) / name, f"{config.origin}/{name}", keys, version=release, patience=_ORPHAN_PATIENCE
    )
    if config.retention_days:
        opened.keep_for(config.retention_days)
    return opened

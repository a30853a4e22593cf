"""What `broker serve` checks before it serves, and `broker config --check` without serving: the same, by the same code.

Everything that the configuration names is looked at, and nothing is made or changed. That another process has a port or
the store is no fault of the configuration: it may be this very broker. `broker serve` finds out when it takes them.
"""

import errno
import ipaddress
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from broker.access_section import AccessConfig
from broker.audit.keys import load_keys
from broker.audit_section import AuditConfig
from broker.config import Config, Draft, ServerConfig, StoreConfig, too_many_workers, worker_count
from broker.errors import AuditError, ConfigError
from broker.institutions.encryption import encryption
from broker.model import InstitutionSpec
from broker.runtime.access_files import read_access_files
from broker.runtime.folder_check import find_data_folder_fault, find_folder_fault, find_socket_folder_fault
from broker.runtime.key_source import find_key_fault, key_path
from broker.runtime.open_files import find_limit_fault, open_files
from broker.sections import ConfigFault
from broker.serving.tls_files import read_material, read_revoked_files
from broker.tls_section import TlsConfig

_LAST_PORT = 65_535


def check_start(draft: Draft, cores: int) -> tuple[Config, int]:
    """The configuration and the number of workers to run on so many cores.

    Raises `ConfigError` with all faults of the configuration, and of what it names.
    """
    faults = [draft.located(fault) for fault in _faults(draft, cores)]
    if draft.faults or faults:
        raise ConfigError(*draft.faults, *faults)
    config = draft.config()
    return config, config.workers(cores)


def _faults(draft: Draft, cores: int) -> Iterator[ConfigFault]:
    if draft.server:
        if draft.institutions and (reason := too_many_workers(draft.server.workers, draft.institutions)):
            yield ConfigFault("server.workers", reason)
        yield from _port_faults(draft.server, worker_count(draft.server, draft.institutions, cores))
        if reason := find_limit_fault(open_files(draft.server, draft.institutions)):
            yield ConfigFault("server.max_connections", reason)
    if reason := find_socket_folder_fault(Path(tempfile.gettempdir())):
        yield ConfigFault("TMPDIR", reason)
    if draft.tls and draft.tls.is_on:
        yield from _tls_faults(draft.tls)
    if draft.access:
        yield from _access_faults(draft.access)
    if draft.store:
        yield from _store_faults(draft.store)
    if draft.audit:
        yield from _audit_faults(draft.audit)
    for spec in draft.institutions:
        yield from _institution_faults(spec)


def _port_faults(server: ServerConfig, workers: int) -> Iterator[ConfigFault]:
    hosts = {}
    for key, address in (("listen", server.listen), ("metrics", server.metrics)):
        host, port = _split(address)
        try:
            hosts[key] = _bound_host(host, port)
        except OSError as error:
            reason = (
                f"cannot listen on {address} ({error.strerror}); name an address of this host, and a port it may use"
            )
            yield ConfigFault(f"server.{key}", reason)
    listen, first = _split(server.listen)[1], _split(server.metrics)[1]
    last = first + workers - 1
    if first and last > _LAST_PORT:
        reason = f"{workers} workers need the ports {first} to {last}, but ports end at {_LAST_PORT}; begin lower"
        yield ConfigFault("server.metrics", reason)
    if listen and first <= listen <= last and len(hosts) > 1 and _overlap(hosts["listen"], hosts["metrics"]):
        used = f"port {first}" if workers == 1 else f"the ports {first} to {last}, one for each worker"
        yield ConfigFault("server.metrics", f"uses {used}, but {listen} is that of server.listen; choose another one")


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _bound_host(host: str, port: int) -> str:
    """The IP address of a host at which this process may listen. Raises `OSError`."""
    family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(place)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    return str(place[0])


def _overlap(one: str, other: str) -> bool:
    """Whether somebody who listens at one of these addresses is in the way of the other."""
    return one == other or any(ipaddress.ip_address(host.partition("%")[0]).is_unspecified for host in (one, other))


def _store_faults(store: StoreConfig) -> Iterator[ConfigFault]:
    if reason := find_key_fault(store.key_file):
        yield ConfigFault("store.key_file", f"{store.key_file}: {reason}")
    elif (path := key_path(store.key_file)) and not path.exists() and (reason := find_folder_fault(path.parent)):
        yield ConfigFault("store.key_file", f"{path}: cannot be made: {reason}")
    if store.path and (reason := find_data_folder_fault(Path(store.path))):
        yield ConfigFault("store.path", f"{store.path}: {reason}")


def _access_faults(access: AccessConfig) -> Iterator[ConfigFault]:
    yield from _raised("access", lambda: read_access_files(access))
    if access.policy and (reason := find_data_folder_fault(Path(access.quotas))):
        yield ConfigFault("access.quotas", f"{access.quotas}: {reason}")


def _tls_faults(tls: TlsConfig) -> Iterator[ConfigFault]:
    found = [
        *_raised("tls", lambda: read_material(tls, time.time())),
        *_raised("tls", lambda: read_revoked_files(tls)),
    ]
    yield from dict.fromkeys(found)  # both read tls.client_ca


def _audit_faults(audit: AuditConfig) -> Iterator[ConfigFault]:
    if not audit.path:
        return
    if reason := find_data_folder_fault(Path(audit.path), readable=True):
        yield ConfigFault("audit.path", f"{audit.path}: {reason}")
    key_file = Path(audit.key_file)
    if key_file.exists():
        try:
            load_keys(key_file).signing_key()
        except AuditError as error:
            yield ConfigFault("audit.key_file", str(error))
    elif reason := find_folder_fault(key_file.parent):
        yield ConfigFault("audit.key_file", f"{key_file}: cannot be made: {reason}")


def _institution_faults(spec: InstitutionSpec) -> Iterator[ConfigFault]:
    yield from _raised(f"institution ({spec.id})", lambda: encryption(spec.access))


def _raised(section: str, check: Callable[[], object]) -> Iterator[ConfigFault]:
    """The faults of a `ConfigError` that a check raises, whose keys are relative to a section."""
    try:
        check()
    except ConfigError as error:
        for fault in error.faults:
            key, _, reason = fault.partition(": ")
            yield ConfigFault(f"{section}.{key}", reason)

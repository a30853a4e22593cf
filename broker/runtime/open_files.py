"""How many files a worker may have open: enough for every connection that the configuration allows, at both edges.

Without that, callers who open connections would take the descriptors that the store and institutions need.
"""

import resource
from collections.abc import Sequence

from broker.config import ServerConfig
from broker.model import InstitutionSpec
from broker.runtime.metrics_endpoint import MOST_CONNECTIONS

_RESERVE = 256  # the store, logs, loops, other workers


def open_files(server: ServerConfig, institutions: Sequence[InstitutionSpec]) -> int:
    """How many files a worker with this configuration may need at a time."""
    calls = sum(spec.concurrency for spec in institutions)
    return server.max_connections + calls + MOST_CONNECTIONS + _RESERVE


def find_limit_fault(needed: int) -> str | None:
    """Why a process started by this one cannot have so many files open; None if it can."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or needed <= hard:
        return None
    return (
        f"a worker may need {needed} open files, but only {hard} are allowed; raise the limit (ulimit -n, LimitNOFILE),"
        " or lower this"
    )


def allow_open_files(needed: int) -> None:
    """Raises this process's limit of open files, as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY != soft < needed:
        allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))

"""What one of a host's workers may ask of an institution, so that all together keep to what it takes from the host.

Calls at a time and the rate are divided. So is the burst, the most that is sent at once: what a second of the rate pays
for, or a full batch if that is more. A worker's burst cannot be less than what it sends in one call, so its batches are
no larger than its part of the burst. Each part has to be at least one inquiry: that limits the number of workers.
"""

from dataclasses import replace

from broker.core.planning.ownership import Ownership
from broker.model import InstitutionSpec


def burst_of(spec: InstitutionSpec) -> float:
    """Most inquiries sent to it at once."""
    return max(spec.rate, spec.batch_size)


def max_workers(spec: InstitutionSpec) -> int:
    """Most workers that can share it."""
    return min(spec.concurrency, int(burst_of(spec)))


def share_of(spec: InstitutionSpec, ownership: Ownership) -> InstitutionSpec:
    """The institution as one worker sees it. There are at most `max_workers`."""
    return replace(
        spec,
        concurrency=ownership.share(spec.concurrency),
        rate=spec.rate / ownership.workers,
        batch_size=min(spec.batch_size, int(burst_of(spec) / ownership.workers)),
    )

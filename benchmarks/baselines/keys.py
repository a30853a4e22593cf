"""The key of an inquiry in Redis and in Varnish: the institution and a hash of the subject."""

import hashlib

_DIGEST_BYTES = 16  # as many as the broker's own keys have


def cache_key(institution_id: str, subject_type: int, number: str, name: str) -> str:
    """Such as mock-bank/0f3c…; `subject_type`: its number in the contract."""
    subject = f"{subject_type}/{number}/{name}".encode()
    return f"{institution_id}/{hashlib.blake2b(subject, digest_size=_DIGEST_BYTES).hexdigest()}"

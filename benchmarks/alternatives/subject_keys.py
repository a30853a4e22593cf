"""Keys of subjects: AES-CMAC for a whole batch, against a keyed hash of a library for each subject."""

from collections.abc import Callable, Sequence
from datetime import date
from hashlib import blake2b
from operator import eq

from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.cmac import CMAC

from benchmarks.alternatives.alternative import Alternative
from benchmarks.alternatives.sample import Sample
from broker.core.subjects.key import SIZE, Keyer, SubjectMessages
from broker.core.subjects.plain_lookups import FORMS, find_plain

_SECRET = b"k" * 32


def alternatives(sample: Sample) -> list[Alternative]:
    """Keys of persons, a request at a time, from the rows in which `plain_lookups` leaves them."""
    today = date.today()  # noqa: DTZ011 - only birth dates are compared with it
    batches = [find_plain(lookups, FORMS[0], today=today).messages for lookups in sample.lookups]
    cmac = CMAC(algorithms.AES(blake2b(_SECRET, digest_size=32).digest()))  # as the keyer derives its key
    keyed = blake2b(key=_SECRET, digest_size=SIZE)

    def cmac_of(message: bytes) -> bytes:
        state = cmac.copy()
        state.update(message)
        return state.finalize()

    def blake2b_of(message: bytes) -> bytes:
        state = keyed.copy()
        state.update(message)
        return state.digest()

    return [
        _alternative(batches, "keyed BLAKE2b of hashlib, for each subject", blake2b_of, _equally_distinct),
        _alternative(batches, "CMAC of cryptography, for each subject", cmac_of, eq),
    ]


def _alternative(
    batches: Sequence[SubjectMessages],
    library_way: str,
    key_of: Callable[[bytes], bytes],
    same: Callable[[Sequence[bytes], Sequence[bytes]], bool],
) -> Alternative:
    keyer = Keyer(_SECRET)
    return Alternative(
        part="core.subjects.key",
        task="key of a subject",
        unit="subject",
        count=sum(len(messages.lengths) for messages in batches),
        library_way=library_way,
        prepare=lambda _: batches,
        ours=lambda batches: [key for messages in batches for key in keyer.keys_of(messages)],
        library=lambda batches: [key_of(message) for messages in batches for message in _messages(messages)],
        same=same,
    )


def _messages(messages: SubjectMessages) -> list[bytes]:
    rows, lengths = messages
    raw, width = rows.tobytes(), rows.shape[1]
    starts = range(0, len(raw), width)
    return [raw[start : start + length] for start, length in zip(starts, lengths.tolist(), strict=True)]


def _equally_distinct(ours: Sequence[bytes], library: Sequence[bytes]) -> bool:
    """Whether the keys, which differ, name the same subjects: equal keys of ours have equal keys there."""
    return len(ours) == len(library) and len(set(zip(ours, library, strict=True))) == len(set(ours)) == len(
        set(library)
    )

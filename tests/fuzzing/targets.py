"""What is fuzzed: whatever reads bytes that somebody else wrote. Each target may raise only the errors it lists.

Bytes come from courts (requests, certificates), from institutions (replies), from a disk that somebody had (the store's
pages, the audit log), from other workers, and from operators (policies, key files).
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import date
from typing import NamedTuple

import msgspec

from broker.access.court_set import parse_court_set
from broker.access.identity import identity_of
from broker.access.policy_file import read_policy
from broker.access.registry import read_registry
from broker.access.signature import RegisteredKey, verify
from broker.access.signed_request import KEY_METADATA, SIGNATURE_METADATA
from broker.audit import material
from broker.audit.entry import decode_entry, encode_entry
from broker.audit.frames import FrameKind, frame, hash_of
from broker.audit.keys import parse_keys
from broker.audit.replay import JournalError, Replay
from broker.audit.tlog.checkpoint import parse_checkpoint
from broker.audit.tlog.note import parse_verifier_key
from broker.audit.tlog.proof import parse_proof
from broker.audit.tlog.tiles import decode_bundle, encode_bundle
from broker.certificate import read_chain
from broker.core.subjects.court import parse_court
from broker.core.subjects.key import Keyer
from broker.core.subjects.mandate import read_mandate
from broker.errors import BadReplyError, CallerError, ConfigError
from broker.institutions.content_coding import decoder
from broker.institutions.dialects import DIALECTS
from broker.model import Kind, Question, Subject, SubjectType
from broker.peers.messages import decode_forward_request, decode_trailer
from broker.runtime.key_ring import KeyRing, KeyRingError
from broker.serving.contract import read_request
from broker.serving.lookups import read_lookups
from broker.serving.revocation import read_revocations
from broker.store.lmdb_check import check_entry
from broker.store.lmdb_pages import DamageError, Meta, Pages
from tests.audit.logs import KEYS, SIGNER

_TODAY = date(2026, 11, 25)
_NOW = 1_800_000_000
_KEYER = Keyer(bytes(32))
_PAGE = 4096
_MOST_PLAIN = 16 * 1024 * 1024  # bytes that a reply may have once it is decompressed
_MANDATE = read_mandate("京0101", "王法官", "（2026）京0101执123号", "（2026）京0101执123号裁定书")
_SUBJECTS = [
    Subject(SubjectType.RESIDENT_ID, "11010519491231002X", "张三"),
    Subject(SubjectType.ORGANIZATION_CODE, "91350100M000100Y43", "某某有限公司"),
    Subject(SubjectType.VEHICLE_PLATE, "京A12345", ""),
]
_SIGNER = RegisteredKey(name="one", public=SIGNER.key.public, courts=parse_court_set(["京*"]))
_QUESTION = Question("request-1", "mock-bank", 2, [_MANDATE], [0, 0, 0], _SUBJECTS)


Read = Callable[[bytes], object]


class Target(NamedTuple):
    """Something that reads bytes, perhaps in several ways."""

    errors: tuple[type[Exception], ...]
    """What each way may raise, since whoever calls it expects that."""
    reads: tuple[Read, ...]

    def __call__(self, data: bytes) -> None:
        """Raises whatever is not expected."""
        for read in self.reads:
            with suppress(*self.errors):
                read(data)


def _of(errors: type[Exception] | None, *reads: Read) -> Target:
    return Target((errors,) if errors else (), reads)


def _of_text(errors: type[Exception], *reads: Callable[[str], object]) -> Target:
    def on_text(read: Callable[[str], object]) -> Read:
        return lambda data: read(data.decode("utf-8", "replace"))

    return _of(errors, *map(on_text, reads))


def _request(data: bytes) -> None:
    _, lookups = read_request(data, max_lookups=10_000)
    columns = read_lookups(lookups, _KEYER, today=_TODAY)
    assert len(columns.keys) == len(lookups)


def _lookups(data: bytes) -> None:
    """Twenty alike, which are read as a batch, and one alone: both ways tell the same problems."""
    many, one = (read_lookups([data] * count, _KEYER, today=_TODAY) for count in (20, 1))
    assert set(many.problems) in (set(), set(range(20)))
    assert bool(many.problems) == bool(one.problems)
    assert not many.problems or many.problems[0] == one.problems[0]


def _identity(uris: str) -> None:
    identity_of(uris.split("\n"), "")


def _revocations(data: bytes) -> None:
    read_revocations({"revoked.crl": data}, data.decode("utf-8", "replace"), [])


def _signature(data: bytes) -> None:
    """A key's text up to the first line break, and what follows it as the signature."""
    key, _, value = data.partition(b"\n")
    metadata: list[tuple[str, str | bytes]] = [
        (KEY_METADATA, key.decode("utf-8", "replace")),
        (SIGNATURE_METADATA, value),
    ]
    verify(metadata, {_SIGNER.public: _SIGNER}, _MANDATE, bytes(32), 0.0)


def _reply(dialect: str) -> Read:
    def read(data: bytes) -> None:
        reply = DIALECTS[dialect].decode(data, _QUESTION, kind=Kind.BANK, now=_NOW)
        assert len(reply.outcomes) == len(_SUBJECTS)

    return read


def _compressed(coding: str) -> Read:
    def read(data: bytes) -> None:
        plain, reading = 0, decoder([coding])
        for piece in reading.feed(data):
            plain += len(piece)
            if plain > _MOST_PLAIN:
                return
        reading.end()

    return read


def _store_pages(data: bytes) -> None:
    metas = [Meta.read(data, number, _PAGE) for number in (0, 1)]
    Pages(data, max(metas, key=lambda meta: meta.transaction)).check(lambda *_: None)


def _store_block(data: bytes) -> None:
    check_entry(b"records", bytes(8), data)


def _audit_entry(data: bytes) -> None:
    assert encode_entry(decode_entry(data)) == data


def _audit_journal(data: bytes) -> None:
    for _ in Replay(data, SIGNER.key).commits():
        pass


def _audit_journal_head(data: bytes) -> None:
    """As the content of a head whose hash is right."""
    _audit_journal(b"".join(frame(FrameKind.HEAD, data, hash_of(FrameKind.HEAD, data))))


def _audit_blocks(data: bytes) -> None:
    for _ in material.decode_blocks(data):
        pass


def _audit_bundle(data: bytes) -> None:
    assert encode_bundle(decode_bundle(data)) == data


TARGETS = {
    "request": _of(CallerError, _request),
    "lookups": _of(None, _lookups),
    "court": _of_text(ValueError, parse_court),
    "identity": _of_text(CallerError, _identity),
    "certificates": _of(ValueError, read_chain),
    "revocations": _of(ConfigError, _revocations),
    "signature": _of(CallerError, _signature),
    "registry": _of_text(ConfigError, read_registry),
    "policy": _of_text(ConfigError, read_policy),
    "json_reply": _of(BadReplyError, _reply("json")),
    "protobuf_reply": _of(BadReplyError, _reply("protobuf")),
    "compressed_reply": _of(BadReplyError, _compressed("gzip"), _compressed("deflate")),
    "store_pages": _of(DamageError, _store_pages),
    "store_block": _of(DamageError, _store_block),
    "forward_request": _of(msgspec.MsgspecError, decode_forward_request),
    "trailer": _of(msgspec.MsgspecError, decode_trailer, lambda data: decode_trailer(b"\xff" + data)),
    "audit_entry": _of(ValueError, _audit_entry),
    "audit_journal": _of(JournalError, _audit_journal, _audit_journal_head),
    "audit_material": _of(ValueError, material.decode_inquired, _audit_blocks),
    "audit_blob": _of(ValueError, KEYS.sealer().open),
    "audit_bundle": _of(ValueError, _audit_bundle),
    "audit_notes": _of_text(ValueError, parse_checkpoint, parse_proof, parse_verifier_key),
    "audit_keys": _of_text(ValueError, parse_keys),
    "key_ring": _of_text(KeyRingError, KeyRing.parse),
}
"""By name, which is also that of a folder below corpus/."""

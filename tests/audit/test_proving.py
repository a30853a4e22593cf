"""Proofs from what is published, checked with the public key alone; the independent implementation agrees."""

import json
import subprocess
import sys
from base64 import b64encode
from pathlib import Path

import aics_tlog
import pytest
from aics_tlog.note import parse_note
from aics_tlog.tiles import FileSystemTileReader, inclusion_proof_from_tiles

from broker.audit.keys import AuditKeys
from broker.audit.proving import check_receipt, prove
from broker.audit.tlog.note import NoteSigner
from broker.audit.tlog.proof import parse_proof
from broker.audit.tlog.tile_proof import TileTree
from broker.audit.verification.folder import LogFolder
from broker.errors import AuditError
from tests.audit.logs import KEYS, ORIGIN, SIGNER
from tests.audit.verification.written import Writer, refusal, write_log

OTHER = NoteSigner(ORIGIN, AuditKeys(bytes(32), bytes(32)).signing_key())


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of 48 entries."""
    folder = tmp_path_factory.mktemp("audit") / "worker-0"
    write_log(folder)
    return folder


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log whose tiles have two levels."""
    folder = tmp_path_factory.mktemp("large")
    Writer(folder, max_file=1 << 20).write(*[[refusal()] * 100 for _ in range(7)])
    return folder


@pytest.mark.parametrize("index", [0, 1, 255, 256, 511, 512, 600, 700])
def test_proofs_are_those_of_the_independent_implementation(large: Path, index: int) -> None:
    proof = parse_proof(prove(LogFolder(large), index))
    assert list(proof.hashes) == inclusion_proof_from_tiles(FileSystemTileReader(large), index, 701)
    assert TileTree(701, LogFolder(large).hashes).root() == proof.checkpoint.root


def test_the_independent_implementation_verifies_all_that_is_published(large: Path) -> None:
    result = aics_tlog.verify_checkpoint(
        parse_note((large / "checkpoint").read_bytes()),
        aics_tlog.vkey_from_ed25519(ORIGIN, KEYS.signing_key().public_key()),
    )
    assert result.ok
    assert result.size is not None
    assert result.root is not None
    report = aics_tlog.audit_tiles(FileSystemTileReader(large), result.size, result.root)
    assert (report.size, report.bundles) == (701, 3)


def test_its_program_proves_an_entry(log: Path, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(f"{SIGNER.key}\n")
    command = [sys.executable, "-m", "aics_tlog", "verify-inclusion", "--index", "17", "--tiles", str(log)]
    ended = subprocess.run([*command, "--vkey-file", str(key)], check=False, capture_output=True, timeout=60)  # noqa: S603
    assert ended.returncode == 0, ended.stdout
    told = json.loads(ended.stdout)
    assert told["ok"]
    assert told["size"] == 48


def test_a_receipt_is_checked_with_the_key_alone(log: Path) -> None:
    proven = check_receipt(prove(LogFolder(log), 17), [SIGNER.key])
    assert (proven.log, proven.entry_index, proven.size) == (ORIGIN, 17, 48)
    assert json.loads(proven.entry)["type"] == "ended"


def test_the_receipt_of_a_summary_is_checked_in_each_of_its_forms(tmp_path: Path) -> None:
    recorded = write_log(tmp_path).recorded[5]
    assert check_receipt(recorded.proof, [SIGNER.key], recorded.entry).entry == recorded.entry
    for entry in (recorded.entry.decode(), b64encode(recorded.entry).decode()):
        receipt = json.dumps({"log": ORIGIN, "index": recorded.index, "entry": entry, "proof": recorded.proof})
        assert check_receipt(receipt, [SIGNER.key]).entry == recorded.entry
    with pytest.raises(AuditError, match="--entry"):
        check_receipt(recorded.proof, [SIGNER.key])


def test_a_receipt_that_proves_nothing_is_refused(log: Path) -> None:
    text = prove(LogFolder(log), 17)
    with pytest.raises(AuditError, match="not signed with this key"):
        check_receipt(text, [OTHER.key])
    with pytest.raises(AuditError, match="not about this entry"):
        check_receipt(text, [SIGNER.key], b"another entry")
    with pytest.raises(AuditError, match="not about this entry"):
        check_receipt(text.replace("index 17", "index 18"), [SIGNER.key])
    with pytest.raises(AuditError, match="is no tlog-proof"):
        check_receipt("text", [SIGNER.key])
    with pytest.raises(AuditError, match="receipt"):
        check_receipt("{}", [SIGNER.key])


def test_what_is_not_there_or_was_changed_cannot_be_proven(tmp_path: Path) -> None:
    write_log(tmp_path)
    with pytest.raises(AuditError, match="no entry 48"):
        prove(LogFolder(tmp_path), 48)
    tile = tmp_path / "tile" / "0" / "000.p" / "48"
    whole = tile.read_bytes()
    tile.write_bytes(bytes(32) + whole[32:])
    with pytest.raises(AuditError, match="do not lead to the signed root"):
        prove(LogFolder(tmp_path), 17)
    tile.unlink()
    with pytest.raises(AuditError, match="tile 0 of level 0 is missing"):
        prove(LogFolder(tmp_path), 17)
    tile.write_bytes(whole)
    (tmp_path / "tile" / "entries" / "000.p" / "48").unlink()
    with pytest.raises(AuditError, match="not published any more"):
        prove(LogFolder(tmp_path), 17)
    (tmp_path / "checkpoint").unlink()
    with pytest.raises(AuditError, match="no published checkpoint"):
        prove(LogFolder(tmp_path), 17)

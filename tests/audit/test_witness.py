"""A witness confirms that a log has only grown. The witness is made of the independent implementation (aics-tlog)."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import aics_tlog
import pytest
from aics_tlog.cosign import cosignature_vkey, sign_cosignature
from aics_tlog.note import b64_decode
from aics_tlog.tiles import FileSystemTileReader, consistency_proof_from_tiles
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from broker.audit.tlog.note import parse_note, parse_verifier_key
from broker.audit.tlog.tile_proof import TileTree
from broker.audit.verification.folder import LogFolder
from broker.audit.witness import cosigned
from broker.cli import main
from broker.cli.exits import Exit
from broker.errors import AuditError
from tests.audit.logs import KEYS, ORIGIN, SIGNER
from tests.audit.verification.written import Writer, refusal

NAME = "witness.example/w1"
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEY = parse_verifier_key(aics_tlog.format_vkey(cosignature_vkey(NAME, PRIVATE.public_key())))
LOG_KEY = aics_tlog.vkey_from_ed25519(ORIGIN, KEYS.signing_key().public_key())


class FakeWitness:
    """A witness. State: size and root that it has cosigned last."""

    def __init__(self) -> None:
        self.size, self.root = 0, aics_tlog.MerkleTree([]).root()

    def post(self, body: bytes) -> tuple[int, bytes]:
        head, _, signed = body.decode().partition("\n\n")
        old, *proof = head.split("\n")
        result = aics_tlog.verify_checkpoint(aics_tlog.parse_note(signed), LOG_KEY)
        if not result.ok:
            return 403, b""
        assert result.size is not None
        assert result.root is not None
        if old != f"old {self.size}":
            return 409, f"{self.size}\n".encode()
        hashes = [b64_decode(line) for line in proof]
        if not aics_tlog.verify_consistency(self.size, result.size, self.root, result.root, hashes):
            return 422, b""
        self.size, self.root = result.size, result.root
        _, line = sign_cosignature(PRIVATE, NAME, 1_790_000_000, ORIGIN, self.size, self.root)
        note = aics_tlog.Note(text="x\n", signatures=(line,)).to_bytes()
        return 200, note.partition(b"\n\n")[2]


def test_consistency_proofs_are_those_of_the_independent_implementation(tmp_path: Path) -> None:
    Writer(tmp_path, max_file=1 << 20).write(*[[refusal()] * 100 for _ in range(6)])
    for old in [*range(1, 601, 7), 255, 256, 257, 512, 600, 601]:
        expected = consistency_proof_from_tiles(FileSystemTileReader(tmp_path), old, 601)
        assert TileTree(601, LogFolder(tmp_path).hashes).consistency(old) == expected
    assert TileTree(601, LogFolder(tmp_path).hashes).consistency(0) == []
    with pytest.raises(ValueError, match="continues none of 602"):
        TileTree(601, LogFolder(tmp_path).hashes).consistency(602)


def test_a_log_that_grows_is_cosigned_again_and_again(tmp_path: Path) -> None:
    witness = FakeWitness()
    for number in range(1, 5):
        Writer(tmp_path).write([refusal()] * 90)
        note = parse_note(cosigned(LogFolder(tmp_path), KEY, witness.post))
        assert KEY.verifies(note)
        assert SIGNER.key.verifies(note)
        assert witness.size == 91 * number
    assert KEY.verifies(parse_note(cosigned(LogFolder(tmp_path), KEY, witness.post))), "it has not grown since"


def test_a_log_that_was_exchanged_is_not_cosigned(tmp_path: Path) -> None:
    witness = FakeWitness()
    Writer(tmp_path / "one").write([refusal()] * 10)
    cosigned(LogFolder(tmp_path / "one"), KEY, witness.post)
    Writer(tmp_path / "other", now=1_800_000_000.0).write([refusal()] * 20)
    with pytest.raises(AuditError, match="status 422"):
        cosigned(LogFolder(tmp_path / "other"), KEY, witness.post)
    Writer(tmp_path / "shorter").write([refusal()] * 5)
    with pytest.raises(AuditError, match="has cosigned it with 11 entries, but it has 6"):
        cosigned(LogFolder(tmp_path / "shorter"), KEY, witness.post)


@pytest.mark.parametrize(
    ("status", "answer", "told"),
    [
        (500, b"", "status 500"),
        (200, b"", "no cosignature"),
        (200, b"\xff", "no cosignature"),
        (200, "— witness.example/w1 AAAAAAAA\n".encode(), "no cosignature"),
        (409, b"many", "which size"),
    ],
)
def test_other_answers_are_no_cosignature(tmp_path: Path, status: int, answer: bytes, told: str) -> None:
    Writer(tmp_path).write([refusal()])
    with pytest.raises(AuditError, match=told):
        cosigned(LogFolder(tmp_path), KEY, lambda _: (status, answer))


@contextmanager
def serving(witness: FakeWitness) -> Iterator[str]:
    """The witness over HTTP."""

    class Handler(BaseHTTPRequestHandler):
        """Answers one call."""

        def do_POST(self) -> None:
            assert self.path == "/prefix/add-checkpoint"
            status, answer = witness.post(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/prefix"
        finally:
            server.shutdown()
            thread.join()


def test_the_command_keeps_cosigned_checkpoints(tmp_path: Path) -> None:
    log, cosigned_in = tmp_path / "audit" / "worker-0", tmp_path / "cosigned"
    (tmp_path / "key").write_text(f"{KEY}\n")
    command = ["audit", "witness", str(tmp_path / "audit"), "--witness-key", str(tmp_path / "key")]
    command += ["--output", str(cosigned_in), "--url"]
    with serving(FakeWitness()) as url:
        for _ in range(2):
            Writer(log).write([refusal()])
            result = CliRunner().invoke(main, [*command, url])
            assert result.exit_code == 0, result.output
    (kept,) = cosigned_in.iterdir()
    assert KEY.verifies(parse_note(kept.read_text()))
    (tmp_path / "log-key").write_text(f"{SIGNER.key}\n")
    verify = ["audit", "verify", str(log), "--key", str(tmp_path / "log-key"), "--against", str(kept)]
    assert CliRunner().invoke(main, verify).exit_code == 0
    assert CliRunner().invoke(main, [*command, url]).exit_code == Exit.AUDIT_UNWITNESSED, "nobody listens any more"
    assert CliRunner().invoke(main, [*command, "file:///etc"]).exit_code == Exit.USAGE

"""Notes, checkpoints and proofs, ours read by the independent implementation (aics-tlog) and its read by ours."""

import aics_tlog
import pytest
from aics_tlog.cosign import cosignature_vkey, sign_cosignature
from aics_tlog.note import parse_note as their_note
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from broker.audit.tlog.checkpoint import Checkpoint, parse_checkpoint
from broker.audit.tlog.hashing import leaf_hash
from broker.audit.tlog.note import NoteSigner, VerifierKey, decode_base64, parse_note, parse_verifier_key
from broker.audit.tlog.proof import format_proof, parse_proof, root_from

ORIGIN = "broker.example/京/worker-0"
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SIGNER = NoteSigner(ORIGIN, PRIVATE)
CHECKPOINT = Checkpoint(ORIGIN, 7, bytes(range(32)))
SIGNED = SIGNER.sign(CHECKPOINT.text())
THEIR_KEY = aics_tlog.vkey_from_ed25519(ORIGIN, PRIVATE.public_key())


def test_they_verify_our_checkpoints() -> None:
    result = aics_tlog.verify_checkpoint(their_note(SIGNED), THEIR_KEY)
    assert result.ok
    assert (result.origin, result.size, result.root) == CHECKPOINT


def test_we_verify_their_checkpoints() -> None:
    note = aics_tlog.sign_checkpoint(aics_tlog.Checkpoint(ORIGIN, 7, CHECKPOINT.root), PRIVATE, ORIGIN)
    assert note.to_bytes().decode() == SIGNED
    checkpoint, ours = parse_checkpoint(note.to_bytes().decode())
    assert checkpoint == CHECKPOINT
    assert SIGNER.key.verifies(ours)


def test_keys_have_the_same_form() -> None:
    assert str(SIGNER.key) == aics_tlog.format_vkey(THEIR_KEY)
    assert parse_verifier_key(f"{SIGNER.key}\n") == SIGNER.key


def test_we_verify_cosignatures_of_witnesses() -> None:
    witness = Ed25519PrivateKey.generate()
    _, line = sign_cosignature(witness, "witness.example/w1", 1_790_000_000, ORIGIN, 7, CHECKPOINT.root)
    theirs = their_note(SIGNED)
    cosigned = aics_tlog.Note(text=theirs.text, signatures=(*theirs.signatures, line)).to_bytes().decode()
    key = parse_verifier_key(aics_tlog.format_vkey(cosignature_vkey("witness.example/w1", witness.public_key())))
    assert key.verifies(parse_note(cosigned))
    assert SIGNER.key.verifies(parse_note(cosigned))
    assert not key.verifies(parse_note(SIGNED))
    assert not key.verifies(parse_note(cosigned.replace("\n7\n", "\n8\n")))


@pytest.mark.parametrize(
    "key",
    [SIGNER.key.named("another"), VerifierKey(ORIGIN, 1, NoteSigner(ORIGIN, Ed25519PrivateKey.generate()).key.public)],
)
def test_another_key_verifies_nothing(key: VerifierKey) -> None:
    assert not key.verifies(parse_note(SIGNED))


@given(st.integers(0, len(SIGNED) - 1), st.characters(codec="utf-8"))
def test_a_changed_note_is_not_verified(at: int, character: str) -> None:
    changed = SIGNED[:at] + character + SIGNED[at + 1 :]
    try:
        note = parse_note(changed)
    except ValueError:
        return
    assert changed == SIGNED or not SIGNER.key.verifies(note)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "text\n",
        "text\n\n",
        "text\n\nno signature\n",
        "text\n\n— name\n",
        "text\n\n— name AAAA\n",
        "text\n\n— name AAAAAAAA",
        "text\n\n— na me AAAAAAAA\n",
        "text\n\n— name AAAAAAB=\n",
        "text\n\n— name AAAAAAAA\n\n",
    ],
)
def test_what_is_no_note_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"note|signature|Base64"):
        parse_note(text)


@pytest.mark.parametrize(
    "text",
    [
        "origin\n1\n",
        "origin\n01\n" + "A" * 43 + "=\n",
        "origin\n-1\n" + "A" * 43 + "=\n",
        "\n1\n" + "A" * 43 + "=\n",
        "or igin\n1\n" + "A" * 43 + "=\n",
        "origin\n1\nAAAA\n",
        "origin\n1\n" + "A" * 43 + "=\n\nextension\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"checkpoint|root|note"):
        parse_checkpoint(SIGNER.sign(text))


def test_a_checkpoint_may_have_extensions() -> None:
    assert parse_checkpoint(SIGNER.sign(CHECKPOINT.text() + "extension\n"))[0] == CHECKPOINT


@pytest.mark.parametrize(
    "text", ["", "name", "name+00000000+AQ==", str(SIGNER.key)[:-4], str(SIGNER.key).replace("w", "v", 1)]
)
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"key|Base64"):
        parse_verifier_key(text)


@pytest.mark.parametrize("text", ["AAA", "AAB=", "A A=", "AAAA\n", "AA=="[:3]])
def test_base64_has_one_form(text: str) -> None:
    with pytest.raises(ValueError, match="Base64"):
        decode_base64(text)


@given(st.integers(1, 300), st.data())
def test_proofs(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    entries = [b"%d" % number for number in range(size)]
    tree = aics_tlog.MerkleTree(entries)
    signed = SIGNER.sign(Checkpoint(ORIGIN, size, tree.root()).text())
    text = format_proof(index, tree.inclusion_proof(index, size), signed)
    proof = parse_proof(text)
    assert proof.includes(leaf_hash(entries[index]))
    assert not proof.includes(leaf_hash(b"another"))
    assert SIGNER.key.verifies(proof.note)
    assert (proof.index, list(proof.hashes)) == (index, tree.inclusion_proof(index, size))


@given(st.integers(0, 40), st.integers(0, 40), st.lists(st.sampled_from([bytes(32), b"x" * 32]), max_size=8))
def test_a_proof_leads_to_the_same_root_as_theirs_or_to_none(index: int, size: int, hashes: list[bytes]) -> None:
    leaf = leaf_hash(b"")
    root = root_from(leaf, index, size, hashes)
    if root is None:
        assert not any(
            aics_tlog.verify_inclusion(leaf, index, size, hashes, each) for each in (leaf, bytes(32), b"x" * 32)
        )
    else:
        assert aics_tlog.verify_inclusion(leaf, index, size, hashes, root)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "c2sp.org/tlog-proof@v2\nindex 0\n\n" + SIGNED,
        "c2sp.org/tlog-proof@v1\nindex 01\n\n" + SIGNED,
        "c2sp.org/tlog-proof@v1\nindex 0\nAAAA\n\n" + SIGNED,
        "c2sp.org/tlog-proof@v1\nindex 0\n" + SIGNED,
        "c2sp.org/tlog-proof@v1\nindex 0\n\n" + SIGNED[:-10],
    ],
)
def test_what_is_no_proof_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"proof|hash|note|Base64|checkpoint"):
        parse_proof(text)


def test_a_proof_may_have_extra_data() -> None:
    proof = parse_proof("c2sp.org/tlog-proof@v1\nextra AAAA\nindex 0\n\n" + SIGNED)
    assert proof.hashes == ()

"""How a request is signed: what the signature is over, and how it is sent. Pure.

An officer or a court signs with Ed25519 (RFC 8032) over five lines of text:

    property-investigation-broker request signature 1
    /broker.v1.InvestigationService/Investigate
    <the public key in Base64>
    <when it was signed, in seconds since the epoch>
    <SHA-256 of the request as it is sent, in hexadecimal digits>

each ended by a line feed. Two metadata of the call carry it: `broker-signature-key`, the public key in Base64, and
`broker-signature-bin`, the moment as eight bytes in network order and the 64 bytes of the signature.

The first line keeps a signature for this purpose apart from any other that the key makes; the second, from one for
another method. What is signed has the request's digest and not the request, so that the record of a request suffices to
verify its signature, although it shows no subject.
"""

import base64
import hashlib
import struct

KEY_METADATA = "broker-signature-key"
SIGNATURE_METADATA = "broker-signature-bin"
INVESTIGATE_PATH = "/broker.v1.InvestigationService/Investigate"
KEY_SIZE = 32  # bytes
SIGNATURE_SIZE = 64  # bytes
_PURPOSE = "property-investigation-broker request signature 1"
_MOMENT = struct.Struct(">Q")
SIZE = _MOMENT.size + SIGNATURE_SIZE
"""Bytes of what `broker-signature-bin` carries."""


def statement(path: str, key: bytes, signed_at: int, digest: bytes) -> bytes:
    """What is signed. `key`: the public one. `signed_at`: seconds since the epoch. `digest`: SHA-256 of the request."""
    return f"{_PURPOSE}\n{path}\n{encoded_key(key)}\n{signed_at}\n{digest.hex()}\n".encode()


def digest_of(body: bytes) -> bytes:
    """SHA-256 of a request."""
    return hashlib.sha256(body).digest()


def encoded_key(key: bytes) -> str:
    """A public key as policies and metadata have it."""
    return base64.b64encode(key).decode()


def decoded_key(text: str) -> bytes:
    """The same, back. Raises `ValueError` with what would be right."""
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_SIZE or encoded_key(key) != text:
        msg = f"must be an Ed25519 public key: {KEY_SIZE} bytes in Base64, such as `broker policy new-key` prints"
        raise ValueError(msg)
    return key


def joined(signed_at: int, signature: bytes) -> bytes:
    """What `broker-signature-bin` carries."""
    return _MOMENT.pack(signed_at) + signature


def parted(value: bytes) -> tuple[int, bytes]:
    """The moment in it, in seconds since the epoch, and the signature. `value` has `SIZE` bytes."""
    return _MOMENT.unpack_from(value)[0], value[_MOMENT.size :]

"""What a failed handshake means."""

import pytest

from broker.client.credentials import Credentials
from broker.client.errors import BrokerUnavailableError, HandshakeFailedError
from broker.client.handshakes import explain
from broker.client.retry import Attempts

NONE = "failed to connect to all addresses; last error: "
WHOLE = Credentials(ca=b"a", certificate=b"b", key=b"c")


@pytest.mark.parametrize(
    ("details", "credentials", "meaning"),
    [
        (f"{NONE}UNAVAILABLE: ipv4:127.0.0.1:1: Socket closed", None, "it probably serves over TLS"),
        (f"{NONE}UNAVAILABLE: ipv4:127.0.0.1:1: Socket closed", Credentials(ca=b"a"), "requires a client certificate"),
        (f"{NONE}UNAVAILABLE: ipv4:127.0.0.1:1: Socket closed", WHOLE, "it probably refused the certificate"),
        (f"{NONE}UNKNOWN: Tls handshake failed (TSI_PROTOCOL_FAILURE)", WHOLE, "it probably refused the certificate"),
        (f"{NONE}Tls handshake failed: CERTIFICATE_VERIFY_FAILED: unable", WHOLE, "is not trusted"),
        (f"{NONE}Tls handshake failed: WRONG_VERSION_NUMBER", WHOLE, "answers in plain text"),
        (f"{NONE}Failed to create security handshaker.", WHOLE, "the key belongs to the certificate"),
    ],
)
def test_the_error_says_what_to_check(details: str, credentials: Credentials | None, meaning: str) -> None:
    assert meaning in (explain(details, credentials) or "")


@pytest.mark.parametrize(
    "details", ["", "Socket closed", f"{NONE}ipv4:127.0.0.1:1: Failed to connect to remote host: Connection refused"]
)
def test_other_failures_are_no_handshakes(details: str) -> None:
    assert explain(details, WHOLE) is None


def test_a_failed_handshake_is_not_repeated_for_long() -> None:
    attempts = Attempts(lambda: 0.5)
    failed = [attempts.pause_after(HandshakeFailedError("x", "UNAVAILABLE")) for _ in range(5)]
    assert failed[-1] is None
    assert None not in failed[:-1]
    attempts = Attempts(lambda: 0.5)
    assert None not in [attempts.pause_after(BrokerUnavailableError("x", "UNAVAILABLE")) for _ in range(50)]

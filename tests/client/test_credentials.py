"""A client's certificates: from files or bytes, over real connections, and renewed while it runs."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from broker.certs.authority import Authority, Issued, now_utc
from broker.client import BlockingClient, Client, Credentials, HandshakeFailedError

NOW = now_utc()
DAY = timedelta(days=1)
AUTHORITY = Authority.create("authority", NOW)
FOREIGN = Authority.create("foreign authority", NOW)
SERVER = AUTHORITY.issue_server("broker", ["127.0.0.1"], NOW, DAY)
ELSEWHERE = AUTHORITY.issue_server("broker", ["broker.example"], NOW, DAY)
CALLER = AUTHORITY.issue_client("first", ["broker:court:%E4%BA%AC"], NOW, DAY)
RENEWED = AUTHORITY.issue_client("second", ["broker:court:%E4%BA%AC"], NOW, DAY)
STRANGER = FOREIGN.issue_client("stranger", ["broker:court:%E4%BA%AC"], NOW, DAY)
PATIENCE = 20.0  # s


class Broker:
    """A server with a health service, which notes who calls."""

    def __init__(self) -> None:
        self.callers: list[str] = []
        self.address = ""

    async def start(self, certificate: Issued | None) -> grpc.aio.Server:
        servicer = health.aio.HealthServicer()
        for name in ("", "broker.v1.InvestigationService"):
            await servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
        server = grpc.aio.server(interceptors=[_Noting(self.callers)])
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
        if certificate:
            pairs = [(certificate.key, certificate.certificate)]
            credentials = grpc.ssl_server_credentials(pairs, AUTHORITY.certificate, require_client_auth=True)
            self.address = f"127.0.0.1:{server.add_secure_port('127.0.0.1:0', credentials)}"
        else:
            self.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        return server


class _Noting(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpc has no types
    def __init__(self, callers: list[str]) -> None:
        self._callers = callers

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        handler = await continuation(details)

        async def noted(request: Any, context: Any) -> Any:
            self._callers += [name.decode() for name in context.auth_context().get("x509_common_name", [b""])]
            return await handler.unary_unary(request, context)

        return grpc.unary_unary_rpc_method_handler(
            noted,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


def with_broker(scenario: Callable[[Broker], Awaitable[None]], certificate: Issued | None = SERVER) -> None:
    async def main() -> None:
        broker = Broker()
        server = await broker.start(certificate)
        try:
            async with asyncio.timeout(PATIENCE):
                await scenario(broker)
        finally:
            await server.stop(0)

    asyncio.run(main())


class Files:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "ca.pem").write_bytes(AUTHORITY.certificate)
        self.write(CALLER)
        self.credentials = Credentials(
            ca=str(folder / "ca.pem"), certificate=folder / "caller.pem", key=folder / "caller-key.pem"
        )

    def write(self, issued: Issued) -> None:
        for name, content in (("caller.pem", issued.certificate), ("caller-key.pem", issued.key)):
            (self._folder / f"{name}.new").write_bytes(content)
            (self._folder / f"{name}.new").rename(self._folder / name)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.mark.parametrize("form", ["files", "bytes"])
def test_a_client_shows_its_certificate(files: Files, form: str) -> None:
    given = Credentials(ca=AUTHORITY.certificate, certificate=CALLER.certificate, key=CALLER.key)

    async def scenario(broker: Broker) -> None:
        async with Client(broker.address, credentials=files.credentials if form == "files" else given) as client:
            assert await client.health()
        assert broker.callers == ["first"]

    with_broker(scenario)


def test_a_renewed_certificate_is_used_without_a_new_client(files: Files, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(broker: Broker) -> None:
        async with Client(broker.address, credentials=files.credentials, channels=1) as client:
            channels = client._channels
            assert await client.health()
            files.write(RENEWED)
            channels.look()
            assert await client.health()
            channels.look()
            assert await client.health()
            assert broker.callers == ["first", "first", "second"]
            files.write(Issued(CALLER.certificate, RENEWED.key))
            for _ in range(3):
                channels.look()
            assert await client.health()
            assert broker.callers[-1] == "second", "what cannot be used is not used"

    with_broker(scenario)
    assert [each.levelno for each in caplog.records] == [logging.WARNING]


@pytest.mark.parametrize(
    ("credentials", "certificate", "meaning"),
    [
        (None, SERVER, "it probably serves over TLS"),
        (Credentials(ca=AUTHORITY.certificate), SERVER, "requires a client certificate"),
        (
            Credentials(ca=AUTHORITY.certificate, certificate=STRANGER.certificate, key=STRANGER.key),
            SERVER,
            "it probably refused the certificate",
        ),
        (Credentials(ca=FOREIGN.certificate), SERVER, "is not trusted"),
        (Credentials(ca=AUTHORITY.certificate), ELSEWHERE, "is for another host"),
        (Credentials(ca=AUTHORITY.certificate), None, "answers in plain text"),
        (Credentials(ca=b"text"), SERVER, "check that ca is PEM"),
    ],
    ids=["plain text", "no certificate", "foreign", "other authority", "other host", "no TLS", "no PEM"],
)
def test_a_failed_handshake_says_what_to_check(
    credentials: Credentials | None, certificate: Issued | None, meaning: str
) -> None:
    async def scenario(broker: Broker) -> None:
        async with Client(broker.address, credentials=credentials, channels=1) as client:
            with pytest.raises(HandshakeFailedError, match=meaning):
                await client.health()

    with_broker(scenario, certificate)


def test_credentials_that_cannot_be_used_are_refused(files: Files, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="both, or neither"):
        Credentials(certificate="a")
    (tmp_path / "caller-key.pem").write_bytes(RENEWED.key)
    with pytest.raises(ValueError, match="cannot be used as a certificate in PEM with the key in"):
        BlockingClient("127.0.0.1:1", credentials=files.credentials)
    (tmp_path / "ca.pem").unlink()
    with pytest.raises(ValueError, match=r"ca\.pem cannot be read"):
        BlockingClient("127.0.0.1:1", credentials=files.credentials)
    assert "PRIVATE" not in repr(Credentials(ca=b"", certificate=b"", key=CALLER.key))

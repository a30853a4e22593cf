"""Mutual TLS over real connections: who gets one, what ends its rights, and certificates that change under it."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from broker.access.identity import uri_of
from broker.certificate import read_chain
from broker.certs.authority import Authority, Issued, now_utc
from broker.errors import UnauthenticatedError
from broker.serving import tls
from broker.serving.tls import ServerTls
from broker.tls_section import TlsConfig

NOW = now_utc()
DAY = timedelta(days=1)
AUTHORITY = Authority.create("authority", NOW - 5 * DAY)
FOREIGN = Authority.create("foreign authority", NOW - 5 * DAY)
SERVER = AUTHORITY.issue_server("broker", ["localhost", "127.0.0.1"], NOW, DAY)
COURTS = ("沪0101", "最高法")
GATEWAY = AUTHORITY.issue_client("gateway", [uri_of("court", code) for code in COURTS], NOW, DAY)
EXPIRED = AUTHORITY.issue_client("old gateway", ["broker:court:%E4%BA%AC"], NOW - 2 * DAY, DAY)
STRANGER = FOREIGN.issue_client("gateway", ["broker:court:%E4%BA%AC"], NOW, DAY)
PATIENCE = 20.0  # s


class Files:
    """The broker's files, which tests change."""

    def __init__(self, folder: Path, **more: Any) -> None:
        self._folder = folder
        self.write("certificate", SERVER.certificate)
        self.write("key", SERVER.key)
        self.write("client_ca", AUTHORITY.certificate)
        self.write("crl", AUTHORITY.revocation_list({}, NOW, DAY))
        self.config = TlsConfig(
            certificate=self.path("certificate"),
            key=self.path("key"),
            client_ca=self.path("client_ca"),
            crl=[self.path("crl")],
            **more,
        )

    def path(self, name: str) -> str:
        return str(self._folder / name)

    def write(self, name: str, content: bytes) -> None:
        new = self._folder / f"{name}.new"
        new.write_bytes(content)
        new.chmod(0o600)
        new.rename(self._folder / name)


class Server:
    """A gRPC server whose one method tells callers which courts they are."""

    def __init__(self, port: int, tls: ServerTls) -> None:
        self.port = port
        self.tls = tls

    @asynccontextmanager
    async def channel(self, caller: Issued | None, authority: Authority = AUTHORITY) -> AsyncIterator[Any]:
        """Yields the method."""
        key, chain = (caller.key, caller.certificate) if caller else (None, None)
        credentials = grpc.ssl_channel_credentials(authority.certificate, key, chain)
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.secure_channel(f"127.0.0.1:{self.port}", credentials, options) as channel:
            yield channel.unary_unary("/test/Who")

    async def ask(self, caller: Issued | None, authority: Authority = AUTHORITY) -> str:
        """The courts; or the status of the refusal, over a connection of its own."""
        async with self.channel(caller, authority) as who:
            return await said_by(who)

    async def certificate(self) -> bytes:
        """The one that the server shows."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        _, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=context)
        shown: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()
        return shown

    def look(self) -> None:
        """What happens within two seconds."""
        self.tls.look()
        self.tls.look()


async def said_by(who: Any) -> str:
    try:
        reply: bytes = await who(b"", timeout=PATIENCE)
    except grpc.aio.AioRpcError as error:
        return str(error.code().name)
    return reply.decode()


def serve(files: Files, scenario: Callable[[Server], Awaitable[None]]) -> None:
    async def main() -> None:
        opened = ServerTls(files.config, clock=lambda: now_utc().timestamp())
        identifier = opened.identifier()

        async def who(_: bytes, context: Any) -> bytes:
            try:
                return " ".join(sorted(identifier.identify(context).courts)).encode()
            except UnauthenticatedError as error:
                await context.abort(grpc.StatusCode.UNAUTHENTICATED, str(error))
                raise

        server = grpc.aio.server()
        handlers = {"Who": grpc.unary_unary_rpc_method_handler(who)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test", handlers),))
        port = server.add_secure_port("127.0.0.1:0", opened.credentials())
        await server.start()
        try:
            async with asyncio.timeout(PATIENCE):
                await scenario(Server(port, opened))
        finally:
            await server.stop(0)

    asyncio.run(main())


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def der(issued: Issued) -> bytes:
    return x509.load_pem_x509_certificate(issued.certificate).public_bytes(Encoding.DER)


def test_only_callers_with_a_certificate_get_a_connection(files: Files) -> None:
    async def scenario(server: Server) -> None:
        assert await server.ask(GATEWAY) == " ".join(sorted(COURTS))
        for caller in (None, EXPIRED, STRANGER):
            assert await server.ask(caller) == "UNAVAILABLE"
        assert await server.ask(GATEWAY, FOREIGN) == "UNAVAILABLE", "the caller does not know the broker's authority"
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            assert await said_by(channel.unary_unary("/test/Who")) == "UNAVAILABLE", "plain text"

    serve(files, scenario)


def test_a_certificate_that_is_revoked_loses_its_open_connection(files: Files) -> None:
    async def scenario(server: Server) -> None:
        async with server.channel(GATEWAY) as who:
            assert await said_by(who) == " ".join(sorted(COURTS))
            (certificate,) = read_chain(GATEWAY.certificate)
            files.write("crl", AUTHORITY.revocation_list({certificate.serial: NOW}, NOW, DAY))
            server.look()
            assert await said_by(who) == "UNAUTHENTICATED"
            files.write("crl", b"not a list")
            server.look()
            assert await said_by(who) == "UNAUTHENTICATED", "the old list stays in force"
            assert server.tls.statistics().failures == {"certificate": 0, "crl": 1}

    serve(files, scenario)


def test_the_files_are_watched(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "_LOOK", 0.001)

    async def scenario(server: Server) -> None:
        watching = asyncio.ensure_future(server.tls.watch())
        (certificate,) = read_chain(GATEWAY.certificate)
        async with server.channel(GATEWAY) as who:
            assert await said_by(who) == " ".join(sorted(COURTS))
            files.write("crl", AUTHORITY.revocation_list({certificate.serial: NOW}, NOW, DAY))
            while await said_by(who) != "UNAUTHENTICATED":
                assert not watching.done()
        watching.cancel()

    serve(files, scenario)


def test_a_new_certificate_is_used_without_a_restart(files: Files) -> None:
    async def scenario(server: Server) -> None:
        assert await server.certificate() == der(SERVER)
        renewed = AUTHORITY.issue_server("broker", ["localhost", "127.0.0.1"], NOW, DAY)
        async with server.channel(GATEWAY) as who:
            assert await said_by(who)
            files.write("certificate", renewed.certificate)
            server.tls.look()  # its key is not there yet
            files.write("key", renewed.key)
            server.look()
            assert await server.certificate() == der(renewed)
            assert await said_by(who) == " ".join(sorted(COURTS)), "open connections go on"
        assert await server.ask(GATEWAY) == " ".join(sorted(COURTS))
        assert server.tls.statistics().failures["certificate"] == 0

    serve(files, scenario)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("certificate", b"broken"),
        ("certificate", AUTHORITY.issue_server("broker", ["localhost"], NOW - 2 * DAY, DAY).certificate),
        ("key", GATEWAY.key),
        ("client_ca", b""),
    ],
    ids=["unreadable", "expired", "key of another", "no authority"],
)
def test_a_broken_new_certificate_keeps_the_old_one(
    files: Files, name: str, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(server: Server) -> None:
        files.write(name, content)
        server.look()
        assert await server.ask(GATEWAY) == " ".join(sorted(COURTS))
        assert await server.certificate() == der(SERVER)
        assert server.tls.statistics().failures["certificate"] == 1

    serve(files, scenario)
    assert any(each.levelno == logging.ERROR and name in each.getMessage() for each in caplog.records)


def test_an_authority_is_added_and_removed_without_a_restart(files: Files) -> None:
    async def scenario(server: Server) -> None:
        assert await server.ask(STRANGER) == "UNAVAILABLE"
        files.write("client_ca", AUTHORITY.certificate + FOREIGN.certificate)
        files.write("crl", AUTHORITY.revocation_list({}, NOW, DAY) + FOREIGN.revocation_list({}, NOW, DAY))
        server.look()
        assert await server.ask(STRANGER) == "京"
        files.write("client_ca", AUTHORITY.certificate)
        files.write("crl", AUTHORITY.revocation_list({}, NOW, DAY))
        server.look()
        assert await server.ask(STRANGER) == "UNAVAILABLE"

    serve(files, scenario)


@pytest.mark.parametrize(("min_version", "expected"), [("1.2", "京"), ("1.3", "UNAUTHENTICATED")])
def test_an_older_tls_than_the_operator_wants_is_refused(tmp_path: Path, min_version: Any, expected: str) -> None:
    """GRPC offers no way to speak TLS 1.2 only, so something in between does it."""
    files = Files(tmp_path, min_version=min_version)
    caller = AUTHORITY.issue_client("gateway", ["broker:court:%E4%BA%AC"], NOW, DAY)
    files.write("caller", caller.certificate + caller.key)
    context = ssl.create_default_context(cadata=AUTHORITY.certificate.decode())
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(files.path("caller"))
    context.set_alpn_protocols(["h2"])

    async def scenario(server: Server) -> None:
        ended = asyncio.Event()

        async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
            copies = [asyncio.create_task(copy(*each)) for each in ((reader, onward_writer), (onward_reader, writer))]
            await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
            for each in (writer, onward_writer):
                each.transport.abort()
            await asyncio.wait(copies)
            ended.set()

        async with await asyncio.start_server(forward, "127.0.0.1", 0) as between:
            port = between.sockets[0].getsockname()[1]
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                assert await said_by(channel.unary_unary("/test/Who")) == expected
            await ended.wait()

    serve(files, scenario)


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while part := await reader.read(65_536):
            writer.write(part)
            await writer.drain()

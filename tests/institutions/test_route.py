"""The way to an institution, over real sockets and real TLS: authorities, client certificates, headers and proxies."""

import asyncio
import logging
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from broker.errors import ConfigError, UnreachableError
from broker.institutions.encryption import encryption
from broker.institutions.http import _transport
from broker.institutions.reply_memory import ReplyMemory, ReplyRooms
from broker.institutions.stub import stub_spec
from broker.model import Access
from broker.secret import Secret
from tests.institutions.certificates import Authority
from tests.institutions.test_transport import at_once, run

SECRET = "Bearer 7d0f-%s-secret"  # noqa: S105 - of nobody


@dataclass
class Institution:
    """A mock that writes down the requests it receives: their headers, and who sent them."""

    headers: list[dict[str, str]] = field(default_factory=list)
    clients: list[str] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        encrypted = request.transport.get_extra_info("ssl_object") if request.transport else None
        self.versions += [encrypted.version()] if encrypted else []
        self.headers.append(dict(request.headers))
        certificate = request.transport.get_extra_info("peercert") if request.transport else None
        self.clients += [value for ((_, value),) in certificate["subject"]] if certificate else []
        return web.Response(body=b"answer")

    @asynccontextmanager
    async def serving(self, context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
        """Gives the URL."""
        application = web.Application()
        application.router.add_post("/path", self.answer)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
            yield f"{'https' if context else 'http'}://127.0.0.1:{runner.addresses[0][1]}/path"
        finally:
            await runner.cleanup()


@dataclass
class Proxy:
    """An HTTP proxy: opens tunnels, and answers other requests itself. Writes down the heads it receives."""

    refusal: bytes = b""
    heads: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Gives its address with a name and a password."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            yield f"http://court:pass%20word@127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            method, target, _ = head.split(" ", 2)
            if self.refusal:
                writer.write(self.refusal)
            elif method == "CONNECT":
                host, _, port = target.rpartition(":")
                further, onward = await asyncio.open_connection(host, int(port))
                writer.write(b"HTTP/1.1 200 Connection established\r\nVia: proxy\r\n\r\n")
                await asyncio.gather(_copy(reader, onward), _copy(further, writer))
            else:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nfrom proxy.")
            writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def ask(url: str, access: Access, *, times: int = 1) -> bytes:
    transport = _transport(stub_spec("bank", url=url, access=access, concurrency=1), at_once)
    try:
        for _ in range(times):
            with ReplyRooms(ReplyMemory()).room(1 << 20) as room:
                await transport.post(b"{}", content_type="application/json", room=room)
                reply = b"".join(room.pieces)
        return reply
    finally:
        transport.close()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def server_context(authority: Authority, *, asks_client: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("institution"))
    if asks_client:
        context.load_verify_locations(authority.file)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


# --- TLS --------------------------------------------------------------------------------------------------------------


def test_an_institution_is_believed_whom_its_authority_vouches_for(authority: Authority, tmp_path: Path) -> None:
    async def main() -> None:
        async with Institution().serving(server_context(authority)) as url:
            assert await ask(url, Access(ca_file=str(authority.file))) == b"answer"
            for stranger in (Access(), Access(ca_file=str(Authority(tmp_path, "stranger").file))):
                with pytest.raises(UnreachableError, match="SSLCertVerificationError"):
                    await ask(url, stranger)

    run(main)


@pytest.mark.parametrize(
    ("newest", "used"), [(ssl.TLSVersion.MAXIMUM_SUPPORTED, "TLSv1.3"), (ssl.TLSVersion.TLSv1_2, "TLSv1.2")]
)
def test_the_newest_tls_that_an_institution_offers_is_used(
    authority: Authority, newest: ssl.TLSVersion, used: str
) -> None:
    context = server_context(authority)
    context.maximum_version = newest

    async def main() -> None:
        institution = Institution()
        async with institution.serving(context) as url:
            assert await ask(url, Access(ca_file=str(authority.file))) == b"answer"
        assert institution.versions == [used]

    run(main)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_an_older_tls_than_1_2_is_refused(authority: Authority) -> None:
    context = server_context(authority)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1

    async def main() -> None:
        institution = Institution()
        async with institution.serving(context) as url:
            with pytest.raises(UnreachableError):
                await ask(url, Access(ca_file=str(authority.file)))
        assert not institution.versions
        assert encryption(Access()).minimum_version is ssl.TLSVersion.TLSv1_2

    run(main)


def test_a_certificate_for_another_host_is_refused(authority: Authority) -> None:
    async def main() -> None:
        async with Institution().serving(server_context(authority)) as url:
            with pytest.raises(UnreachableError, match="SSLCertVerificationError"):
                await ask(url.replace("127.0.0.1", "localhost"), Access(ca_file=str(authority.file)))

    run(main)


def test_the_broker_identifies_itself_with_its_certificate(authority: Authority, tmp_path: Path) -> None:
    certificate, key = authority.issue("broker")
    both = tmp_path / "both.pem"
    both.write_bytes(certificate.read_bytes() + key.read_bytes())

    async def main() -> None:
        institution = Institution()
        async with institution.serving(server_context(authority, asks_client=True)) as url:
            trusting = Access(ca_file=str(authority.file))
            for files in ((str(certificate), str(key)), (str(both), None)):
                access = Access(ca_file=trusting.ca_file, client_certificate=files[0], client_key=files[1])
                assert await ask(url, access) == b"answer"
            with pytest.raises(UnreachableError):
                await ask(url, trusting)
        assert institution.clients == ["broker", "broker"]

    run(main)


def test_files_that_cannot_be_used_are_all_refused_by_key_and_reason(authority: Authority, tmp_path: Path) -> None:
    certificate, key = map(str, authority.issue("broker"))
    other_key = str(authority.issue("other")[1])
    locked = str(authority.issue("locked", passphrase=b"secret")[1])
    garbage = tmp_path / "garbage"
    garbage.write_text("garbage")
    for access, keys in (
        (Access(ca_file="missing", client_certificate="missing"), ["ca_file", "client_certificate"]),
        (Access(ca_file=str(garbage)), ["ca_file"]),
        (Access(ca_file=str(tmp_path)), ["ca_file"]),
        (Access(client_certificate=certificate), ["client_certificate"]),
        (Access(client_certificate=certificate, client_key=other_key), ["client_certificate"]),
        (Access(client_certificate=certificate, client_key=locked), ["client_certificate"]),
        (Access(client_certificate=key, client_key=key), ["client_certificate"]),
    ):
        with pytest.raises(ConfigError) as refusal:
            encryption(access)
        assert [fault.partition(": ")[0] for fault in refusal.value.faults] == keys, access
        assert "secret" not in str(refusal.value)


# --- headers ----------------------------------------------------------------------------------------------------------


def test_every_request_has_the_headers_that_are_configured_and_no_log_has(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    headers = (("Authorization", Secret(SECRET)), ("X-Client", Secret("courts")))

    async def main() -> None:
        institution = Institution()
        async with institution.serving() as url:
            await ask(url, Access(headers=headers), times=2)
        for received in institution.headers:
            assert (received["Authorization"], received["X-Client"]) == (SECRET, "courts")
            assert received["Content-Type"] == "application/json"
        assert len(institution.headers) == 2

    run(main)
    assert "secret" not in caplog.text
    assert "secret" not in repr(stub_spec("bank", access=Access(headers=headers, proxy=Secret("http://a:secret@b"))))


# --- proxies ----------------------------------------------------------------------------------------------------------


def test_through_a_proxy_an_encrypted_call_stays_encrypted(authority: Authority) -> None:
    async def main() -> None:
        institution, proxy = Institution(), Proxy()
        async with institution.serving(server_context(authority)) as url, proxy.serving() as address:
            access = Access(
                ca_file=str(authority.file), proxy=Secret(address), headers=(("Authorization", Secret(SECRET)),)
            )
            assert await ask(url, access, times=2) == b"answer"
        (head,) = proxy.heads
        place = url.removeprefix("https://").removesuffix("/path")
        assert head.startswith(f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n")
        assert f"Proxy-Authorization: Basic {b64encode(b'court:pass word').decode()}\r\n" in head
        assert "secret" not in head
        assert all("Proxy-Authorization" not in received for received in institution.headers)

    run(main)


def test_a_call_in_clear_is_given_to_the_proxy_with_the_whole_url() -> None:
    async def main() -> None:
        proxy = Proxy()
        async with proxy.serving() as address:
            reply = await ask("http://institution.example/path?query=1", Access(proxy=Secret(address)))
        assert reply == b"from proxy."
        (head,) = proxy.heads
        assert head.startswith("POST http://institution.example/path?query=1 HTTP/1.1\r\nHost: institution.example\r\n")
        assert "Proxy-Authorization: Basic " in head

    run(main)


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", "HTTP 407"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "HTTP 502"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "no HTTP"),
        (b"HTTP/1.1 200", "no usable answer"),
        (b"HTTP/1.1 200 OK\r\n" + b"X-Filler: 1\r\n" * 1_000, "no usable answer"),
    ],
)
def test_a_proxy_that_refuses_makes_the_institution_unreachable(refusal: bytes, reason: str) -> None:
    async def main() -> None:
        async with Proxy(refusal).serving() as address:
            with pytest.raises(UnreachableError, match=reason):
                await ask("https://institution.example/path", Access(proxy=Secret(address)))

    run(main)

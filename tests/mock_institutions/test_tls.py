"""Mock institutions over mutual TLS."""

import asyncio
import ssl
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from broker.certs.folder import LOCAL_HOSTS, CertificateFolder
from mock_institutions.config import Config, InstitutionConfig
from mock_institutions.server import running
from mock_institutions.tls import CertificateError

from .conftest import SEED

DAY = timedelta(days=1)
CONFIG = Config(seed=SEED, institutions=(InstitutionConfig(id="bank-a", kind="bank", batch_size=50, concurrency=4),))


@pytest.fixture
def certificates(tmp_path: Path) -> CertificateFolder:
    return CertificateFolder.create(tmp_path, hosts=LOCAL_HOSTS, lifetime=DAY)


def test_callers_with_a_certificate_are_answered_and_others_are_not(certificates: CertificateFolder) -> None:
    certificates.issue("institution", ["bank-a"], hosts=LOCAL_HOSTS, lifetime=DAY)
    stranger = ssl.create_default_context(cafile=certificates.path / "ca.pem")
    broker = ssl.create_default_context(cafile=certificates.path / "ca.pem")
    broker.load_cert_chain(certificates.path / "broker.pem", certificates.path / "broker-key.pem")

    async def main() -> None:
        async with running(CONFIG, certificates.path) as urls, aiohttp.ClientSession(urls["bank-a"]) as session:
            assert urls["bank-a"].startswith("https://")
            async with session.get("/healthz", ssl=broker) as response:
                assert response.status == 200
            with pytest.raises(aiohttp.ClientError):
                await session.get("/healthz", ssl=stranger)

    asyncio.run(main())


def test_a_missing_certificate_is_named_with_the_remedy(certificates: CertificateFolder) -> None:
    async def main() -> None:
        async with running(CONFIG, certificates.path):
            pass

    with pytest.raises(CertificateError, match="run: broker certs institution bank-a --in"):
        asyncio.run(main())

"""What `broker serve` refuses, `broker config --check` refuses: all of it at once, by key, with the remedy."""

import os
import socket
from datetime import timedelta
from pathlib import Path

import pytest

from broker.certs.authority import Authority, now_utc
from broker.config import draft
from broker.errors import ConfigError
from broker.runtime.key_source import load_key_ring
from broker.runtime.start_check import check_start

BANK = """
[[institution]]
id = "bank"
name = "A bank"
kind = "bank"
url = "http://127.0.0.1:7101/v1/inquiries"
"""


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Relative paths are those of the broker's working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check(text: str, *, cores: int = 1) -> int:
    """The number of workers."""
    Path("broker.toml").write_text(text)
    return check_start(draft(Path("broker.toml"), dialects=frozenset({"json"})), cores)[1]


def faults(text: str, *, cores: int = 1) -> list[str]:
    with pytest.raises(ConfigError) as error:
        check(text, cores=cores)
    assert all(fault.startswith("broker.toml: ") for fault in error.value.faults)
    return [fault.removeprefix("broker.toml: ") for fault in error.value.faults]


def test_it_makes_nothing(tmp_path: Path) -> None:
    assert check(BANK, cores=3) == 3
    assert list(tmp_path.iterdir()) == [tmp_path / "broker.toml"]


def test_it_finds_what_is_wrong_in_the_file_and_in_what_the_file_names() -> None:
    Path("file").touch()
    found = faults(f"""
        [server]
        listen = "192.0.2.1:50051"
        workers = 9
        [tls]
        insecure = true
        [store]
        path = "file/cache"
        key_file = "."
        {BANK}
        url = "nowhere"
        [[institution]]
        id = "other"
        name = "Another bank"
        kind = "bank"
        url = "http://127.0.0.1/"
    """.replace('url = "http://127.0.0.1:7101/v1/inquiries"\n', ""))  # fmt: skip
    assert [fault.partition(": ")[0] for fault in found] == [
        "institution 1 (bank).url",
        "server.workers",
        "server.listen",
        "store.key_file",
        "store.path",
    ]


def test_a_section_with_a_wrong_key_is_looked_at_all_the_same() -> None:
    Path("file").touch()
    found = faults(f"""
        [server]
        listen = "127.0.0.1:45000"
        metrics = "127.0.0.1:45000"
        max_lookups = -1
        gracious = 1
        [store]
        path = "file/cache"
        map_size = "big"
        {BANK}
    """)
    assert [fault.partition(": ")[0] for fault in found] == [
        "server.gracious",
        "server.max_lookups",
        "store.map_size",
        "server.metrics",
        "store.path",
    ]


@pytest.mark.parametrize("wrong", ["listen", "metrics", "workers"])
def test_a_wrong_key_causes_no_further_fault(wrong: str) -> None:
    """As its default would: it is also what the other address is."""
    values = {"listen": '"127.0.0.1:9464"', "metrics": '"127.0.0.1:50051"', "workers": "1", wrong: "-1"}
    (fault,) = faults("\n".join(["[server]", *(f"{key} = {value}" for key, value in values.items()), BANK]), cores=64)
    assert fault.startswith(f"server.{wrong}: ")


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])  # noqa: S104 - nothing listens there
def test_an_address_for_two_purposes_is_refused(host: str) -> None:
    (fault,) = faults(f'[server]\nlisten = "127.0.0.1:45000"\nmetrics = "{host}:45000"\n{BANK}')
    assert fault.startswith("server.metrics: uses port 45000, but 45000 is that of server.listen")


def test_each_worker_needs_a_port_for_its_metrics() -> None:
    section = '[server]\nlisten = "127.0.0.1:45002"\nmetrics = "127.0.0.1:45000"\n'
    assert check(section + BANK, cores=2) == 2
    (fault,) = faults(section + BANK, cores=3)
    assert "the ports 45000 to 45002" in fault
    (fault,) = faults(f'[server]\nmetrics = "127.0.0.1:65535"\nworkers = 2\n{BANK}')
    assert "ports end at 65535" in fault


def test_a_port_that_is_in_use_is_no_fault_of_the_configuration() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert check(f'[server]\nlisten = "127.0.0.1:{server.getsockname()[1]}"\n{BANK}') == 1


@pytest.mark.parametrize("address", ["192.0.2.1:50051", "no-such-host.invalid:50051"])
@pytest.mark.parametrize("key", ["listen", "metrics"])
def test_an_address_of_another_host_is_refused(key: str, address: str) -> None:
    (fault,) = faults(f'[server]\n{key} = "{address}"\n[tls]\ninsecure = true\n{BANK}')
    assert fault.startswith(f"server.{key}: cannot listen on {address} (")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("file", "is no folder"),
        ("file/cache", "is no folder"),
        ("file/var/cache", "is no folder"),
        ("link", "no folder"),
    ],
)
def test_a_store_that_cannot_be_a_folder_is_refused(path: str, reason: str) -> None:
    Path("file").touch()
    Path("link").symlink_to("nowhere")
    (fault,) = faults(f'[store]\npath = "{path}"\n{BANK}')
    assert fault.startswith("store.path: ")
    assert reason in fault


def test_a_folder_that_cannot_be_written_to_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    named = ["store.key_file", "store.path", "audit.path", "audit.key_file"]
    assert [fault.partition(": ")[0] for fault in faults(BANK)] == named
    assert "the broker may not write to" in faults(BANK)[0]
    load_key_ring("key")
    unrecorded = '[audit]\npath = ""\n[store]\npath = ""\nkey_file = "key"\n'
    assert check(f"{unrecorded}{BANK}") == 1, "a key that is there need not be made"


@pytest.mark.parametrize(("content", "mode"), [("00", 0o600), ("00" * 32, 0o644), (None, 0o700)])
def test_a_file_that_is_no_key_is_refused(content: str | None, mode: int) -> None:
    path = Path("key")
    if content is None:
        path.mkdir(mode)
    else:
        path.touch(mode)
        path.write_text(content)
    (fault,) = faults(f'[store]\nkey_file = "key"\n{BANK}')
    assert fault.startswith("store.key_file: key: ")


def test_the_audit_logs_folder_and_keys_are_looked_at() -> None:
    Path("file").touch()
    found = faults(f'[audit]\npath = "file/audit"\nkey_file = "file/key"\n{BANK}')
    assert [fault.partition(": ")[0] for fault in found] == ["audit.path", "audit.key_file"]
    assert check(f'[audit]\npath = ""\nkey_file = "file/key"\n{BANK}') == 1, "nothing is recorded"


@pytest.mark.parametrize(("content", "mode"), [("no key", 0o600), (f"sealing {'00' * 32}\n", 0o600), ("", 0o644)])
def test_a_file_that_is_no_audit_key_is_refused(content: str, mode: int) -> None:
    Path("key").touch(mode)
    Path("key").write_text(content)
    (fault,) = faults(f'[audit]\npath = "audit"\nkey_file = "key"\n{BANK}')
    assert fault.startswith("audit.key_file: audit key file key: ") or "no line that begins with signing" in fault


def test_certificates_that_cannot_be_used_are_refused_by_institution_and_key() -> None:
    other = BANK.replace('"bank"', '"other"', 1)
    encrypted = [block.replace("http:", "https:") for block in (BANK, other)]
    found = faults(f'''
        {encrypted[0]}
        ca_file = "missing.pem"
        client_certificate = "missing.pem"
        {encrypted[1]}
        ca_file = "missing.pem"
    ''')  # fmt: skip
    assert [fault.partition(": ")[0] for fault in found] == [
        "institution (bank).ca_file",
        "institution (bank).client_certificate",
        "institution (other).ca_file",
    ]
    assert "missing.pem: cannot be used" in found[0]


def test_certificates_are_looked_at() -> None:
    authority, now = Authority.create("authority", now_utc()), now_utc()
    server = authority.issue_server("broker", ["localhost"], now, timedelta(days=1))
    for name, content in {"ca": authority.certificate, "cert": server.certificate, "key": server.key}.items():
        Path(name).write_bytes(content)
        Path(name).chmod(0o600)
    Path("policy").write_text('[[rule]]\nname = "all"\ncourts = ["*"]\n')
    access = '[access]\npolicy = "policy"\n'
    tls = '[tls]\ncertificate = "cert"\nkey = "key"\nclient_ca = "ca"\n'
    assert check(access + tls + BANK) == 1
    Path("ca").unlink()
    Path("key").write_bytes(authority.issued.key)
    assert faults(f'{access}{tls}crl = ["crl"]\n{BANK}') == [
        "tls.client_ca: ca: cannot be read (No such file or directory)",
        "tls.key: key: does not belong to the certificate in cert",
        "tls.crl: crl: cannot be read (No such file or directory)",
    ]


def test_policy_and_registry_are_read() -> None:
    access = '[access]\npolicy = "policy.toml"\nregistry = "registry.toml"\nquotas = "file/quotas"\n'
    Path("policy.toml").write_text('[[rule]]\nname = "all"\ncourts = ["*"]\n', encoding="utf-8-sig")
    Path("registry.toml").write_text('[[certificate]]\nnames = ["gateway.example"]\ncourts = ["京"]\n')
    assert check(access + BANK) == 1
    Path("file").touch()
    Path("policy.toml").write_text(
        '[[rule]]\nname = "all"\nkinds = ["bonds"]\n[[rule]]\nname = "all"\ndelegate = true\n'
    )
    Path("registry.toml").unlink()
    assert [fault.partition(", operators")[0].partition("; ")[0] for fault in faults(access + BANK)] == [
        "access.policy: policy.toml: rule 1 (all).kinds: 'bonds' is none of bank, vehicle, securities, real_estate",
        "access.policy: policy.toml: rule 2 (all).delegate: is no key: known are name, courts",
        "access.registry: registry.toml: cannot be read (No such file or directory)",
        f"access.quotas: file/quotas: {Path('file').absolute()} is no folder",
    ]
    Path("policy.toml").write_bytes("京".encode("gbk"))
    assert "access.policy: policy.toml: cannot be read: it is not in UTF-8" in faults(access + BANK)

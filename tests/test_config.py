"""The configuration: what ships is complete and explained, and whatever is wrong is refused by file, key and reason."""

from pathlib import Path

import msgspec
import pytest

from broker.access_section import AccessConfig
from broker.audit_section import AuditConfig
from broker.config import DEFAULT, Config, CourtsConfig, ServerConfig, StoreConfig, load
from broker.core.subjects.case_number import ENFORCEMENT
from broker.core.subjects.court import parse_court, reaches
from broker.errors import ConfigError
from broker.institution_block import InstitutionBlock
from broker.model import InstitutionSpec, Kind
from broker.tls_section import TlsConfig

DIALECTS = frozenset({"json", "protobuf"})
BANK = """
[[institution]]
id = "bank"
name = "A bank"
kind = "bank"
url = "http://127.0.0.1:7101/v1/inquiries"
"""


def read(folder: Path, text: str) -> Config:
    path = folder / "broker.toml"
    path.write_text(text)
    return load(path, dialects=DIALECTS)


def refusal(folder: Path, text: str) -> str:
    """The refusal of a file, without the file's name, which it must begin with."""
    with pytest.raises(ConfigError) as error:
        read(folder, text)
    message = str(error.value)
    assert message.startswith(f"{folder / 'broker.toml'}: ")
    return message.removeprefix(f"{folder / 'broker.toml'}: ")


# --- what ships -------------------------------------------------------------------------------------------------------


def test_the_default_loads_and_is_what_holds_without_a_file() -> None:
    assert load(dialects=DIALECTS) == load(DEFAULT, dialects=DIALECTS)
    assert len(load(dialects=DIALECTS).institutions) == 5


@pytest.mark.parametrize("struct", [ServerConfig, TlsConfig, AccessConfig, StoreConfig, CourtsConfig, InstitutionBlock])
def test_the_default_names_every_key(struct: type[msgspec.Struct]) -> None:
    text = DEFAULT.read_text(encoding="utf-8")
    optional = [field for field in struct.__struct_fields__ if f"\n{field} = " not in text]
    assert [field for field in optional if f"\n#   {field} = " not in text] == [], "not even in an example"


@pytest.mark.parametrize("field", InstitutionBlock.__struct_fields__)
def test_the_default_explains_every_key_of_an_institution(field: str) -> None:
    lines = DEFAULT.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith(f"#   {field} ")]


@pytest.mark.parametrize(
    ("section", "field"),
    [
        (name, key)
        for name, kind in (
            ("server", ServerConfig),
            ("audit", AuditConfig),
            ("store", StoreConfig),
            ("courts", CourtsConfig),
        )
        for key in kind.__struct_fields__
    ],
)
def test_the_default_explains_every_other_key(section: str, field: str) -> None:
    _, _, text = DEFAULT.read_text(encoding="utf-8").partition(f"\n[{section}]")
    lines = text.partition("\n[")[0].splitlines()
    (line,) = [line for line in lines if line.startswith(f"{field} = ")]
    assert "# " in line


def test_the_default_file_says_what_the_code_takes_for_granted(tmp_path: Path) -> None:
    shipped, bare = load(dialects=DIALECTS), read(tmp_path, BANK)
    assert (shipped.server, shipped.store, shipped.courts) == (bare.server, bare.store, bare.courts)
    assert shipped.audit == bare.audit


def test_an_institution_needs_no_more_than_five_lines(tmp_path: Path) -> None:
    (spec,) = read(tmp_path, BANK).institutions
    assert isinstance(spec, InstitutionSpec)
    assert (spec.id, spec.name, spec.kind, spec.region, spec.dialect) == ("bank", "A bank", Kind.BANK, None, "json")


def test_a_regional_institution_has_a_region(tmp_path: Path) -> None:
    (spec,) = read(tmp_path, BANK + 'scope = "regional"\nregion = "京"').institutions
    assert spec.region == "京"


@pytest.mark.parametrize(("written", "region"), [("内", "蒙"), ("蒙", "蒙"), ("兵", "兵"), ("黔", "黔")])
def test_a_region_is_the_one_its_courts_have(tmp_path: Path, written: str, region: str) -> None:
    (spec,) = read(tmp_path, f'{BANK}scope = "regional"\nregion = "{written}"').institutions
    assert spec.region == region
    assert reaches(parse_court(f"{written}0102"), spec.region)


@pytest.mark.parametrize("address", ["127.0.0.1:0", "[::1]:50051", "localhost:65535"])
def test_addresses_that_can_be_listened_on(tmp_path: Path, address: str) -> None:
    assert read(tmp_path, f'[server]\nlisten = "{address}"\n{BANK}').server.listen == address


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "broker.example", "10.0.0.1"])  # noqa: S104 - nothing listens
def test_plain_text_needs_permission_where_other_hosts_can_reach_it(tmp_path: Path, host: str) -> None:
    server = f'[server]\nlisten = "{host}:50051"\n'
    with pytest.raises(ConfigError, match=r"server\.listen: .* can be reached from other hosts"):
        read(tmp_path, server + BANK)
    with pytest.raises(ConfigError, match="can be reached"):
        load(tmp_path / "broker.toml", dialects=DIALECTS, overrides={"server": {"listen": f"{host}:50051"}})
    assert read(tmp_path, f"{server}[tls]\ninsecure = true\n{BANK}").tls.insecure
    tls = '[tls]\ncertificate = "a"\nkey = "b"\nclient_ca = "c"\n'
    assert read(tmp_path, f'{server}{tls}[access]\npolicy = "policy.toml"\n{BANK}').tls.is_on


@pytest.mark.parametrize(
    ("key", "sections"),
    [("access.policy", ""), ("audit.path", '[access]\npolicy = "policy.toml"\n[audit]\npath = ""\n')],
)
def test_tls_is_not_served_without_policy_and_record(tmp_path: Path, key: str, sections: str) -> None:
    tls = '[tls]\ncertificate = "a"\nkey = "b"\nclient_ca = "c"\n'
    with pytest.raises(ConfigError, match=rf"{key}: is needed with TLS"):
        read(tmp_path, f"{tls}{sections}{BANK}")


def test_no_path_means_memory(tmp_path: Path) -> None:
    assert read(tmp_path, f'[store]\npath = ""\n{BANK}').store.path == ""


def test_signs_and_types_of_cases_are_added_to_the_published_ones(tmp_path: Path) -> None:
    courts = '[courts]\ncase_types = ["执督"]\n[courts.signs]\n"瑶" = "皖0111"\n"鼓" = ["苏0106", "闽0102"]\n'
    numbering = read(tmp_path, courts + BANK).courts.numbering()
    assert numbering.signs == {"瑶": {"皖0111"}, "鼓": {"苏0106", "闽0102"}}
    assert numbering.types == ENFORCEMENT | {"执督"}


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "line", "key", "reason"),
    [
        ("server", "listen = 50051", "server.listen", "Expected `str`"),
        ("server", 'listen = "50051"', "listen", "host:port"),
        ("server", 'listen = ":50051"', "listen", "host:port"),
        ("server", 'listen = "127.0.0.1:65536"', "listen", "host:port"),
        ("server", 'listen = "127.0.0.1:http"', "listen", "host:port"),
        ("server", 'listen = "::1:50051"', "listen", "host:port"),
        ("server", 'metrics = "127.0.0.1"', "metrics", "host:port"),
        ("server", "max_lookups = 0", "max_lookups", "positive"),
        ("server", "max_lookups = 1.5", "max_lookups", "Expected `int`"),
        ("server", "max_streams_per_connection = 0", "max_streams_per_connection", "positive"),
        ("server", "max_inquiries_in_flight = -1", "max_inquiries_in_flight", "positive"),
        ("server", "max_request_bytes_in_flight = 0", "max_request_bytes_in_flight", "positive"),
        ("server", "max_message_bytes = 0", "max_message_bytes", "positive"),
        ("server", "default_timeout = 0", "default_timeout", "positive"),
        ("server", "default_timeout = -1.0", "default_timeout", "positive"),
        ("server", "default_timeout = nan", "default_timeout", "finite"),
        ("server", "default_timeout = inf", "default_timeout", "finite"),
        ("server", "max_timeout = inf", "max_timeout", "finite"),
        ("server", "min_read_rate = 0", "min_read_rate", "positive"),
        ("server", "max_read_lag = inf", "max_read_lag", "finite"),
        ("server", "grace_period = 0", "grace_period", "positive"),
        ("server", "grace_period = inf", "grace_period", "finite"),
        ("server", 'grace_period = "30 s"', "server.grace_period", "Expected `float`"),
        ("server", "gracious = 30", "server", "gracious"),
        ("audit", "origin = 'with blanks'", "audit.origin", "without blanks"),
        ("audit", "origin = 'example.com/audit/'", "audit.origin", "without blanks"),
        ("audit", "retention_days = -1", "audit.retention_days", "number of days"),
        ("store", "path = 1", "store.path", "Expected `str`"),
        ("store", "key_file = false", "store.key_file", "Expected `str`"),
        ("store", "map_size = 0", "map_size", "positive"),
        ("store", "map_size = 1e9", "store.map_size", "Expected `int`"),
        ("store", "folder = 1", "store", "folder"),
        ("courts", 'signs = {"瑶" = 1}', "courts.signs", "Expected"),
        ("courts", 'signs = {"瑶" = "皖011"}', "signs", "courts' codes"),
        ("courts", 'signs = {"瑶" = ["皖0111", "皖０１１２"]}', "signs", "courts' codes"),
        ("courts", 'signs = {"Y" = "皖0111"}', "signs", "Chinese characters"),
        ("courts", 'signs = {"瑶执" = "皖0111"}', "signs", "Chinese characters"),
        ("courts", 'case_types = ["民初"]', "case_types", "执"),
        ("courts", "sign = 1", "courts", "sign"),
    ],
)
def test_a_wrong_section_is_refused(tmp_path: Path, section: str, line: str, key: str, reason: str) -> None:
    message = refusal(tmp_path, f"[{section}]\n{line}\n{BANK}")
    assert message.startswith(section)
    assert key in message
    assert reason in message


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("id", '""', "1 to 64 of"),
        ("id", '"A Bank"', "1 to 64 of"),
        ("id", '"-bank"', "1 to 64 of"),
        ("id", f'"{"b" * 65}"', "1 to 64 of"),
        ("id", "7", "Expected `str`"),
        ("name", "7", "Expected `str`"),
        ("kind", '"church"', "is none of"),
        ("url", '"127.0.0.1:7101"', "http or https"),
        ("url", '"ftp://127.0.0.1/"', "http or https"),
        ("url", '"http://"', "http or https"),
        ("url", '"http://[::1/v1"', "http or https"),
        ("url", '"http://bank:99999/v1"', "http or https"),
        ("url", '"http://bank:port/v1"', "http or https"),
        ("scope", '"provincial"', "is none of"),
        ("region", '"京"', "scope"),
        ("dialect", '"xml"', "json, protobuf"),
        ("names", '"fuzzy"', "is none of"),
        ("batch_size", "0", "positive"),
        ("concurrency", "0", "positive"),
        ("concurrency", "2.5", "Expected `int`"),
        ("rate", "0", "positive"),
        ("rate", "-1", "positive"),
        ("rate", "nan", "finite"),
        ("rate", "inf", "finite"),
        ("timeout", "0", "positive"),
        ("timeout", "inf", "finite"),
        ("found_ttl", "-1", "negative"),
        ("found_ttl", "nan", "ten years"),
        ("found_ttl", "inf", "ten years"),
        ("not_found_ttl", "-0.5", "negative"),
        ("not_found_ttl", "1e10", "ten years"),
        ("conccurrency", "8", "conccurrency"),
    ],
)
def test_a_wrong_institution_is_refused(tmp_path: Path, key: str, value: str, reason: str) -> None:
    good = BANK.replace('"bank"', '"first"', 1)
    lines = [line for line in BANK.splitlines() if not line.startswith(f"{key} =")]
    message = refusal(tmp_path, good + "\n".join([*lines, f"{key} = {value}"]))
    assert message.startswith("institution 2 (")
    assert key in message
    assert reason in message


@pytest.mark.parametrize("key", ["id", "name", "kind", "url"])
def test_an_institution_needs_these_keys(tmp_path: Path, key: str) -> None:
    lines = [line for line in BANK.splitlines() if not line.startswith(f"{key} =")]
    message = refusal(tmp_path, "\n".join(lines))
    assert message.startswith("institution 1 (")
    assert f".{key}: is missing" in message


@pytest.mark.parametrize("lines", ['scope = "regional"', 'scope = "regional"\nregion = "Beijing"', 'region = "京"'])
def test_region_goes_with_scope(tmp_path: Path, lines: str) -> None:
    assert "region" in refusal(tmp_path, BANK + lines)


@pytest.mark.parametrize("region", ["上", "贵", "京01", "京 ", "最高法", "", " "])
def test_a_region_no_court_has_is_refused_with_those_there_are(tmp_path: Path, region: str) -> None:
    message = refusal(tmp_path, f'{BANK}scope = "regional"\nregion = "{region}"')
    assert ".region: must be one of 京津冀" in message
    assert "沪" in message
    assert "黔" in message


def test_an_id_given_twice_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, BANK + BANK) == "institution.id: bank is given twice"


@pytest.mark.parametrize(
    ("text", "key", "reason"),
    [
        ("", "institution", "at least one"),
        ("institution = []", "institution", "at least one"),
        ('institution = "bank"', "institution", "at least one"),
        ('[institution]\nid = "bank"', "institution", "at least one"),
        ("institution = [7]", "institution 1", "must be a table"),
        (f"[institutions]\n{BANK}", "institutions", "[[institution]]"),
        (f"server = 7\n{BANK}", "server", "must be a table"),
        (f"store = []\n{BANK}", "store", "must be a table"),
        (f"[[server]]\n{BANK}", "server", "must be a table"),
    ],
)
def test_a_file_of_another_shape_is_refused(tmp_path: Path, text: str, key: str, reason: str) -> None:
    message = refusal(tmp_path, text)
    assert message.startswith(key)
    assert reason in message


def test_what_is_no_toml_is_refused_with_its_line(tmp_path: Path) -> None:
    assert "line 2" in refusal(tmp_path, "[server]\nlisten: here")


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broker.toml"
    path.write_bytes(BANK.replace("A bank", "银行").encode("gbk"))
    with pytest.raises(ConfigError, match=r"broker\.toml: cannot be read"):
        load(path, dialects=DIALECTS)


@pytest.mark.parametrize("name", ["missing.toml", "."])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / name, dialects=DIALECTS)


def test_all_faults_of_a_file_are_found_at_once(tmp_path: Path) -> None:
    text = f"""
        [server]
        listen = "here"
        max_lookups = 0
        gracious = 1
        [stoer]
        [store]
        map_size = "big"
        {BANK}
        kind = "church"
        dialect = "xml"
        conccurrency = 8
        [[institution]]
        id = "A Bank"
        region = "上"
    """.replace('kind = "bank"\n', "", 1)
    faults = refusal(tmp_path, text).replace(f"{tmp_path / 'broker.toml'}: ", "").splitlines()
    assert [fault.partition(": ")[0] for fault in faults] == [
        "stoer",
        "server.gracious",
        "server.listen",
        "server.max_lookups",
        "store.map_size",
        "institution 1 (bank).dialect",
        "institution 1 (bank).conccurrency",
        "institution 1 (bank).kind",
        "institution 2 (A Bank).name",
        "institution 2 (A Bank).kind",
        "institution 2 (A Bank).url",
        "institution 2 (A Bank).id",
        "institution 2 (A Bank).region",
    ]


def test_a_fault_within_a_value_is_named_without_words_of_a_library(tmp_path: Path) -> None:
    assert refusal(tmp_path, f'{BANK}headers = {{"X-A" = 1}}').endswith("headers: Expected `str`, got `int`")


def test_an_unknown_key_is_answered_with_those_there_are_and_the_one_that_may_be_meant(tmp_path: Path) -> None:
    message = refusal(tmp_path, f"{BANK}conccurrency = 8")
    assert "known are id, name, kind, url" in message
    assert message.endswith("did you mean concurrency?")
    assert "did you mean" not in refusal(tmp_path, f"{BANK}xyz = 8")


@pytest.mark.parametrize(
    ("key", "allowed"), [("kind", "bank, vehicle, securities, real_estate"), ("names", "exact, folded")]
)
def test_a_wrong_word_is_answered_with_those_that_are_allowed(tmp_path: Path, key: str, allowed: str) -> None:
    text = BANK.replace('kind = "bank"\n', "" if key == "kind" else 'kind = "bank"\n')
    assert refusal(tmp_path, f'{text}{key} = "church"').endswith(f"{key}: 'church' is none of {allowed}")


def test_what_the_command_line_says_holds_and_is_refused_as_such(tmp_path: Path) -> None:
    path = tmp_path / "broker.toml"
    path.write_text(f'[server]\nlisten = "nowhere"\n{BANK}')
    overrides = {"server": {"listen": "127.0.0.1:0"}, "store": {"path": ""}}
    config = load(path, dialects=DIALECTS, overrides=overrides)
    assert (config.server.listen, config.store.path) == ("127.0.0.1:0", "")
    with pytest.raises(ConfigError, match=r"\Acommand line: server\.workers: must be 1 to 256"):
        load(path, dialects=DIALECTS, overrides={"server": {"listen": "127.0.0.1:0", "workers": -1}})


def test_a_byte_order_mark_makes_no_difference(tmp_path: Path) -> None:
    path = tmp_path / "broker.toml"
    path.write_text(BANK, encoding="utf-8-sig")
    assert load(path, dialects=DIALECTS) == read(tmp_path, BANK)


def test_an_institution_that_is_not_enabled_is_checked_and_left_out(tmp_path: Path) -> None:
    other = BANK.replace('"bank"', '"other"', 1)
    assert [spec.id for spec in read(tmp_path, f"{BANK}enabled = false\n{other}").institutions] == ["other"]
    assert "url" in refusal(tmp_path, f"{BANK}enabled = false\n{other}".replace("http:", "htp:", 1))
    assert "at least one institution" in refusal(tmp_path, f"{BANK}enabled = false")


@pytest.mark.parametrize(
    ("lines", "key", "reason"),
    [
        ('certificate = "a"\nclient_ca = "c"', "key", "is needed beside tls.certificate"),
        ('certificate = "a"\nkey = "b"', "client_ca", "is needed beside tls.certificate"),
        ('certificate = "a"\nkey = "b"\nclient_ca = "c"\ninsecure = true', "insecure", "contradicts tls.certificate"),
        ('crl = ["a"]', "crl", "has no effect without tls.certificate"),
        ('min_version = "1.1"', "min_version", "'1.1' is none of 1.2, 1.3"),
    ],
)
def test_tls_is_whole_or_absent(tmp_path: Path, lines: str, key: str, reason: str) -> None:
    assert refusal(tmp_path, f"[tls]\n{lines}\n{BANK}").startswith(f"tls.{key}: {reason}")


# --- how to reach an institution --------------------------------------------------------------------------------------


def test_headers_and_proxy_are_read_from_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BANK_KEY", "Bearer 7d0f")
    (tmp_path / "proxy").write_text("http://court:word@proxy:3128\n")
    text = f"""
        headers = {{"X-Client" = "courts", Authorization = "env:BANK_KEY"}}
        proxy = "file:{tmp_path / "proxy"}"
        ca_file = "ca.pem"
        client_certificate = "broker.pem"
        client_key = "key.pem"
    """
    config = read(tmp_path, BANK.replace("http:", "https:") + text)
    access = config.institutions[0].access
    assert [(name, value.reveal()) for name, value in access.headers] == [
        ("X-Client", "courts"),
        ("Authorization", "Bearer 7d0f"),
    ]
    assert access.proxy is not None
    assert access.proxy.reveal() == "http://court:word@proxy:3128"
    assert (access.ca_file, access.client_certificate, access.client_key) == ("ca.pem", "broker.pem", "key.pem")
    assert not any(secret in repr(config) for secret in ("7d0f", "word"))


@pytest.mark.parametrize(
    ("lines", "key", "reason"),
    [
        ('headers = {"X Y" = "1"}', "headers", "'X Y' is no name of a header"),
        ('headers = {"Content-Length" = "1"}', "headers", "Content-Length is set by the broker itself"),
        ('headers = {"host" = "1"}', "headers", "host is set by the broker itself"),
        ('headers = {"X-A" = "1", "x-a" = "2"}', "headers", "x-a is given twice"),
        ('headers = {"X-A" = "7d0f\\r\\nX-B: 2"}', "headers", "X-A: its value must be visible ASCII"),
        ('headers = {"X-A" = ""}', "headers", "X-A: its value"),
        ('headers = {"X-A" = "7d0f "}', "headers", "X-A: its value"),
        ('headers = {"X-A" = "银行7d0f"}', "headers", "X-A: its value"),
        ('headers = {"X-A" = "env:NO_SUCH_VARIABLE"}', "headers", "X-A: the environment variable NO_SUCH_VARIABLE"),
        ('headers = {"X-A" = 1}', "headers", "Expected `str`"),
        ('proxy = "socks://7d0f"', "proxy", "must be the http address of a proxy"),
        ('proxy = "https://7d0f"', "proxy", "must be the http address of a proxy"),
        ('proxy = "env:NO_SUCH_VARIABLE"', "proxy", "the environment variable NO_SUCH_VARIABLE"),
        ('ca_file = "ca.pem"', "ca_file", "goes with an https url"),
        ('client_certificate = "broker.pem"', "client_certificate", "goes with an https url"),
        ('client_key = "key.pem"', "client_key", "goes with client_certificate"),
    ],
)
def test_a_wrong_way_to_an_institution_is_refused_without_showing_secrets(
    tmp_path: Path, lines: str, key: str, reason: str
) -> None:
    message = refusal(tmp_path, BANK + lines)
    assert message.startswith(f"institution 1 (bank).{key}: ")
    assert reason in message
    assert "7d0f" not in message


def test_there_is_one_authorization(tmp_path: Path) -> None:
    text = BANK.replace("http://", "http://name:7d0f@") + 'headers = {authorization = "Bearer 1"}'
    message = refusal(tmp_path, text)
    assert "give only one of them" in message
    assert "7d0f" not in message


# --- workers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "limits", "workers"),
    [
        (0, "", 6),
        (0, "concurrency = 3", 3),
        (0, "rate = 2\nbatch_size = 4", 4),
        (5, "concurrency = 5", 5),
    ],
)
def test_there_are_no_more_workers_than_can_share_an_institution(
    tmp_path: Path, asked: int, limits: str, workers: int
) -> None:
    assert read(tmp_path, f"[server]\nworkers = {asked}\n{BANK}{limits}").workers(cores=6) == workers


@pytest.mark.parametrize("limits", ["concurrency = 3", "rate = 3\nbatch_size = 2"])
def test_more_workers_than_can_share_an_institution_are_refused(tmp_path: Path, limits: str) -> None:
    config = read(tmp_path, f"[server]\nworkers = 4\n{BANK}{limits}")
    with pytest.raises(ConfigError, match=r"server\.workers: 4 workers would ask more of bank .* lower it to 3"):
        config.workers(cores=1)


def test_a_policy_needs_a_folder_for_quotas(tmp_path: Path) -> None:
    assert read(tmp_path, BANK).access == AccessConfig()
    assert read(tmp_path, f'[access]\npolicy = "p"\nquotas = "q"\n{BANK}').access.quotas == "q"
    assert refusal(tmp_path, f'[access]\npolicy = "p"\nquotas = ""\n{BANK}').startswith("access.quotas: is needed")

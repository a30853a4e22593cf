"""The stage of a long run is configured as asked, and its parts are measured as they are."""

from pathlib import Path

import pytest

from benchmarks import lasting
from benchmarks.stage import FOUR
from broker import config
from broker.demo.testbed import configuration
from broker.institutions.dialects import DIALECTS
from mock_institutions import config as mocks


@pytest.mark.parametrize(("dialect", "dialects"), [("mixed", {"json", "protobuf"}), ("protobuf", {"protobuf"})])
def test_the_broker_knows_four_institutions_for_a_lifetime(tmp_path: Path, dialect: str, dialects: set[str]) -> None:
    urls = {each.id: f"http://127.0.0.1:{each.port}" for each in mocks.load().institutions}
    path = tmp_path / "broker.toml"
    path.write_text(lasting.broker_text(configuration(tmp_path, urls), dialect, 60.0), encoding="utf-8")
    read = config.load(path, dialects=frozenset(DIALECTS))
    assert {spec.id for spec in read.institutions} == set(FOUR)
    assert {spec.dialect for spec in read.institutions} == dialects
    assert {spec.found_ttl for spec in read.institutions} == {60.0}
    assert {spec.not_found_ttl for spec in read.institutions} == {60.0}
    assert Path(read.store.path) == tmp_path / "cache"


def test_the_mocks_count_duplicates_within_it(tmp_path: Path) -> None:
    path = tmp_path / "mocks.toml"
    path.write_text(lasting.mocks_text(60.0), encoding="utf-8")
    assert {each.lifetime for each in mocks.load(path).institutions} == {58.0}


def test_a_sparse_file_takes_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    with (tmp_path / "inner" / "sparse").open("wb") as file:
        file.truncate(1 << 30)
        file.write(b"x" * 10_000)
    assert 8192 <= lasting.on_disk(tmp_path) < 1 << 20

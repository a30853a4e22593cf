"""The testbed of a long run is configured as requested, and its disk usage is measured right."""

from pathlib import Path

import pytest

from benchmarks import persistent_testbed
from benchmarks.testbed import FOUR
from broker import config
from broker.demo.testbed import configuration
from broker.institutions.dialects import DIALECTS
from mock_institutions import config as mocks


@pytest.mark.parametrize(("dialect", "dialects"), [("mixed", {"json", "protobuf"}), ("protobuf", {"protobuf"})])
def test_the_broker_has_four_institutions_with_the_ttl(tmp_path: Path, dialect: str, dialects: set[str]) -> None:
    urls = {each.id: f"http://127.0.0.1:{each.port}" for each in mocks.load().institutions}
    path = tmp_path / "broker.toml"
    path.write_text(persistent_testbed.broker_text(configuration(tmp_path, urls), dialect, 60.0), encoding="utf-8")
    read = config.load(path, dialects=frozenset(DIALECTS))
    assert {spec.id for spec in read.institutions} == set(FOUR)
    assert {spec.dialect for spec in read.institutions} == dialects
    assert {spec.found_ttl for spec in read.institutions} == {60.0}
    assert {spec.not_found_ttl for spec in read.institutions} == {60.0}
    assert Path(read.store.path) == tmp_path / "cache"


def test_the_mocks_count_duplicates_within_the_ttl(tmp_path: Path) -> None:
    path = tmp_path / "mocks.toml"
    path.write_text(persistent_testbed.mocks_text(60.0), encoding="utf-8")
    assert {each.lifetime for each in mocks.load(path).institutions} == {58.0}


def test_a_sparse_file_counts_only_its_allocated_blocks(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    with (tmp_path / "inner" / "sparse").open("wb") as file:
        file.truncate(1 << 30)
        file.write(b"x" * 10_000)
    assert 8192 <= persistent_testbed.disk_usage(tmp_path) < 1 << 20

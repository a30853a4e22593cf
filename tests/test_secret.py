"""Secrets are read from where the configuration says, and shown by nothing."""

from pathlib import Path

import pytest

from broker.secret import Secret, read_secret


def test_a_value_comes_from_the_environment_a_file_or_the_text_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BANK_KEY", "from environment")
    (tmp_path / "key").write_text("from file\r\n")
    assert read_secret("env:BANK_KEY").reveal() == "from environment"
    assert read_secret(f"file:{tmp_path / 'key'}").reveal() == "from file"
    assert read_secret("http://proxy:3128").reveal() == "http://proxy:3128"


def test_where_there_is_none_it_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMPTY", "")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for text, reason in (
        ("env:EMPTY", "environment variable EMPTY is not set"),
        ("env:NO_SUCH_VARIABLE", "environment variable NO_SUCH_VARIABLE is not set"),
        (f"file:{tmp_path / 'missing'}", "missing cannot be read (No such file"),
        (f"file:{tmp_path}", "cannot be read (Is a directory"),
        (f"file:{tmp_path / 'empty'}", "is empty"),
        (f"file:{tmp_path / 'binary'}", "not text in UTF-8"),
    ):
        with pytest.raises(ValueError, match=r".") as refusal:
            read_secret(text)
        assert reason in str(refusal.value)


def test_no_representation_shows_it() -> None:
    secret = Secret("7d0f")
    assert "7d0f" not in f"{secret} {secret!r} {[secret]}"
    assert secret == Secret("7d0f") != Secret("another")

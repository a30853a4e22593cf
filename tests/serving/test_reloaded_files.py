"""Files that change while the broker runs."""

import logging
import os
from pathlib import Path

import pytest

from broker.errors import ConfigError
from broker.serving.reloaded_files import ReloadedFiles


class Word:
    """A file that must not be empty."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "word"
        self.path.write_text("first")
        self.reads = 0
        self.refuses = False
        self.error: Exception | None = None
        self.file = ReloadedFiles("the word", [str(self.path)], self.read)

    def read(self) -> str:
        self.reads += 1
        try:
            text = self.path.read_text()
        except OSError:
            text = ""
        if self.error:
            raise self.error
        if not text or self.refuses:
            raise ConfigError("word: is empty")
        return text

    def write(self, text: str) -> None:
        """As most programs do it: a new file takes the place of the old one."""
        new = self.path.with_suffix(".new")
        new.write_text(text)
        new.rename(self.path)


@pytest.fixture
def word(tmp_path: Path) -> Word:
    return Word(tmp_path)


def test_a_file_is_read_once_until_it_changes(word: Word) -> None:
    for _ in range(3):
        assert not word.file.look()
    assert (word.file.value, word.reads) == ("first", 1)


def test_a_new_file_is_in_force_once_it_is_at_rest(word: Word) -> None:
    word.write("second")
    assert not word.file.look(), "the other file that belongs to it may not be there yet"
    word.write("third")
    assert not word.file.look()
    assert word.file.look()
    assert word.file.value == "third"
    assert not word.file.look()


def test_a_file_that_is_written_in_place_is_noticed(word: Word) -> None:
    word.path.write_text("second")
    os.utime(word.path, ns=(1, 1))
    assert [word.file.look() for _ in range(3)] == [False, True, False]


def test_the_same_content_is_nothing_new(word: Word) -> None:
    word.write("first")
    assert [word.file.look() for _ in range(3)] == [False, False, False]
    assert word.reads == 2


@pytest.mark.parametrize("broken", ["empty", "missing"])
def test_a_file_that_cannot_be_used_leaves_the_old_one_in_force(
    word: Word, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    if broken == "empty":
        word.write("")
    else:
        word.path.unlink()
    assert [word.file.look() for _ in range(4)] == [False] * 4
    assert (word.file.value, word.file.failures) == ("first", 1)
    assert [each.levelno for each in caplog.records] == [logging.ERROR], "said once"
    assert "the old ones stay in force: word: is empty" in caplog.text
    word.write("second")
    assert [word.file.look() for _ in range(2)] == [False, True]
    assert (word.file.value, word.file.failures) == ("second", 1)


def test_what_cannot_be_read_at_first_is_refused(word: Word) -> None:
    word.write("")
    with pytest.raises(ConfigError):
        ReloadedFiles("the word", [str(word.path)], word.read)


def test_what_cannot_be_used_yet_is_used_when_it_can(word: Word, caplog: pytest.LogCaptureFixture) -> None:
    word.write("second")
    word.refuses = True
    assert [word.file.look() for _ in range(4)] == [False] * 4
    word.refuses = False
    assert word.file.look()
    assert word.file.value == "second"
    assert len([each for each in caplog.records if each.levelno == logging.ERROR]) == 1


def test_an_unforeseen_error_leaves_the_old_one_in_force(word: Word, caplog: pytest.LogCaptureFixture) -> None:
    word.path.unlink()
    word.path.mkdir()
    word.error = KeyError("secret")
    assert [word.file.look() for _ in range(3)] == [False] * 3
    assert (word.file.value, word.file.failures) == ("first", 1)
    assert "KeyError at" in caplog.text
    assert "secret" not in caplog.text

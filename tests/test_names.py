"""The vocabulary, read from the sources: one name for one public class, and the field's words for what there is.

`docs/design.md` has the words to use. A new private metaphor that was replaced by one of them goes into `REPLACED`.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent


class Word(NamedTuple):
    """A word that is not used any more."""

    pattern: str
    """A regular expression. It is compared with single words in lower case: `WorkerSlot` is read as "worker slot"."""
    instead: str
    """The word to use."""
    within: tuple[str, ...] = ("",)
    """Beginnings of the paths it applies to: elsewhere the word has its ordinary meaning."""


REPLACED = (
    Word(r"colleagues?", "peer"),
    Word(r"hand(?:s|ed|ing)? ?overs?", "forward request"),
    Word(r"footers?", "trailer"),
    Word(r"inquests?", "execution"),
    Word(r"petitions?", "aggregator"),
    Word(r"errands?", "task handle"),
    Word(r"turnstiles?", "fair scheduler"),
    Word(r"seats?", "worker slot, or follower of a flight"),
    Word(r"crews?", "worker pool"),
    Word(r"flying|flew|under way", "in flight, or in progress"),
    Word(r"couriers?", "load client"),
    Word(r"crowds?", "dataset"),
    Word(r"shel(?:f|ves)", "message buffer"),
    Word(r"logbooks?", "checkpoint"),
    Word(r"sittings?", "replay session, or run"),
    Word(r"stages?|scenes?", "testbed"),
    Word(r"sweeps?|swept|sweeping", "compaction"),
    Word(r"places?", "location", within=("broker/store/block", "broker/store/log", "broker/store/index")),
    Word(r"layers?", "memtable", within=("broker/store/",)),
    Word(r"posts?", "worker slot", within=("broker/runtime/supervis", "broker/runtime/worker")),
)

EXCEPTIONS = {
    "CHANGELOG.md": frozenset({"in flight, or in progress"}),  # it names old configuration keys and metrics
    "tests/test_packaging.py": frozenset({"testbed"}),  # it is about the stages of a Dockerfile
}
"""By path: the `instead` of the words that a file may contain. Each entry must be needed."""

FOLDERS = ("benchmarks", "broker", "deploy", "docs", "loadtest", "mock_institutions", "proto", "scripts", "tests")
FILES = ("CHANGELOG.md", "CONTRIBUTING.md", "Dockerfile", "Makefile", "README.md")
READ = {".lua", ".md", ".proto", ".py", ".sh", ".toml", ".yaml", ""}
GENERATED = ROOT / "broker" / "v1"


def texts() -> dict[str, str]:
    """Everything a reader of the project reads, by path."""
    paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
    paths += [ROOT / name for name in FILES]
    return {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(paths)
        if path.is_file() and path.suffix in READ and GENERATED not in path.parents and path != Path(__file__)
    }


TEXTS = texts()


def as_words(text: str) -> str:
    """The text in lower case, with identifiers in camel, snake and kebab case cut into words."""
    return re.sub(r"[_-]+", " ", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text)).lower()


def occurrences(word: Word, text: str) -> Iterator[tuple[int, str]]:
    """Line number and line of each line that has the word, or where it begins if a line break divides it."""
    matches = re.compile(rf"\b(?:{word.pattern})\b").search
    lines = [*text.splitlines(), ""]
    for number, (line, following) in enumerate(pairwise(lines), start=1):
        both = f"{line} {following.lstrip(' #/*')}"
        if matches(as_words(line)) or (matches(as_words(both)) and not matches(as_words(following))):
            yield number, line.strip()


def applies(word: Word, path: str) -> bool:
    """Whether the word is banned in this file."""
    return path.startswith(word.within) and word.instead not in EXCEPTIONS.get(path, ())


@pytest.mark.parametrize("word", REPLACED, ids=lambda word: word.instead)
def test_a_replaced_word_is_gone(word: Word) -> None:
    found = [
        f"{path}:{number}: {line}"
        for path, text in TEXTS.items()
        if applies(word, path)
        for number, line in occurrences(word, text)
    ]
    assert not found, f"say {word.instead!r} instead:\n" + "\n".join(found)


def test_every_exception_is_needed() -> None:
    for path, allowed in EXCEPTIONS.items():
        for instead in allowed:
            words = [word for word in REPLACED if word.instead == instead and path.startswith(word.within)]
            assert any(any(occurrences(word, TEXTS[path])) for word in words), f"{path} does without: drop {instead!r}"


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("colleagues?", "class Colleagues:"),
        ("colleagues?", "ask_a_colleague()"),
        ("colleagues?", "# the other colleague's answer"),
        ("hand(?:s|ed|ing)? ?overs?", "HandOver"),
        ("hand(?:s|ed|ing)? ?overs?", "the hand-over"),
        ("hand(?:s|ed|ing)? ?overs?", "_handover"),
        ("under way", "lookups_under_way"),
    ],
)
def test_a_word_is_found_however_it_is_written(pattern: str, text: str) -> None:
    assert list(occurrences(Word(pattern, "another"), f"\n{text}\n")) == [(2, text)]


def test_a_phrase_is_found_across_a_line_break() -> None:
    text = "# what is under\n    # way, and what is under way"
    assert [number for number, _ in occurrences(Word("under way", "in flight"), text)] == [2]
    assert [number for number, _ in occurrences(Word("under way", "in flight"), "# is under\n    # way")] == [1]


def test_a_word_within_another_is_no_occurrence() -> None:
    assert not list(occurrences(Word("seats?", "slot"), "seated, unseat"))


def public_names(tree: ast.Module) -> Iterator[str]:
    """The public classes and type aliases of a module."""
    for node in tree.body:
        match node:
            case ast.ClassDef(name=name):
                names = [name]
            case ast.Assign(targets=targets):
                names = [target.id for target in targets if isinstance(target, ast.Name)]
            case ast.AnnAssign(target=ast.Name(id=name)):
                names = [name]
            case _:
                names = []
        yield from (name for name in names if re.match(r"[A-Z]\w*[a-z]", name))


def test_a_public_name_means_one_thing() -> None:
    homes = defaultdict(list)
    for path, text in TEXTS.items():
        if path.startswith("broker/") and path.endswith(".py"):
            for name in public_names(ast.parse(text)):
                homes[name].append(path)
    shared = {name: paths for name, paths in homes.items() if len(paths) > 1}
    assert not shared, f"one of each needs another name: {shared}"


def test_the_rules_see_what_they_are_to_see() -> None:
    """Should the sources move, no rule may pass for lack of anything to look at."""
    assert len(TEXTS) > 150
    assert {"broker/default.toml", "docs/design.md", "README.md", "Makefile", "scripts/check"} <= TEXTS.keys()
    tree = ast.parse("class A1b: ...\nclass _Own: ...\nPlaces = list[int]\nKinds: object = None\nT = 1\nMOST = 2\n")
    assert list(public_names(tree)) == ["A1b", "Places", "Kinds"]

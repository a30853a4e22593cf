"""Reads a section of a TOML file into a struct, and finds everything that is wrong in it, not only the first fault.

A rule is a function that returns why a value is refused, or None. It stands at its field: `Annotated[int, positive]`.
Rules between fields are a struct's own (`Section.conflicts`).
"""

from collections.abc import Iterator
from difflib import get_close_matches
from math import inf
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

import msgspec


class ConfigFault(NamedTuple):
    """What is wrong with a key, and what would be right."""

    key: str
    """The path of the key in the file, such as "server.listen"."""
    reason: str


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A section as written, one field for each key."""

    def conflicts(self) -> Iterator[ConfigFault]:
        """Values that are right by themselves, and wrong together. Keys are relative to the section."""
        return iter(())


S = TypeVar("S", bound=Section)


def read_section(where: str, content: object, kind: type[S]) -> tuple[S | None, list[ConfigFault]]:
    """The section, or None and its faults. `where`: its name, with which the keys of the faults begin."""
    if not isinstance(content, dict):
        return None, [ConfigFault(where, "must be a table")]
    faults = [*_unknown(content, kind), *_missing(content, kind), *_wrong(content, kind)]
    section = None
    if not faults:
        section = msgspec.convert(content, kind)
        faults = list(section.conflicts())
    return (None if faults else section), [ConfigFault(f"{where}.{key}", reason) for key, reason in faults]


def _unknown(content: dict[str, Any], kind: type[Section]) -> Iterator[ConfigFault]:
    known = kind.__struct_fields__
    for key in content:
        if key not in known:
            similar = get_close_matches(key, known, n=1)
            meant = f"; did you mean {similar[0]}?" if similar else ""
            yield ConfigFault(key, f"is no key: known are {', '.join(known)}{meant}")


def _missing(content: dict[str, Any], kind: type[Section]) -> Iterator[ConfigFault]:
    for field in msgspec.structs.fields(kind):
        if field.required and field.name not in content:
            yield ConfigFault(field.name, "is missing, and has no default")


def _wrong(content: dict[str, Any], kind: type[Section]) -> Iterator[ConfigFault]:
    for key, hint in get_type_hints(kind, include_extras=True).items():
        if key in content:
            for reason in _reasons(content[key], hint):
                yield ConfigFault(key, reason)


def _reasons(value: object, hint: Any) -> Iterator[str]:
    """Why a value is refused: its type alone, or all the rules that it breaks."""
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            yield f"{value!r} is none of {', '.join(get_args(hint))}"
        return
    try:
        converted = msgspec.convert(value, hint)
    except msgspec.ValidationError as error:
        yield str(error).partition(" - at `$")[0]  # a place within the value, in words of the library
        return
    if get_origin(hint) is Annotated:
        yield from filter(None, (rule(converted) for rule in hint.__metadata__))


def positive(value: float) -> str | None:
    """A rule for quantities."""
    return None if 0 < value < inf else "must be positive and finite"

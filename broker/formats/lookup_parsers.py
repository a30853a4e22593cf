"""The formats of files of lookups: CSV, JSON Lines, a JSON array. Each yields a line at a time."""

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TextIO

import msgspec

from broker.client import SubjectType
from broker.formats.columns import COLUMNS, column_of
from broker.formats.lookup_line import Header, LineFault, LookupLine

Parse = Callable[[TextIO, SubjectType | None], Iterator[LookupLine | LineFault]]
"""Reads a text from its beginning, given the type of lines that have none."""

_DELIMITERS = ",\t;|"
_MAX_TITLES = 5  # rows above the header
_CHUNK = 1 << 16  # characters of a JSON array that are decoded at a time
_LONGEST_ELEMENT = 1 << 20  # characters; a lookup has some hundreds
_BLANKS = " \t\r\n"
_decode = json.JSONDecoder().raw_decode


def parser_for(text: TextIO) -> Parse:
    """The parser of a text, by its first character that is not blank. Rewinds the text."""
    try:
        while (character := text.read(1)).isspace():
            pass
        return {"{": json_lines, "[": json_array}.get(character, csv_lines)
    finally:
        text.seek(0)


def csv_lines(lines: TextIO, default_type: SubjectType | None) -> Iterator[LookupLine | LineFault]:
    """CSV with a header, and with any usual delimiter."""
    reader = csv.reader(lines, strict=True, delimiter=_delimiter(lines))
    stripped = ((reader.line_num, list(map(str.strip, cells))) for cells in reader)
    rows = ((line, cells) for line, cells in stripped if any(cells))
    try:
        line, header = find_header(rows, default_type)
        if (fault := header.fault(line)) is not None:
            yield fault
            return
        for line, cells in rows:
            yield header.read(line, cells)
    except csv.Error as error:
        yield LineFault(reader.line_num, "", f"is not CSV: {error}")


def find_header(rows: Iterator[tuple[int, Sequence[str]]], default_type: SubjectType | None) -> tuple[int, Header]:
    """Takes rows until the header, and returns it with its line. Titles above it have one cell that is no column."""
    first: tuple[int, Sequence[str]] | None = None
    for line, cells in islice(filter(_has_text, rows), _MAX_TITLES + 1):
        texts = [cell for cell in cells if cell]
        if len(texts) > 1 or column_of(texts[0]):
            return line, Header(cells, default_type)
        first = first or (line, cells)
    line, cells = first or (1, COLUMNS)  # not a header, and told as that; or there is nothing
    return line, Header(cells, default_type)


def _has_text(row: tuple[int, Sequence[str]]) -> bool:
    return any(row[1])


def _delimiter(text: TextIO) -> str:
    """The delimiter that makes the most known columns of one of the first lines. Rewinds the text."""
    first = list(islice((line for line in text if line.strip()), _MAX_TITLES + 1))
    text.seek(0)
    return max(_DELIMITERS, key=lambda one: max((_known(line.split(one)) for line in first), default=0))


def _known(cells: Sequence[str]) -> int:
    return sum(bool(column_of(cell.strip(' "'))) for cell in cells)


def json_lines(lines: Iterable[str], default_type: SubjectType | None) -> Iterator[LookupLine | LineFault]:
    """An object in each line."""
    for number, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        try:
            members = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeError):
            yield LineFault(number, "", "is not JSON: each line must be one object")
            continue
        yield _json_line(number, members, default_type)


def json_array(text: TextIO, default_type: SubjectType | None) -> Iterator[LookupLine | LineFault]:
    """An array of objects. They are numbered from 1, wherever they stand."""
    try:
        for number, members in enumerate(_elements(text), start=1):
            yield _json_line(number, members, default_type)
    except (ValueError, RecursionError):
        yield LineFault(1, "", "is not a JSON array of objects")


def _elements(text: TextIO) -> Iterator[Any]:
    """The elements of an array, one at a time. Raises `ValueError` if it is not one."""
    window = _Window(text)
    if window.take() != "[":
        raise ValueError("not an array")
    while window.peek() != "]":
        yield window.value()
        if window.peek() == ",":
            window.take()
        elif window.peek() != "]":
            raise ValueError("neither a comma nor the end of the array after an element")
    window.take()
    if window.peek():
        raise ValueError("text after the array")


class _Window:
    """A part of a JSON text. State: what has been read and not been taken yet."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self._buffer = ""
        self._at = 0

    def peek(self) -> str:
        """The next character that is not blank; empty at the end."""
        while True:
            while self._at < len(self._buffer):
                if (character := self._buffer[self._at]) not in _BLANKS:
                    return character
                self._at += 1
            if not self._read():
                return ""

    def take(self) -> str:
        """The same, and goes on to what follows it."""
        character = self.peek()
        self._at += len(character)
        return character

    def value(self) -> Any:
        """The next value. Raises `ValueError` if there is none, or it is longer than any lookup."""
        self.peek()
        while True:
            try:
                value, self._at = _decode(self._buffer, self._at)
            except ValueError:
                if len(self._buffer) - self._at > _LONGEST_ELEMENT or not self._read():
                    raise
            else:
                return value

    def _read(self) -> bool:
        """Reads on. Returns whether there was anything."""
        more = self._text.read(_CHUNK)
        self._buffer = self._buffer[self._at :] + more
        self._at = 0
        return bool(more)


def _json_line(line: int, members: Any, default_type: SubjectType | None) -> LookupLine | LineFault:
    if not isinstance(members, dict):
        return LineFault(line, "", "must be an object with the members type, number and name")
    header = Header.of(tuple(members), default_type)
    values = list(members.values())
    if (fault := header.fault(line)) is not None:
        return fault
    for column, at in header.known.items():
        if not isinstance(values[at], str | None):
            return LineFault(line, column, "must be a text: a number loses digits")
    return header.read(line, [_text(value) for value in values])


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else msgspec.json.encode(value).decode()

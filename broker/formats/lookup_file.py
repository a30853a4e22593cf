"""Reads lookups from CSV or JSON Lines, all before the first is asked: a slip in line 9,000 costs nobody an inquiry.

The columns are ref, type, number and name. `type` is a SubjectType by its short name; `ref` is line-3 on the third
line if it is left out, and `name` may be left out for a thing. Whatever is wrong is named by line and column, never by
content.
"""

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any, TextIO

import msgspec

from broker.client import Lookup, SubjectType, lookup

COLUMNS = ("ref", "type", "number", "name")
TYPES = ", ".join(SubjectType.__members__)


class LookupFileError(Exception):
    """The file is wrong: the message says where, and what to do about it."""


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    type: str
    number: str
    ref: str = ""
    name: str = ""


def read_lookups(file: TextIO) -> list[Lookup]:
    """All lookups of a file. Raises `LookupFileError`. A file that begins with `{` is JSON Lines, any other is CSV."""
    try:
        text = file.read().removeprefix("\ufeff")  # the mark that some spreadsheets put before UTF-8
    except UnicodeDecodeError:
        raise LookupFileError("is not in UTF-8: convert it") from None
    rows = _json_rows if text.lstrip().startswith("{") else _csv_rows
    lookups = [_lookup(number, line) for number, line in rows(io.StringIO(text))]
    if not lookups:
        raise LookupFileError("holds no lookups")
    return lookups


def parse_type(text: str) -> SubjectType:
    """The type of a short name, in any case. Raises `ValueError`."""
    try:
        return SubjectType[text.strip().upper().replace("-", "_")]
    except KeyError:
        raise ValueError(f"must be one of {TYPES}") from None


def _lookup(number: int, line: _Line) -> Lookup:
    try:
        subject_type = parse_type(line.type)
    except ValueError as error:
        raise _error(number, "type", str(error)) from None
    ref = line.ref or f"line-{number}"  # a bare number could be another line's own ref
    return lookup(ref, subject_type, line.number, line.name)


def _json_rows(lines: Iterable[str]) -> Iterator[tuple[int, _Line]]:
    for number, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        try:
            yield number, msgspec.json.decode(text, type=_Line)
        except msgspec.ValidationError as error:
            raise _invalid(number, error) from None
        except msgspec.DecodeError:
            raise _error(number, "", "is not JSON; each line holds one object") from None


def _csv_rows(lines: Iterable[str]) -> Iterator[tuple[int, _Line]]:
    reader = csv.reader(lines, strict=True)
    rows = (cells for cells in reader if any(cell.strip() for cell in cells))
    try:
        header = [cell.strip().lower() for cell in next(rows, COLUMNS)]
        _check_header(header, reader.line_num)
        for cells in rows:
            yield reader.line_num, _csv_line(reader.line_num, header, cells)
    except csv.Error as error:
        raise _error(reader.line_num, "", f"is not CSV: {error}") from None


def _check_header(header: list[str], line: int) -> None:
    for place, column in enumerate(header, start=1):
        if column not in COLUMNS or header.count(column) > 1:
            raise _error(line, str(place), f"must be another of {', '.join(COLUMNS)}: the first line names the columns")
    for column in ("type", "number"):
        if column not in header:
            raise _error(line, column, f"is missing: the first line names the columns, {','.join(COLUMNS)}")


def _csv_line(number: int, header: list[str], cells: list[str]) -> _Line:
    if len(cells) != len(header):
        raise _error(number, "", f"has {len(cells)} cells, {len(header)} are needed: quote a comma inside a cell")
    row: dict[str, Any] = dict(zip(header, (cell.strip() for cell in cells), strict=True))
    return msgspec.convert(row, _Line)


def _invalid(number: int, error: msgspec.ValidationError) -> LookupFileError:
    reason, _, place = str(error).partition(" - at `$")
    return _error(number, place.strip("`."), reason)


def _error(line: int, column: str, reason: str) -> LookupFileError:
    where = f"line {line}, column {column}" if column else f"line {line}"
    return LookupFileError(f"{where}: {reason}")

"""Reads lookups from CSV or JSON Lines.

The whole file is read before the first inquiry is sent, so that an error in line 9,000 costs no inquiries. The columns
are ref, type, number and name. `type` is the short name of a SubjectType; `ref` is by default line-3 on the third
line; `name` may be omitted for a property. Error messages name line and column, but do not quote the content.
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
    """The file is invalid. The message says where, and how to correct it."""


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    type: str
    number: str
    ref: str = ""
    name: str = ""


def read_lookups(file: TextIO) -> list[Lookup]:
    """Reads all lookups of a file: JSON Lines if it begins with `{`, else CSV. Raises `LookupFileError`."""
    try:
        text = file.read().removeprefix("\ufeff")  # the byte order mark that some spreadsheet programs write
    except UnicodeDecodeError:
        raise LookupFileError("is not encoded in UTF-8: convert it") from None
    rows = _json_rows if text.lstrip().startswith("{") else _csv_rows
    lookups = [_lookup(number, line) for number, line in rows(io.StringIO(text))]
    if not lookups:
        raise LookupFileError("contains no lookups")
    return lookups


def parse_type(text: str) -> SubjectType:
    """The subject type with this short name, in upper or lower case. Raises `ValueError`."""
    try:
        return SubjectType[text.strip().upper().replace("-", "_")]
    except KeyError:
        raise ValueError(f"must be one of {TYPES}") from None


def _lookup(number: int, line: _Line) -> Lookup:
    try:
        subject_type = parse_type(line.type)
    except ValueError as error:
        raise _error(number, "type", str(error)) from None
    ref = line.ref or f"line-{number}"  # a number alone could be the ref of another line
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
            raise _error(number, "", "is not JSON: each line must be one object") from None


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
    for number, column in enumerate(header, start=1):
        if column not in COLUMNS or header.count(column) > 1:
            raise _error(
                line, str(number), f"must be one of {', '.join(COLUMNS)}, each once: the first line names the columns"
            )
    for column in ("type", "number"):
        if column not in header:
            raise _error(line, column, f"is missing: the first line names the columns, {','.join(COLUMNS)}")


def _csv_line(number: int, header: list[str], cells: list[str]) -> _Line:
    if len(cells) != len(header):
        raise _error(
            number,
            "",
            f"has {len(cells)} cells instead of {len(header)}: put quotes around a cell that contains a comma",
        )
    row: dict[str, Any] = dict(zip(header, (cell.strip() for cell in cells), strict=True))
    return msgspec.convert(row, _Line)


def _invalid(number: int, error: msgspec.ValidationError) -> LookupFileError:
    reason, _, path = str(error).partition(" - at `$")
    return _error(number, path.strip("`."), reason)


def _error(line: int, column: str, reason: str) -> LookupFileError:
    where = f"line {line}, column {column}" if column else f"line {line}"
    return LookupFileError(f"{where}: {reason}")

"""Reads lookups from CSV, JSON Lines or a JSON array.

A file is read twice: first `check` reports all that is wrong with it, before anything is asked; then `read` yields one
row at a time, so that memory does not grow with the file. (A JSON array is read whole.) The columns are ref, type,
number and name, under any of the names in `formats.columns`; all other columns are kept. `ref` is by default line-3 on
the third line; `name` may be omitted for a property. Error messages name line and column, and never quote the content.
"""

import codecs
import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TextIO

import msgspec

from broker.client import Lookup, SubjectType, lookup
from broker.formats.columns import COLUMNS, column_of, parse_type, type_of_column
from broker.formats.spreadsheet import spoiled

ENCODINGS = ("utf-8", "gb18030")
"""Tried in this order. Spreadsheets of Chinese systems write GB 18030 unless they are asked for UTF-8."""
_MAX_FAULTS = 20
_DELIMITERS = ",\t;|"
_CHUNK = 1 << 20


class LookupFileError(Exception):
    """The file cannot be used. The message says where, and how to correct it."""


class LineFault(NamedTuple):
    """What is wrong with a line."""

    line: int
    column: str
    message: str

    def __str__(self) -> str:
        where = f"line {self.line}, column {self.column}" if self.column else f"line {self.line}"
        return f"{where}: {self.message}"


@dataclass(frozen=True, slots=True)
class LookupLine:
    """One lookup, and what else its line has."""

    lookup: Lookup
    number: str
    name: str
    extra: dict[str, str] = field(default_factory=dict)
    """Other columns of its line, by their names."""


class LookupFile:
    """A file of lookups. State: its encoding, once known."""

    def __init__(self, source: Path | BinaryIO, *, default_type: SubjectType | None = None) -> None:
        """`source`: a path, or an open file, which is read whole. `default_type`: of lines that have none."""
        self._source = source if isinstance(source, Path) else source.read()
        self._default_type = default_type
        self._encoding = ""

    def check(self) -> int:
        """Reads the whole file. Returns the number of lookups. Raises `LookupFileError` with all that is wrong."""
        faults: list[LineFault] = []
        count = 0
        for one in self._items():
            count += 1
            if isinstance(one, LineFault):
                faults.append(one)
        if faults:
            shown = [str(one) for one in faults[:_MAX_FAULTS]]
            more = len(faults) - len(shown)
            raise LookupFileError("\n".join(shown) + (f"\nand {more:,} more" if more else ""))
        if not count:
            raise LookupFileError("contains no lookups")
        return count

    def read(self) -> Iterator[LookupLine]:
        """The rows. Raises `LookupFileError` at the first fault."""
        for one in self._items():
            if isinstance(one, LineFault):
                raise LookupFileError(str(one))
            yield one

    def _items(self) -> Iterator[LookupLine | LineFault]:
        with self._open() as text:
            start = _first_character(text)
            parse = {"{": _json_lines, "[": _json_array}.get(start, _csv_lines)
            yield from parse(text, self._default_type)

    def _open(self) -> TextIO:
        if not self._encoding:
            self._encoding = self._find_encoding()
        return io.TextIOWrapper(self._binary(), encoding=self._encoding, newline="")

    def _binary(self) -> BinaryIO:
        return self._source.open("rb") if isinstance(self._source, Path) else io.BytesIO(self._source)

    def _find_encoding(self) -> str:
        with self._binary() as file:
            begin = file.read(4)
        if begin.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        for encoding in ENCODINGS:
            if self._is_in(encoding):
                return "utf-8-sig" if encoding == "utf-8" else encoding
        raise LookupFileError("is encoded neither in UTF-8 nor in GB 18030: save it as UTF-8")

    def _is_in(self, encoding: str) -> bool:
        decoder = codecs.getincrementaldecoder(encoding)()
        with self._binary() as file:
            try:
                while chunk := file.read(_CHUNK):
                    decoder.decode(chunk)
                decoder.decode(b"", final=True)
            except UnicodeDecodeError:
                return False
        return True


def _first_character(text: TextIO) -> str:
    """The first character that is not blank. Rewinds the text."""
    try:
        while (character := text.read(1)).isspace():
            pass
        return character
    finally:
        text.seek(0)


def _json_lines(lines: Iterable[str], default_type: SubjectType | None) -> Iterator[LookupLine | LineFault]:
    for number, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        try:
            cells = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeError):
            yield LineFault(number, "", "is not JSON: each line must be one object")
            continue
        yield _json_row(number, cells, default_type)


def _json_array(text: TextIO, default_type: SubjectType | None) -> Iterator[LookupLine | LineFault]:
    try:
        elements = msgspec.json.decode(text.read(), type=list[Any])
    except (msgspec.DecodeError, UnicodeError):
        yield LineFault(1, "", "is not a JSON array of objects")
        return
    for number, cells in enumerate(elements, start=1):
        yield _json_row(number, cells, default_type)


def _json_row(number: int, cells: Any, default_type: SubjectType | None) -> LookupLine | LineFault:
    if not isinstance(cells, dict):
        return LineFault(number, "", "must be an object with the members type, number and name")
    for column, value in cells.items():
        if column_of(column) and not isinstance(value, str):
            return LineFault(number, column_of(column), "must be a text: a number loses digits")
    plain = {
        name: value if isinstance(value, str) else msgspec.json.encode(value).decode() for name, value in cells.items()
    }
    header = _Header.of(tuple(plain), default_type)
    return header.fault(number) or header.line(number, list(plain.values()))


def _csv_lines(lines: TextIO, default_type: SubjectType | None) -> Iterator[LookupLine | LineFault]:
    reader = csv.reader(lines, strict=True, delimiter=_delimiter(lines))
    rows = (cells for cells in reader if any(cell.strip() for cell in cells))
    try:
        header = _Header.of(tuple(cell.strip() for cell in next(rows, COLUMNS)), default_type)
        if (fault := header.fault(reader.line_num)) is not None:
            yield fault
            return
        for cells in rows:
            if len(cells) != len(header.names):
                yield LineFault(
                    reader.line_num,
                    "",
                    f"has {len(cells)} cells instead of {len(header.names)}: put quotes around a cell that contains a "
                    "delimiter",
                )
            else:
                yield header.line(reader.line_num, [cell.strip() for cell in cells])
    except csv.Error as error:
        yield LineFault(reader.line_num, "", f"is not CSV: {error}")


def _delimiter(text: TextIO) -> str:
    """The delimiter that makes the most known columns of the first line. Rewinds the text."""
    first = next((line for line in text if line.strip()), "")
    text.seek(0)
    return max(_DELIMITERS, key=lambda one: sum(bool(column_of(cell.strip(' "'))) for cell in first.split(one)))


@dataclass(frozen=True, slots=True)
class _Header:
    """What the columns of a line are."""

    names: Sequence[str]
    columns: Sequence[str]
    """The known column that each is; empty if it is another one."""
    default_type: SubjectType | None
    """Of lines without a type: what the header of the numbers says, or what was given for all lines."""

    @classmethod
    @lru_cache(maxsize=64)  # the lines of a JSON file have the same members
    def of(cls, names: tuple[str, ...], default_type: SubjectType | None) -> "_Header":
        """Reads the names of columns."""
        columns = [column_of(name) for name in names]
        typed = type_of_column(names[columns.index("number")]) if "number" in columns else None
        return cls(names, columns, typed or default_type)

    def fault(self, line: int) -> LineFault | None:
        """What is wrong with it."""
        for column in COLUMNS:
            if self.columns.count(column) > 1:
                return LineFault(line, column, "is named twice: keep one of the two columns")
        if "number" not in self.columns:
            return LineFault(line, "number", self._missing())
        if "type" not in self.columns and self.default_type is None:
            return LineFault(line, "type", f"{self._missing()}, or give --type for all lines")
        return None

    def _missing(self) -> str:
        found = ", ".join(name[:20] for name, column in zip(self.names, self.columns, strict=True) if column)
        return f"is missing: the first line names the columns, {','.join(COLUMNS)}; found {found or 'none of them'}"

    def line(self, line: int, cells: Sequence[str]) -> LookupLine | LineFault:
        """The lookup of a line with these cells."""
        known: dict[str, str] = {}
        extra: dict[str, str] = {}
        for name, column, cell in zip(self.names, self.columns, cells, strict=True):
            if column:
                known[column] = cell
            else:
                extra[name] = cell
        subject_type = self.default_type
        if text := known.get("type"):
            try:
                subject_type = parse_type(text)
            except ValueError as error:
                return LineFault(line, "type", str(error))
        if subject_type is None:
            return LineFault(line, "type", "is empty: fill it in, or give --type for all lines")
        number, name = known["number"], known.get("name", "")
        if message := spoiled(subject_type, number):
            return LineFault(line, "number", message)
        ref = known.get("ref") or f"line-{line}"  # a number alone could be the ref of another line
        return LookupLine(lookup(ref, subject_type, number, name), number, name, extra)

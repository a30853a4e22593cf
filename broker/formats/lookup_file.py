"""Reads lookups from a file: CSV, JSON Lines or a JSON array in any usual encoding, or a spreadsheet's own file.

A file is read twice: first `check` reports all that is wrong with it, before anything is asked; then `read` yields one
line at a time. Memory does not grow with the file, unless it is a spreadsheet's own. The columns are ref, type, number
and name, under any of the names in `formats.columns`; all other columns are kept. `ref` is by default line-3 on the
third line; `name` may be omitted for a property.
"""

import codecs
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from broker.client import SubjectType
from broker.formats.lookup_line import LineFault, LookupLine
from broker.formats.lookup_parsers import parser_for
from broker.formats.workbook import WorkbookError, is_workbook, workbook_lines

ENCODINGS = ("utf-8-sig", "gb18030")
"""Tried in this order. Spreadsheets of Chinese systems write GB 18030 unless they are asked for UTF-8."""
_MAX_FAULTS = 20
_CHUNK = 1 << 20


class LookupFileError(Exception):
    """The file cannot be used. The message says where, and how to correct it."""


class LookupFile:
    """A file of lookups. State: its encoding, once known."""

    def __init__(self, source: Path | BinaryIO, *, default_type: SubjectType | None = None) -> None:
        """`source`: a path, or an open file. `default_type`: of lines that have none.

        What cannot be read twice, such as a pipe, is kept in memory.
        """
        self._source = _rewindable(source)
        self._default_type = default_type
        self._encoding = ""

    def check(self) -> int:
        """Reads the whole file. Returns the number of lookups. Raises `LookupFileError` with all that is wrong."""
        shown: list[str] = []
        count = faults = 0
        for count, one in enumerate(self._items(), start=1):  # noqa: B007 - the last one is used
            if isinstance(one, LineFault):
                faults += 1
                if len(shown) < _MAX_FAULTS:
                    shown.append(str(one))
        if faults:
            more = faults - len(shown)
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
        try:
            with self._binary() as file:
                if is_workbook(file):
                    yield from workbook_lines(file, self._default_type)
                else:
                    yield from self._lines_of_text(file)
        except WorkbookError as error:
            raise LookupFileError(str(error)) from None
        except UnicodeDecodeError:  # never of the file that was checked
            raise LookupFileError("has changed while it was read") from None

    def _lines_of_text(self, file: BinaryIO) -> Iterator[LookupLine | LineFault]:
        text = io.TextIOWrapper(file, encoding=self._encoding or self._find_encoding(file), newline="")
        try:
            yield from parser_for(text)(text, self._default_type)
        finally:
            text.detach()  # who opened the file closes it

    @contextmanager
    def _binary(self) -> Iterator[BinaryIO]:
        """The file, at its beginning."""
        if isinstance(self._source, Path):
            with self._source.open("rb") as file:
                yield file
        else:
            self._source.seek(0)
            yield self._source

    def _find_encoding(self, file: BinaryIO) -> str:
        """Reads the file, and rewinds it."""
        candidates = ("utf-16",) if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else ENCODINGS
        found = next((one for one in candidates if _is_in(file, one)), None)
        if found is None:
            raise LookupFileError("is encoded neither in UTF-8 nor in GB 18030: save it as UTF-8")
        self._encoding = found
        file.seek(0)
        return self._encoding


def _rewindable(source: Path | BinaryIO) -> Path | BinaryIO:
    if isinstance(source, Path):
        return source if source.is_file() else io.BytesIO(source.read_bytes())
    return source if source.seekable() else io.BytesIO(source.read())


def _is_in(file: BinaryIO, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    file.seek(0)
    try:
        while chunk := file.read(_CHUNK):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True

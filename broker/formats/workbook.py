"""Reads lookups from the sheet of a spreadsheet's own file: .xlsx, .xls or .ods.

Rules

1. Exactly one visible sheet has content. Hidden sheets are ignored; hidden rows are not, since CSV would have them too.
2. Above the header there may be a few titles: rows with one cell. A merged cell has its content in its first cell only.
3. Numbers have to be texts. A cell that is a quantity or a date has lost digits, or leading zeros. (An apostrophe that
   makes a cell a text is not part of it.)
4. Of formulas, the values count that the program which saved the file has calculated.

The sheet is held in memory: some 50 MiB for a hundred thousand rows, and a sheet has a million rows at most.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, BinaryIO

from broker.client import SubjectType
from broker.formats.lookup_line import LineFault, LookupLine
from broker.formats.lookup_parsers import find_header

_SIGNATURES = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # of ZIP (.xlsx, .ods) and of OLE (.xls); no text begins with them

_QUANTITY = "is stored as a {kind}, which keeps {kept}: format the column as text before you type or import the numbers"


class WorkbookError(Exception):
    """The file cannot be read as a spreadsheet. The message says why."""


def is_workbook(file: BinaryIO) -> bool:
    """Whether a file is a spreadsheet's own. Rewinds it."""
    begin = file.read(4)
    file.seek(0)
    return begin in _SIGNATURES


def workbook_lines(file: BinaryIO, default_type: SubjectType | None) -> Iterator[LookupLine | LineFault]:
    """The lookups. Lines are the sheet's rows. Raises `WorkbookError`."""
    rows = _rows(file)
    line, header = find_header(((line, [_text(cell) for cell in cells]) for line, cells in rows), default_type)
    if (fault := header.fault(line)) is not None:
        yield fault
        return
    number = header.known["number"]
    for line, cells in rows:
        if not any(cells):
            continue
        if not isinstance(cells[number], str):
            yield LineFault(line, "number", _lost(cells[number]))
        else:
            yield header.read(line, [_text(cell) for cell in cells])


def _rows(file: BinaryIO) -> Iterator[tuple[int, Sequence[Any]]]:
    """The rows of the sheet, with their numbers."""
    from python_calamine import (  # noqa: PLC0415 - few files are workbooks
        CalamineError,
        CalamineWorkbook,
        PasswordError,
        SheetVisibleEnum,
    )

    try:
        with CalamineWorkbook.from_filelike(file) as workbook:
            names = [one.name for one in workbook.sheets_metadata if one.visible is SheetVisibleEnum.Visible]
            sheets = [sheet for sheet in map(workbook.get_sheet_by_name, names) if sheet.start is not None]
            if len(sheets) > 1:
                raise WorkbookError(f"has {len(sheets)} visible sheets with content: hide or delete all but one")
            for sheet in sheets:
                yield from enumerate(sheet.iter_rows(), start=1)
    except PasswordError:
        raise WorkbookError("is protected by a password: save it without") from None
    except CalamineError as error:
        raise WorkbookError(f"cannot be read as a spreadsheet ({type(error).__name__}): save it as CSV") from None


def _lost(cell: object) -> str:
    if isinstance(cell, float):
        return _QUANTITY.format(kind="number", kept="fifteen digits and no leading zeros")
    return _QUANTITY.format(kind="date or another value", kept="no digits")


def _text(cell: Any) -> str:
    """A cell as CSV would have it."""
    if isinstance(cell, str):
        return cell.strip()
    if isinstance(cell, bool):
        return str(cell).upper()
    if isinstance(cell, float):
        return f"{cell:.0f}" if cell.is_integer() else repr(cell)
    if isinstance(cell, date | datetime | time):
        return cell.isoformat(" ") if isinstance(cell, datetime) else cell.isoformat()
    return str(cell) if isinstance(cell, timedelta) else ""

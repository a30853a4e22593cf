"""Lookups in a spreadsheet's own file: sheets, titles, and cells that are not texts."""

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from broker.client import SubjectType
from broker.formats.lookup_file import LookupFile, LookupFileError
from broker.formats.lookup_line import LookupLine

NUMBER = "11010519491231002X"
HEADER = ["序号", "证件类型", "证件号码", "姓名", "备注"]
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"

Cell = str | float | bool | None
Rows = Sequence[Sequence[Cell]]


def workbook(*sheets: Rows, hidden: Sequence[int] = ()) -> bytes:
    """An .xlsx file with these sheets. A text that begins with = is a formula with the rest of it as its value."""
    made = io.BytesIO()
    numbers = range(1, len(sheets) + 1)
    with zipfile.ZipFile(made, "w") as file:
        types = "".join(
            f'<Override PartName="/sheet{n}.xml" ContentType="application/vnd.openxmlformats-officedocument.'
            'spreadsheetml.worksheet+xml"/>'
            for n in numbers
        )
        main = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"
        file.writestr(
            "[Content_Types].xml",
            f'<Types xmlns="{PACKAGE}/content-types"><Default Extension="rels" ContentType="application/vnd.'
            f'openxmlformats-package.relationships+xml"/><Override PartName="/xl/workbook.xml" ContentType="{main}"/>'
            f"{types}</Types>",
        )
        relation = '<Relationship Id="r{n}" Type="' + OFFICE + '/{kind}" Target="{target}"/>'
        relations = f'<Relationships xmlns="{PACKAGE}/relationships">{{}}</Relationships>'.format
        whole = relation.format(n=1, kind="officeDocument", target="xl/workbook.xml")
        file.writestr("_rels/.rels", relations(whole))
        parts = [relation.format(n=n, kind="worksheet", target=f"/xl/sheet{n}.xml") for n in numbers]
        file.writestr("xl/_rels/workbook.xml.rels", relations("".join(parts)))
        listed = "".join(
            f'<sheet name="s{n}" sheetId="{n}" r:id="r{n}" state="{"hidden" if n in hidden else "visible"}"/>'
            for n in numbers
        )
        file.writestr(
            "xl/workbook.xml", f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>{listed}</sheets></workbook>'
        )
        for n, rows in zip(numbers, sheets, strict=True):
            cells = "".join(f'<row r="{r}">{"".join(map(xml, row))}</row>' for r, row in enumerate(rows, start=1))
            file.writestr(f"xl/sheet{n}.xml", f'<worksheet xmlns="{MAIN}"><sheetData>{cells}</sheetData></worksheet>')
    return made.getvalue()


def xml(cell: Cell) -> str:
    if cell is None:
        return "<c/>"
    if isinstance(cell, bool):
        return f'<c t="b"><v>{int(cell)}</v></c>'
    if isinstance(cell, float | int):
        return f"<c><v>{cell!r}</v></c>"
    if cell.startswith("="):
        return f'<c t="str"><f>A1</f><v>{escape(cell[1:])}</v></c>'
    return f'<c t="inlineStr"><is><t>{escape(cell)}</t></is></c>'


def rows(data: bytes, default_type: SubjectType | None = None) -> list[LookupLine]:
    file = LookupFile(io.BytesIO(data), default_type=default_type)
    count = file.check()
    read = list(file.read())
    assert len(read) == count
    return read


def complaint(data: bytes) -> str:
    with pytest.raises(LookupFileError) as caught:
        rows(data)
    return str(caught.value)


def test_a_sheet_below_titles_with_other_columns(tmp_path: Path) -> None:
    data = workbook(
        [["被执行人清单"], [], HEADER, [1, "身份证", f" {NUMBER}", "=张三", 12.5], [], [2.0, "护照", "E12345678"]]
    )
    path = tmp_path / "debtors.xlsx"
    path.write_bytes(data)
    assert list(LookupFile(path).read()) == rows(data)
    first, second = rows(data)
    assert first == LookupLine("1", SubjectType.RESIDENT_ID, NUMBER, "张三", {"备注": "12.5"})
    assert (second.ref, second.number, second.name) == ("2", "E12345678", "")


def test_a_row_without_ref_is_named_by_its_number_in_the_sheet() -> None:
    (only,) = rows(workbook([[], ["名单"], ["身份证号码", "姓名"], [NUMBER, "张三"]]))
    assert only.ref == "line-4"


def test_hidden_sheets_are_ignored() -> None:
    sheet: Rows = [HEADER, [1, "身份证", NUMBER, "张三", True]]
    (only,) = rows(workbook([["秘密"]], sheet, [], hidden=[1]))
    assert only.extra == {"备注": "TRUE"}
    assert "has 2 visible sheets with content" in complaint(workbook([["说明"]], sheet))


@pytest.mark.parametrize("quantity", [110105194912310021, 123456789012345, 7.5, True])
def test_a_number_that_is_no_text_is_told(quantity: Cell) -> None:
    message = complaint(workbook([HEADER, [1, "身份证", NUMBER, "张三"], [2, "身份证", quantity, "secret"]]))
    assert "line 3, column number: is stored as a" in message
    assert "secret" not in message
    assert "1101" not in message


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (workbook([]), "contains no lookups"),
        (workbook([HEADER]), "contains no lookups"),
        (workbook([["a", "b"], ["1", "2"]]), "line 1, column number: is missing"),
        (workbook([["一"], ["二"], ["三"], ["四"], ["五"], ["六"], ["七"]]), "line 1, column number: is missing"),
        (workbook([HEADER, [1, "身份证", "'" + NUMBER, "张三"]]), "begins with an apostrophe"),
        (workbook([HEADER, [1, "", NUMBER, "张三"]]), "line 2, column type: is empty"),
        (b"PK\x03\x04 and nothing else", "cannot be read as a spreadsheet"),
        (b"\xd0\xcf\x11\xe0" + bytes(2000), "cannot be read as a spreadsheet"),
    ],
)
def test_what_is_wrong_is_told(data: bytes, told: str) -> None:
    assert told in complaint(data)

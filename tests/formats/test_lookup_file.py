"""Files of lookups as people have them: headers, delimiters, encodings, and what is wrong with them."""

import io
import json
import os
import threading
import tracemalloc
from datetime import date
from pathlib import Path

import pytest

from broker.client import SubjectType, person
from broker.core.subjects.numbers import normalise_numbers
from broker.formats import lookup_parsers
from broker.formats.columns import TYPES, column_of, parse_type
from broker.formats.lookup_file import LookupFile, LookupFileError
from broker.formats.lookup_line import LookupLine
from broker.formats.spreadsheet import spoiled

T = SubjectType
NUMBER = "11010519491231002X"


def rows(content: str | bytes, default_type: SubjectType | None = None) -> list[LookupLine]:
    data = content if isinstance(content, bytes) else content.encode()
    file = LookupFile(io.BytesIO(data), default_type=default_type)
    count = file.check()
    read = list(file.read())
    assert len(read) == count
    return read


def complaint(content: str | bytes) -> str:
    with pytest.raises(LookupFileError) as caught:
        rows(content)
    return str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        f"ref,type,number,name\n1,RESIDENT_ID,{NUMBER},张三\n",
        f"序号,证件类型,证件号码,姓名\n1,居民身份证,{NUMBER},张三\n",
        f"编号\t证件种类\t证件号\t被执行人\n1\t身份证\t{NUMBER}\t张三\n",
        f"Ref;Document Type;ID Number;Full Name\n1;resident-id;{NUMBER};张三\n",
        f"序号,公民身份号码,姓名\n1,{NUMBER},张三\n",
        f"被执行人清单;;;\n\n制表: 执行局;;;\n序号;证件类型;证件号码;姓名\n1;身份证;{NUMBER};张三\n",
        f"\ufeff\n ref , type ,number,name\n\n 1 ,RESIDENT_ID, {NUMBER} , 张三\n\n",
        f"ref|type|number|name\r\n1|RESIDENT_ID|{NUMBER}|张三\r\n",
        json.dumps({"ref": "1", "type": "RESIDENT_ID", "number": NUMBER, "name": "张三"}),
        json.dumps({"序号": "1", "证件类型": "居民身份证", "证件号码": NUMBER, "姓名": "张三"}, ensure_ascii=False),
        "\n" + json.dumps([{"ref": "1", "type": "RESIDENT_ID", "number": NUMBER, "name": "张三"}], indent=2),
        f"序号,身份证号码,姓名\n1,{NUMBER},张三\n".encode("gb18030"),
        f"ref\ttype\tnumber\tname\r\n1\tRESIDENT_ID\t{NUMBER}\t张三\r\n".encode("utf-16"),
    ],
)
def test_files_as_people_have_them(content: str | bytes) -> None:
    (only,) = rows(content)
    assert (only.ref, only.number, only.name, only.extra) == ("1", NUMBER, "张三", {})
    assert only.lookup() == person("1", "张三", NUMBER)


def test_other_columns_are_kept() -> None:
    (first,) = rows(f"承办人,ref,type,number,name,备注\n李四,1,RESIDENT_ID,{NUMBER},张三,急\n")
    assert first.extra == {"承办人": "李四", "备注": "急"}
    (second,) = rows(json.dumps({"type": "RESIDENT_ID", "number": NUMBER, "amount": 12.5, "tags": ["a"]}))
    assert second.extra == {"amount": "12.5", "tags": '["a"]'}


def test_a_type_can_hold_for_all_lines() -> None:
    first, second = rows(f"number,name\n{NUMBER},张三\n{NUMBER},李四\n", T.RESIDENT_ID)
    assert {row.subject_type for row in (first, second)} == {T.RESIDENT_ID}


def test_a_default_ref_differs_from_a_number_used_as_ref() -> None:
    assert [row.ref for row in rows("ref,type,number\n3,VEHICLE_PLATE,1\n,VEHICLE_PLATE,2\n")] == ["3", "line-3"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "contains no lookups"),
        ("ref,type,number,name\n", "contains no lookups"),
        ("ref,number\n1,2\n", "line 1, column type: is missing: the first line names the columns"),
        ("ref,secret\n1,2\n", "line 1, column number: is missing: the first line names the columns"),
        ("ref,secret\n1,2\n", "found ref and 1 other column"),
        ("7777,secret\n", "found 2 other columns"),
        ("\n" + "7777\n" * 9, "line 2, column number: is missing: the first line names the columns"),
        ("type,type,number\n", "line 1, column type: is named twice"),
        ("number,证件号码,type\n", "line 1, column number: is named twice"),
        ("type,number\nRESIDENT_ID,secret\nSHIP,secret\n", "line 3, column type: must be one of RESIDENT_ID"),
        ("type,number\nsecret\n", "line 2: has 1 cells instead of 2"),
        ("type,number\n,secret\n", "line 2, column type: is empty"),
        ('type,number\nRESIDENT_ID,"sec"ret"\n', "line 2: is not CSV"),
        ('{"type": "RESIDENT_ID", "number": "1"}\n{"type": "RESIDENT_ID", secret}\n', "line 2: is not JSON"),
        ('{"type": "RESIDENT_ID", "number": 7777}', "line 1, column number: must be a text: a number loses digits"),
        ('{"type": "RESIDENT_ID"}', "line 1, column number: is missing"),
        ('\n\n{"type": "secret", "number": ""}', "line 3, column type: must be one of"),
        ("{", "line 1: is not JSON"),
        ("[1]", "line 1: must be an object"),
        ("[{]", "is not a JSON array"),
        ('[{"type": "PASSPORT", "number": "E12345678"} {}]', "is not a JSON array"),
        ('[{"type": "PASSPORT", "number": "E12345678"}', "is not a JSON array"),
        ('[{"type": "PASSPORT", "number": "E12345678"}],', "is not a JSON array"),
        ("[" * 100_000, "is not a JSON array"),
        ("[]", "contains no lookups"),
        ("\ufeff\ufeff".encode("utf-16") + b"x", "is encoded neither in UTF-8 nor in GB 18030"),
        (b"type,number\nRESIDENT_ID,\xff\xff\n", "is encoded neither in UTF-8 nor in GB 18030"),
        ("type,number\nRESIDENT_ID,5.40815E+17\n", "line 2, column number: is in scientific notation"),
    ],
)
def test_what_is_wrong_is_told_by_line_and_column_without_its_content(content: str | bytes, told: str) -> None:
    message = complaint(content)
    assert told in message
    assert "secret" not in message
    assert "7777" not in message


def test_all_that_is_wrong_is_told_at_once() -> None:
    message = complaint("type,number\n" + "SHIP,1\nRESIDENT_ID,1\n" * 30)
    assert message.count("column type") == 20
    assert "and 10 more" in message


def test_a_file_is_read_again_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "debtors.csv"
    path.write_text(f"type,number,name\nRESIDENT_ID,{NUMBER},张三\n", encoding="utf-8")
    file = LookupFile(path)
    assert file.check() == 1
    assert list(file.read()) == list(file.read())


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"  # such as a shell makes for <(command)
    os.mkfifo(pipe)
    content = f"type,number,name\nRESIDENT_ID,{NUMBER},张三\n"
    writer = threading.Thread(target=pipe.write_text, args=(content, "utf-8"))
    writer.start()
    file = LookupFile(pipe)
    writer.join()
    assert file.check() == len(list(file.read())) == 1


@pytest.mark.parametrize("chunk", [1, 2, 7, 100])
def test_a_json_array_is_read_in_parts(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup_parsers, "_CHUNK", chunk)
    people = [{"type": "RESIDENT_ID", "number": NUMBER, "name": f"张{n}", "tags": ["]", {"a": None}]} for n in range(9)]
    assert [row.name for row in rows(json.dumps(people, ensure_ascii=False, indent=1))] == [
        one["name"] for one in people
    ]
    assert [row.ref for row in rows(json.dumps(people))] == [f"line-{n}" for n in range(1, 10)]


def test_a_json_array_in_which_an_element_does_not_end_is_given_up_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup_parsers, "_LONGEST_ELEMENT", 100)
    monkeypatch.setattr(lookup_parsers, "_CHUNK", 10)
    text = io.StringIO('[{"a": "' + "x" * 10_000)
    (fault,) = lookup_parsers.json_array(text, None)
    assert "is not a JSON array" in str(fault)
    assert text.tell() < 200


def test_only_the_first_faults_are_kept(tmp_path: Path) -> None:
    tracemalloc.start()
    try:
        path = tmp_path / "many.csv"
        path.write_text("type,number\n" + "SHIP,1\n" * 20_000, encoding="utf-8")
        with pytest.raises(LookupFileError, match="and 19,980 more"):
            LookupFile(path).check()
        assert tracemalloc.get_traced_memory()[1] < 5_000_000  # a fault for each line would take more
    finally:
        tracemalloc.stop()


def test_a_member_that_is_null_is_empty() -> None:
    (only,) = rows('{"type": "VEHICLE_PLATE", "number": "京A12345", "name": null}')
    assert only.name == ""


def test_a_file_that_changes_while_it_is_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "debtors.csv"
    path.write_text("type,number\nPASSPORT,E12345678\n", encoding="utf-8")
    file = LookupFile(path)
    file.check()
    path.write_bytes(b"type,number\nPASSPORT,\xff\xff\n")
    with pytest.raises(LookupFileError, match="has changed"):
        list(file.read())


@pytest.mark.parametrize(
    ("subject_type", "number", "told"),
    [
        (T.RESIDENT_ID, "5.40815E+17", "scientific"),
        (T.BANK_ACCOUNT, "6,2148E+18", "scientific"),
        (T.BANK_ACCOUNT, "6214831234567890.0", "decimals"),
        (T.RESIDENT_ID, f"'{NUMBER}", "apostrophe"),
        (T.RESIDENT_ID, f"’{NUMBER}", "apostrophe"),
        (T.RESIDENT_ID, f'="{NUMBER}"', "spreadsheet marks text"),
        (T.RESIDENT_ID, "110105194912310000", "rounded to fifteen digits"),
        (T.RESIDENT_ID, "916201055811843000", "rounded to fifteen digits"),
        (T.ORGANIZATION_CODE, "911101085923662000", "rounded to fifteen digits"),
        (T.REAL_ESTATE_UNIT, "110101001001000000000000000000000", "rounded to fifteen digits"),
        (T.RESIDENT_ID, NUMBER, ""),
        (T.BANK_ACCOUNT, "6214831000000000", ""),
        (T.VEHICLE_VIN, "12345E67890123456", ""),
        (T.ORGANIZATION_CODE, "91110000000000000E", ""),
        (T.PASSPORT, "E12345678", ""),
    ],
)
def test_numbers_that_a_spreadsheet_spoiled_are_told(subject_type: SubjectType, number: str, told: str) -> None:
    message = spoiled(subject_type, number)
    assert told in message
    assert bool(told) == bool(message)
    assert number not in message


def test_a_valid_number_that_ends_in_zeros_is_not_taken_for_a_rounded_one() -> None:
    candidates = [f"{region}199001{day:02d}0000" for region in range(110101, 110120) for day in range(1, 29)]
    _, faults, *_ = normalise_numbers([T.RESIDENT_ID] * len(candidates), candidates, today=date(2026, 1, 1))
    valid = [number for index, number in enumerate(candidates) if index not in faults]
    assert valid
    assert not any(spoiled(T.RESIDENT_ID, number) for number in valid)


@pytest.mark.parametrize("subject_type", SubjectType)
def test_every_type_can_be_named(subject_type: SubjectType) -> None:
    assert parse_type(subject_type.name.lower().replace("_", "-")) is subject_type
    assert subject_type.name in TYPES


@pytest.mark.parametrize("header", ["姓 名", " 证件号码 ", "ID-Number", "document number", "身份证号码"])
def test_headers_are_recognised_however_they_are_spaced(header: str) -> None:
    assert column_of(header)


@pytest.mark.parametrize("header", ["", "备注", "numbers", "amount"])
def test_other_headers_are_other_columns(header: str) -> None:
    assert not column_of(header)

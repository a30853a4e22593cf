"""The standard spellings of names: one line for each spelling that an institution is asked again under another for."""

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from broker.core.subjects.look_alikes import LOOK_ALIKES
from broker.core.subjects.name_folding import folded
from broker.core.subjects.name_marks import BLANKS, CLOSING_BRACKETS, FULL_STOPS, MIDDLE_DOTS, OPENING_BRACKETS
from broker.core.subjects.name_standard import may_differ, standard
from broker.core.subjects.names import read_names
from broker.model import SubjectType

PERSON, FIRM = SubjectType.RESIDENT_ID, SubjectType.ORGANIZATION_CODE

ASKED_AGAIN = [
    (PERSON, "\u2ee2小\u2ee9", "马小黄"),
    (PERSON, "\u2f45\u2f08\u2f8f", "方人行"),
    (PERSON, "古丽米热.艾比布力", "古丽米热·艾比布力"),
    (PERSON, "古丽米热。艾比布力", "古丽米热·艾比布力"),
    (PERSON, "古丽米热 · 艾比布力", "古丽米热·艾比布力"),
    *((PERSON, f"古丽{dot}艾力", "古丽·艾力") for dot in (MIDDLE_DOTS + FULL_STOPS).replace("·", "")),
    (PERSON, "古 丽 . 艾 力", "古丽·艾力"),
    (PERSON, "李\ue831.艾力", "李\U000215d7·艾力"),
    (PERSON, "张\u3000三", "张三"),
    (PERSON, "欧 阳 修", "欧阳修"),
    (PERSON, "李\ue831", "李\U000215d7"),
    (PERSON, "\ue830", "牛"),
    (PERSON, "\uf9dc三", "隆三"),
    (PERSON, "\U0002f804", "\u4f60"),
    (PERSON, "\u31d0\u2ee2", "一马"),
    (PERSON, "LUKE O\u2019CONNOR", "LUKE O'CONNOR"),
    (PERSON, "LUKE O`CONNOR", "LUKE O'CONNOR"),
    (PERSON, "ＬＵＫＥ\u3000Ｏ＇ＣＯＮＮＯＲ", "LUKE O'CONNOR"),
    (PERSON, "JOHN  SMITH", "JOHN SMITH"),
    (PERSON, "JOHN\xa0SMITH", "JOHN SMITH"),
    (PERSON, "ANNE\u2010MARIE", "ANNE-MARIE"),
    (FIRM, "七○三研究所", "七〇三研究所"),
    (FIRM, "二○○八厂", "二〇〇八厂"),
    (PERSON, "JOSE\u0301", "JOSÉ"),
    (PERSON, "ＪＯＳＥ\u0301", "JOSÉ"),
    (PERSON, "\u212bNGSTRO\u0308M", "ÅNGSTRÖM"),
    (PERSON, "\u1112\u1161\u11ab", "한"),
    (PERSON, "\u064a\u0654", "\u0626"),
    (PERSON, "GRI\ufb03N", "GRIffiN"),
    (PERSON, "\ufe91\ufedc\ufbe9", "\u0628\u0643\u0649"),
    (PERSON, "古丽米热\uf0b7艾比布力", "古丽米热·艾比布力"),
    (FIRM, "甲乙(北京)科技有限公司", "甲乙（北京）科技有限公司"),
    (FIRM, "甲乙 ( 北京 ) 科技有限公司", "甲乙（北京）科技有限公司"),
    (FIRM, "甲乙〔北京〕科技有限公司", "甲乙（北京）科技有限公司"),
    (FIRM, "甲乙（北京)科技有限公司", "甲乙（北京）科技有限公司"),
    *(
        (FIRM, f"甲乙{opening}北京{closing}厂", "甲乙（北京）厂")
        for opening, closing in zip(OPENING_BRACKETS, CLOSING_BRACKETS, strict=True)
        if opening != "（"
    ),
    (FIRM, "甲 乙 科 技 有 限 公 司", "甲乙科技有限公司"),
    (FIRM, "\u2ee2氏(集团)", "马氏（集团）"),
]

STANDARD = [
    (PERSON, "张三"),
    (PERSON, "古丽米热·艾比布力"),
    (PERSON, "王\U00020bb7"),
    (PERSON, "李\ue000"),
    (PERSON, "LUKE O'CONNOR"),
    (PERSON, "Luke Smith"),
    (PERSON, "J. SMITH"),
    (PERSON, "J.SMITH"),
    (PERSON, "张三 李四"),
    (PERSON, "张三(李四)"),
    (PERSON, "José"),
    (FIRM, "甲乙（北京）科技有限公司"),
    (FIRM, "甲乙第Ⅱ建筑有限公司"),
    (FIRM, "３Ｄ＆Ａ有限公司"),
    (FIRM, "3D&A有限公司"),
    (FIRM, "甲乙①有限公司"),
    (FIRM, "甲乙-丙丁有限公司"),
    (FIRM, "ACME (CHINA) LTD"),
]


@pytest.mark.parametrize(("subject_type", "written", "expected"), ASKED_AGAIN)
def test_an_unusual_spelling_has_a_standard_one(subject_type: SubjectType, written: str, expected: str) -> None:
    assert read_names([written]) == ([written], {}), "it is sent as it was written"
    assert standard(subject_type, written) == expected
    assert standard(subject_type, expected) == expected
    assert folded(written) == folded(expected)
    assert may_differ(f"张三\n{written}\n李四")


@pytest.mark.parametrize(("subject_type", "name"), STANDARD)
def test_a_standard_spelling_stays(subject_type: SubjectType, name: str) -> None:
    assert standard(subject_type, name) == name


def test_ordinary_names_are_known_to_be_standard_without_a_look() -> None:
    assert not may_differ("张三\n古丽·艾力\n甲乙（北京）科技有限公司\nO'CONNOR\nANNE-MARIE\n王\U00020bb7\n李\ue000\n①Ⅱ")


names_strategy = st.text(
    st.sampled_from("张三〇Aａ'-.\ue831\u2ee2\u2f08\uf9dc" + MIDDLE_DOTS + FULL_STOPS + "（(【]）○" + BLANKS),
    max_size=14,
) | st.text(max_size=14)


@given(st.sampled_from([PERSON, FIRM]), names_strategy)
@example(FIRM, "张 （ 三")
@example(FIRM, "三○ ∘马")
@example(PERSON, "张. 三")
def test_the_standard_spelling_is_the_same_name_and_its_own_standard(subject_type: SubjectType, written: str) -> None:
    [name], faults = read_names([written])
    assume(not faults)
    once = standard(subject_type, name)
    assert standard(subject_type, once) == once
    assert folded(once) == folded(name)
    assert once == name or may_differ(name)


def test_every_look_alike_is_replaced() -> None:
    for character in map(chr, [*range(0x2E80, 0x2FD6), *range(0x31C0, 0x31E4), *range(0xE78D, 0xE865)]):
        if may_differ(character):
            once = standard(PERSON, character)
            assert once != character
            assert once not in LOOK_ALIKES

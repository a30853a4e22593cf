"""How names are compared: one line for each pair of spellings that are one name, and of names that are two."""

from unicodedata import category

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from broker.core.subjects.name_folding import folded
from broker.core.subjects.name_marks import (
    APOSTROPHES,
    CLOSING_BRACKETS,
    FULL_STOPS,
    HYPHENS,
    MIDDLE_DOTS,
    OPENING_BRACKETS,
)

ONE_NAME = [
    # width, case, compatibility characters
    ("甲乙第Ⅱ建筑有限公司", "甲乙第II建筑有限公司"),
    ("３Ｄ＆Ａ有限公司", "3D&A有限公司"),
    ("Ｌｕｋｅ Ｓｍｉｔｈ", "LUKE SMITH"),
    ("Luke Smith", "LUKE SMITH"),
    ("Straße", "STRASSE"),
    ("ﬁrst", "FIRST"),
    ("José", "JOSE\u0301"),
    ("\ufe91\ufedc\ufbe9", "\u0628\u0643\u0649"),
    ("甲乙㈠厂", "甲乙（一）厂"),
    ("ｱｲﾌﾞ", "アイブ"),
    # look-alikes
    ("\u2ee2小\u2ee9", "马小黄"),
    ("\u2f45\u2f08\u2f8f", "方人行"),
    ("\u2ed3\u2ec4", "长西"),
    ("\u31d0品", "一品"),
    ("\uf9dc\uf92c", "隆郎"),
    ("\U0002f804", "\u4f60"),
    ("七○三所", "七〇三所"),
    ("二○○八◯厂", "二〇〇八〇厂"),
    # private use of GB 18030-2000
    ("李\ue831", "李\U000215d7"),
    ("张\ue863", "张\u4dae"),
    ("张\ue82b", "张\u9fb6"),
    ("\ue83b", "\U0002298f"),
    ("\ue830", "牛"),  # a radical there, and an ideograph to readers
    # brackets
    ("甲乙（北京）科技有限公司", "甲乙(北京)科技有限公司"),
    *(
        (f"甲乙{opening}北京{closing}厂", "甲乙（北京）厂")
        for opening, closing in zip(OPENING_BRACKETS, CLOSING_BRACKETS, strict=True)
    ),
    ("甲乙〔北京〕科技有限公司", "甲乙(北京)科技有限公司"),
    ("甲乙【北京】科技有限公司", "甲乙［北京］科技有限公司"),
    ("甲乙（北京） 科技有限公司", "甲乙( 北京 )科技有限公司"),
    ("ACME (CHINA) LTD", "ACME（CHINA）LTD"),
    # dots
    *((f"阿里木{dot}买买提", "阿里木·买买提") for dot in MIDDLE_DOTS + FULL_STOPS),
    *((f"阿里木 {dot}\u3000买买提", "阿里木·买买提") for dot in MIDDLE_DOTS + FULL_STOPS),
    ("古丽.艾力.买买提", "古丽·艾力·买买提"),
    ("古丽\ue790艾力", "古丽\ufe13艾力"),
    ("\ue863.艾力", "\u4dae·艾力"),
    # apostrophes, hyphens, quotation marks
    *((f"LUKE O{apostrophe}CONNOR", "LUKE O'CONNOR") for apostrophe in APOSTROPHES),
    *((f"ANNE{hyphen}MARIE", "ANNE-MARIE") for hyphen in HYPHENS),
    ("甲乙“丙”有限公司", '甲乙"丙"有限公司'),
    # blanks
    ("张\u3000三", "张三"),
    ("张 三", "张三"),
    ("张  \u2003三", "张三"),
    ("欧 阳 修", "欧阳修"),
    ("欧阳 修", "欧阳修"),
    ("张 三丰", "张三丰"),
    ("古 丽 · 艾 力", "古丽·艾力"),
    ("甲 乙 建 筑 有 限 公 司", "甲乙建筑有限公司"),
    ("甲 乙（北 京）建筑", "甲乙（北京）建筑"),
    ("张\u2f00 三", "张一三"),
    ("JOHN\u3000 SMITH", "JOHN SMITH"),
    ("JOHN\xa0SMITH", "JOHN SMITH"),
    ("  张三\u3000\n", "张三"),
]

TWO_NAMES = [
    ("己", "已"),
    ("已", "巳"),
    ("未", "末"),
    ("土", "士"),
    ("日", "曰"),
    ("人", "入"),
    ("八", "入"),
    ("大", "太"),
    ("千", "干"),
    ("干", "于"),
    ("天", "夭"),
    ("戊", "戌"),
    ("戌", "戍"),
    ("壬", "王"),
    ("王", "玉"),
    ("毋", "母"),
    ("贝", "见"),
    ("刀", "力"),
    ("口", "囗"),
    ("侯", "候"),
    ("晴", "睛"),
    ("张三", "张三丰"),
    ("张三", "三张"),
    ("李·四", "李四"),
    ("李·四", "李-四"),
    ("阿里木·买买提", "阿里木、买买提"),
    ("阿里木·买买提", "阿里木，买买提"),
    ("张三 李四", "张三李四"),
    ("张三 李四 王五", "张三李四王五"),
    ("张三\n李四", "张三李四"),
    ("甲乙一分公司", "甲乙二分公司"),
    ("甲乙第一分公司", "甲乙第1分公司"),
    ("甲乙（北京）有限公司", "甲乙北京有限公司"),
    ("甲乙（北京）有限公司", "甲乙（南京）有限公司"),
    ("甲乙①有限公司", "甲乙1有限公司"),
    ("甲乙②有限公司", "甲乙①有限公司"),
    ("甲乙Ⓐ有限公司", "甲乙A有限公司"),
    ("甲乙m²有限公司", "甲乙m2有限公司"),
    ("甲乙㎡有限公司", "甲乙m2有限公司"),
    ("甲乙½有限公司", "甲乙1/2有限公司"),
    ("甲乙™有限公司", "甲乙TM有限公司"),
    ("甲乙Ⅱ厂", "甲乙Ⅲ厂"),
    ("甲乙Ⅱ厂", "甲乙二厂"),
    ("㐂", "喜"),
    ("壹", "一"),
    ("〇", "零"),
    ("〇", "O"),
    ("〇", "0"),
    ("台", "臺"),
    ("馬", "马"),
    ("长", "長"),
    ("龙", "龍"),
    ("后", "後"),
    ("叶", "葉"),
    ("吴", "吳"),
    ("户", "戶"),
    ("一", "—"),
    ("一", "ー"),
    ("李\ue831", "李\ue832"),
    ("李\ue000", "李\ue001"),
    ("李\ue000", "李"),
    ("𠮷", "吉"),
    ("José", "Jose"),
    ("ANN MARIE", "ANNMARIE"),
    ("J. SMITH", "J SMITH"),
    ("J.SMITH", "J·SMITH"),
    ("O'CONNOR", "OCONNOR"),
    ("葛\ufe00三", "葛三"),
    ("张\u200b三", "张三"),
    ("张", ""),
]


@pytest.mark.parametrize(("one", "other"), ONE_NAME)
def test_spellings_of_one_name_are_the_same_name(one: str, other: str) -> None:
    assert folded(one) == folded(other)


@pytest.mark.parametrize(("one", "other"), TWO_NAMES)
def test_two_names_stay_two(one: str, other: str) -> None:
    assert folded(one) != folded(other)
    assert folded(f"甲乙{one}有限公司") != folded(f"甲乙{other}有限公司")


SURROUNDED = ["{}", "张{}三", "A{}b", "张{} 三"]


def test_folding_any_character_again_changes_nothing() -> None:
    """Every character that folding changes, in several surroundings."""
    for character in map(chr, range(0x110000)):
        if category(character) not in ("Cn", "Co", "Cs") and folded(character) != character:
            once = [folded(text.format(character)) for text in SURROUNDED]
            assert [*map(folded, once)] == once, ascii(character)


names_strategy = st.text("张三\ue831\u2ee2. ·。（[）Aaß①\u0345\u0301\u3000が'`Ⅱ", max_size=14) | st.text(max_size=14)


@given(names_strategy)
@example("Ϊ́\u0345")
@example("张. 三")
@example("\ufdfa" * 100)
def test_folding_again_changes_nothing(name: str) -> None:
    assert folded(folded(name)) == folded(name)


@pytest.mark.parametrize("length", [101, 400, 100_000])
def test_what_is_longer_than_names_is_compared_as_it_is(length: int) -> None:
    """NFKC makes it eighteen times as long."""
    assert folded("\ufdfa" * length) == "\ufdfa" * length
    assert len(folded("\ufdfa" * 100)) > 1000

"""The lists from which the names of people and organisations are selected by hash."""

from itertools import product

SURNAMES = tuple(
    "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎余潘杜戴夏钟汪田任姜"
    "范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史顾侯邵孟龙万段雷钱汤尹黎易常武乔贺赖龚文"
)
_GIVEN = "伟芳静丽强磊军勇艳杰明平国文志"
GIVEN_NAMES: tuple[str, ...] = (
    *_GIVEN,
    *(first + second for first, second in product(_GIVEN, "华英玉兰红建云宇浩然欣怡涵晨思远")),
)

PLACES = ("北京", "上海", "广州", "深圳", "成都", "杭州", "武汉", "西安", "南京", "重庆", "天津", "苏州")
_WORDS = "恒信达瑞华盛通源丰泰宏安嘉博远新"
_TRADES = ("科技", "贸易", "置业", "物流", "建设工程", "医药", "机械制造", "文化传媒", "餐饮管理", "投资")
_TRADES_BEHIND_PLACES = frozenset(_TRADES[::2])
FIRMS = tuple(
    (f"{first}{second}（", f"）{trade}有限公司")
    if trade in _TRADES_BEHIND_PLACES
    else ("", f"{first}{second}{trade}有限公司")
    for first, second, trade in product(_WORDS, _WORDS, _TRADES)
)
"""What precedes and what follows the place in a firm's name. Half of the firms have it in full-width brackets."""

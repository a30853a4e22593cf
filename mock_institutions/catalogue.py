"""The content of records: a fixed number of variants for each kind of thing, each generated from its own seed.

A slot selects a variant, and determines the holders and the numbers. Records are thus realistic and recomputable, and
there are few enough variants for the server to keep each of them encoded as a template.
"""

from collections.abc import Callable
from datetime import date, timedelta
from random import Random

from msgspec.structs import replace

from mock_institutions.records import (
    Account,
    Asset,
    Holder,
    JudicialMeasure,
    Kind,
    MeasureType,
    Money,
    RealEstateUnit,
    SecuritiesHolding,
    Vehicle,
)

VARIANTS = 256
"""A power of two, small enough for all templates of a process to stay in the processor's cache."""

MEASURED = 0.12
"""The proportion of things with a measure in force. An assumption: no figure is published."""

_COURTS = (
    ("京0105", "北京市朝阳区人民法院"),
    ("沪0115", "上海市浦东新区人民法院"),
    ("粤0305", "广东省深圳市南山区人民法院"),
    ("川0104", "四川省成都市锦江区人民法院"),
    ("浙0106", "浙江省杭州市西湖区人民法院"),
    ("鄂01", "湖北省武汉市中级人民法院"),
)
_BRANCHES = ("朝阳", "海淀", "浦东", "徐汇", "天河", "南山", "锦江", "西湖", "江汉", "雁塔", "鼓楼", "渝中")
_MODELS = ("东风 EQ6450", "长城 CC6461", "吉利 MR7151", "比亚迪 BYD7006", "长安 SC6458", "奇瑞 SQR7150")
_SECURITIES = (
    ("600901", "华北示例"),
    ("601902", "东海示例"),
    ("000903", "南岭示例"),
    ("300904", "西川示例"),
    ("688905", "中原示例"),
    ("510906", "示例指数"),
)
_CUSTODIANS = ("示例证券朝阳营业部", "示例证券浦东营业部", "模拟证券天河营业部", "模拟证券锦江营业部")
_STREETS = ("解放路", "人民路", "建设大道", "中山路", "和平街", "长江路", "文化路", "新华街")
_LANDS = (("京", "北京市"), ("沪", "上海市"), ("粤", "广州市"), ("川", "成都市"), ("浙", "杭州市"), ("鄂", "武汉市"))
_USAGES = (("residential", 70), ("commercial", 40), ("office", 50))
"""Usages, with the years of the right to use the land (Provisional Regulations of 1990, article 12)."""


def asset(*, kind: Kind, seed: int, variant: int, numbers: tuple[str, ...], holders: tuple[Holder, ...]) -> Asset:
    """The record of one thing. `numbers` are those of the kind's number system, in the same order."""
    rng = Random(f"{seed}/{kind}/{variant}")
    return replace(_KINDS[kind](rng, *numbers), holders=holders)


def _money(cents: int) -> Money:
    units, rest = divmod(cents, 100)
    return Money(currency_code="CNY", units=units, nanos=rest * 10_000_000)


def _day(rng: Random, first: int, last: int) -> date:
    """A random day in the years `first` to `last`."""
    return date(first, 1, 1) + timedelta(days=rng.randrange((last - first + 1) * 365))


def _cents(rng: Random, median: float, spread: float) -> int:
    """An amount from a log-normal distribution, in cents; `median` in yuan."""
    return round(100 * median * rng.lognormvariate(0, spread))


def _measure(rng: Random, kind: MeasureType, *, years: int, rank: int, amount: Money | None = None) -> JudicialMeasure:
    """A measure of a court. It ends after the maximum number of years that the law allows for this kind of thing."""
    code, court = rng.choice(_COURTS)
    starts_on = _day(rng, 2025, 2025)
    return JudicialMeasure(
        type=kind,
        authority=court,
        document_number=f"（2025）{code}执{rng.randrange(1, 9999)}号",
        amount=amount,
        starts_on=starts_on,
        ends_on=starts_on.replace(year=starts_on.year + years, day=min(starts_on.day, 28)),
        rank=rank,
    )


def _account(rng: Random, account_number: str) -> Asset:
    balance = _cents(rng, 8_000, 2.0)
    frozen = 0
    measures: tuple[JudicialMeasure, ...] = ()
    if rng.random() < MEASURED:
        claim = _cents(rng, 20_000, 1.5)
        frozen = min(balance, claim)
        measures = (_measure(rng, "FREEZE", years=1, rank=1, amount=_money(claim)),)
        if rng.random() < 0.3:
            waiting = _money(_cents(rng, 50_000, 1.0))
            measures += (_measure(rng, "WAITING_FREEZE", years=1, rank=2, amount=waiting),)
    account = Account(
        account_number=account_number,
        category=rng.choice(("savings", "savings", "savings", "current", "time deposit", "wealth product")),
        status="FROZEN" if frozen and frozen == balance else rng.choices(("NORMAL", "DORMANT"), (9, 1))[0],
        branch=f"{rng.choice(_BRANCHES)}支行",
        opened_on=_day(rng, 2001, 2024),
        balance=_money(balance),
        available_balance=_money(balance - frozen),
    )
    return Asset(holders=(), measures=measures, account=account)


def _vehicle(rng: Random, plate: str, vin: str) -> Asset:
    registered_on = _day(rng, 2012, 2024)
    vehicle = Vehicle(
        plate=plate,
        vin=vin,
        model=rng.choice(_MODELS),
        registered_on=registered_on,
        inspection_valid_until=_day(rng, 2026, 2028),
        mortgaged=rng.random() < 0.15,
    )
    measures = (_measure(rng, "SEIZURE", years=2, rank=1),) if rng.random() < MEASURED else ()
    return Asset(holders=(), measures=measures, vehicle=vehicle)


def _holding(rng: Random, account_number: str) -> Asset:
    code, name = rng.choice(_SECURITIES)
    quantity = rng.randrange(1, 400) * 100  # shares are bought in lots of a hundred
    frozen = rng.randrange(1, quantity // 100 + 1) * 100 if rng.random() < MEASURED else 0
    holding = SecuritiesHolding(
        account_number=account_number,
        security_code=code,
        security_name=name,
        quantity=quantity,
        frozen_quantity=frozen,
        custodian=rng.choice(_CUSTODIANS),
        market_value=_money(quantity * rng.randrange(200, 9_000)),
    )
    measures = (_measure(rng, "FREEZE", years=3, rank=1),) if frozen else ()
    return Asset(holders=(), measures=measures, holding=holding)


def _real_estate_unit(rng: Random, unit_number: str, serial: str) -> Asset:
    land, city = rng.choice(_LANDS)
    usage, years = rng.choices(_USAGES, (8, 1, 1))[0]
    registered_on = _day(rng, 2005, 2024)
    street = f"{rng.choice(_STREETS)}{rng.randrange(1, 300)}号{rng.randrange(1, 30)}幢{rng.randrange(101, 3205)}室"
    unit = RealEstateUnit(
        unit_number=unit_number,
        certificate_number=f"{land}（{registered_on.year}）{city}不动产权第{serial}号",
        location=city + street,
        usage=usage,
        right_type="ownership of house / right to use state land",
        area_square_metres=f"{rng.randrange(3_000, 30_000) / 100:.2f}",
        registered_on=registered_on,
        term_ends_on=registered_on.replace(year=registered_on.year + years, day=min(registered_on.day, 28)),
    )
    measures: tuple[JudicialMeasure, ...] = ()
    if rng.random() < MEASURED:
        measures = (_measure(rng, "SEIZURE", years=3, rank=1),)
    return Asset(holders=(), measures=measures, real_estate_unit=unit)


_KINDS: dict[Kind, Callable[..., Asset]] = {
    "bank": _account,
    "vehicle": _vehicle,
    "securities": _holding,
    "real_estate": _real_estate_unit,
}

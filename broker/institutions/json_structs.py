"""The messages of replies as they are in JSON, with the names of asset.proto and institution.proto.

None of these structs can be part of a reference cycle. `gc=False` spares the garbage collector from visiting the
thousands of them in a reply.
"""

from datetime import date
from typing import Annotated

import msgspec

from broker.institutions.reply_check import MAX_PER_ASSET
from broker.institutions.struct_writer import Word


class JsonMoney(msgspec.Struct, gc=False):
    """An amount of money."""

    units: int
    currency_code: Word = Word("CNY")
    nanos: int = 0


class JsonHolder(msgspec.Struct, gc=False):
    """A holder of an asset."""

    document_number: str = ""
    name: str = ""
    document_type: str = "UNSPECIFIED"
    share: str = ""


class JsonMeasure(msgspec.Struct, gc=False):
    """A judicial measure."""

    type: str
    authority: Word = Word("")
    document_number: str = ""
    amount: JsonMoney | None = None
    starts_on: date | None = None
    ends_on: date | None = None
    rank: int = 0


class JsonAccount(msgspec.Struct, gc=False):
    """A bank account."""

    account_number: str
    category: Word = Word("")
    status: str = "UNSPECIFIED"
    branch: Word = Word("")
    opened_on: date | None = None
    balance: JsonMoney | None = None
    available_balance: JsonMoney | None = None


class JsonVehicle(msgspec.Struct, gc=False):
    """A vehicle."""

    plate: str = ""
    vin: str = ""
    model: Word = Word("")
    registered_on: date | None = None
    inspection_valid_until: date | None = None
    mortgaged: bool = False


class JsonHolding(msgspec.Struct, gc=False):
    """A holding of a security."""

    account_number: str
    security_code: Word = Word("")
    security_name: Word = Word("")
    quantity: int = 0
    frozen_quantity: int = 0
    custodian: Word = Word("")
    market_value: JsonMoney | None = None


class JsonRealEstateUnit(msgspec.Struct, gc=False):
    """A real-estate unit."""

    unit_number: str
    certificate_number: str = ""
    location: str = ""
    usage: Word = Word("")
    right_type: Word = Word("")
    area_square_metres: str | None = None
    registered_on: date | None = None
    term_ends_on: date | None = None


class JsonAsset(msgspec.Struct, gc=False):
    """An asset, with one kind of details."""

    holders: Annotated[tuple[JsonHolder, ...], msgspec.Meta(max_length=MAX_PER_ASSET)] = ()
    measures: Annotated[tuple[JsonMeasure, ...], msgspec.Meta(max_length=MAX_PER_ASSET)] = ()
    account: JsonAccount | None = None
    vehicle: JsonVehicle | None = None
    holding: JsonHolding | None = None
    real_estate_unit: JsonRealEstateUnit | None = None


class JsonProblem(msgspec.Struct, gc=False):
    """Why an item is REFUSED or INVALID."""

    reason: str | None = None
    field: str | None = None
    message: str | None = None


class JsonElement(msgspec.Struct, gc=False):
    """The reply about one item."""

    item: int
    outcome: str
    observed_at: str | None = None
    problem: JsonProblem | None = None
    assets: msgspec.Raw = msgspec.Raw()
    """Decoded one item at a time, and only if needed: see `json_http`."""


class JsonReply(msgspec.Struct, gc=False):
    """The reply to a batch."""

    request_id: str
    replies: list[JsonElement]


class JsonWholeElement(msgspec.Struct, gc=False):
    """A `JsonElement` with its assets decoded."""

    item: int
    outcome: str
    observed_at: str | None = None
    problem: JsonProblem | None = None
    assets: tuple[JsonAsset, ...] = ()


class JsonWholeReply(msgspec.Struct, gc=False):
    """A `JsonReply` with all assets decoded."""

    request_id: str
    replies: list[JsonWholeElement]


class JsonOutline(msgspec.Struct, gc=False):
    """A `JsonReply` whose elements are not decoded."""

    request_id: str
    replies: list[msgspec.Raw]


class JsonNumbered(msgspec.Struct, gc=False):
    """What a `JsonElement` has to have at least."""

    item: int

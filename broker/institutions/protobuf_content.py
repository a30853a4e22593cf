"""Checks the texts, amounts, dates and decimals in items of a reply, by the rules of `content_rules`.

To look at each field of each message takes longer than all the rest. But protobuf merges what occurs several times in a
message field that is not repeated. So a message class that is declared like InquiryReply, except that its messages are
not repeated and what is checked is, gathers each kind of value from the joined bytes of many items in one list. Only if
these may contain something wrong, the items are looked at one by one. Numbers that are not checked are not repeated
either: a list of numbers may be packed, and what is packed would not be seen to be an unknown field of the item.
"""

from collections.abc import Sequence
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from broker.institutions.content_rules import MAX_NANOS, are_amounts, has_controls, is_date
from broker.institutions.content_rules import are_decimals as _are_decimals
from broker.v1 import institution_pb2

_FIELD = descriptor_pb2.FieldDescriptorProto


def are_plain(items: Sequence[bytes]) -> bool:
    """Whether encoded items contain nothing wrong, no negative amounts, and no unknown fields. False if they may."""
    try:
        return _is_plain(_Gathered.FromString(b"".join(items)))
    except DecodeError:  # an unknown field that the library lets through, but not in the other class
        return False


def is_right(message: Message) -> bool:
    """Whether a message contains nothing wrong."""
    if not _is_value_right(message):
        return False
    for field, value in message.ListFields():
        values = value if field.is_repeated else (value,)
        if field.message_type is not None:
            if not all(map(is_right, values)):
                return False
        elif field.type == FieldDescriptor.TYPE_STRING and any(has_controls(one.encode()) for one in values):
            return False
    return True


def _is_value_right(message: Any) -> bool:
    match message.DESCRIPTOR.full_name:
        case "google.type.Money":
            return are_amounts([message.units], [message.nanos])
        case "google.type.Date":
            return is_date(message.year, message.month, message.day)
        case "google.type.Decimal":
            return _are_decimals([message.value])
    return True


def _gathering_class(message: Any) -> Any:
    """The class that gathers the values of such messages."""
    file = descriptor_pb2.FileDescriptorProto(name="gathered.proto", package="gathered", syntax="proto3")
    _declare(message, file)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"gathered.{_name(message)}"))


def _declare(message: Descriptor, file: descriptor_pb2.FileDescriptorProto) -> None:
    if any(declared.name == _name(message) for declared in file.message_type):
        return
    own = file.message_type.add(name=_name(message))
    for field in message.fields:
        is_checked = field.type == FieldDescriptor.TYPE_STRING or message.full_name in _CHECKED
        label = _FIELD.LABEL_REPEATED if is_checked else _FIELD.LABEL_OPTIONAL
        declared = own.field.add(name=field.name, number=field.number, type=field.type, label=label)
        if field.message_type is not None:
            declared.type_name = f".gathered.{_name(field.message_type)}"
            _declare(field.message_type, file)
        elif field.type == FieldDescriptor.TYPE_STRING:
            declared.type = _FIELD.TYPE_BYTES  # which Python need not decode
        elif field.type == FieldDescriptor.TYPE_ENUM:
            declared.type = _FIELD.TYPE_INT32


def _name(message: Descriptor) -> str:
    return message.full_name.replace(".", "_")


_CHECKED = ("google.type.Money", "google.type.Date")  # of which the numbers are
_Gathered = _gathering_class(institution_pb2.InquiryReply.DESCRIPTOR)
_LARGEST = {"units": (1 << 63) - 1, "nanos": MAX_NANOS}


def _is_plain(gathered: Message) -> bool:
    if len(UnknownFieldSet(gathered)):
        return False
    if gathered.DESCRIPTOR is _DATE:
        return _are_days(gathered)
    is_money = gathered.DESCRIPTOR is _MONEY
    for field, values in gathered.ListFields():
        if field.message_type is not None:
            plain = _is_plain(values)
        elif field.type == FieldDescriptor.TYPE_BYTES:
            plain = _are_texts_right(values, are_decimals=gathered.DESCRIPTOR is _DECIMAL)
        else:
            plain = not is_money or _are_positive(values[:], _LARGEST[field.name])
        if not plain:
            return False
    return True


def _are_positive(numbers: Sequence[int], largest: int) -> bool:
    return min(numbers) >= 0 and max(numbers) <= largest


def _are_days(dates: Any) -> bool:
    """Whether all dates are days, of a year each: they all have three parts, so that the parts are aligned."""
    years, months, days = dates.year[:], dates.month[:], dates.day[:]
    if not len(years) == len(months) == len(days):
        return False
    if not years:
        return True
    if min(years) < 1 or max(years) > _LAST_YEAR or min(months) < 1 or max(months) > 12 or min(days) < 1:
        return False
    return all(is_date(*each) for each in zip(years, months, days, strict=True) if each[2] > _EVERY_MONTH)


def _are_texts_right(texts: Sequence[bytes], *, are_decimals: bool) -> bool:
    if are_decimals:
        return _are_decimals([text.decode() for text in texts[:]])
    return not has_controls(b"".join(texts[:]))


_LAST_YEAR = 9999
_EVERY_MONTH = 28  # days

_MONEY, _DATE, _DECIMAL = map(
    _Gathered.DESCRIPTOR.file.message_types_by_name.get,
    ("google_type_Money", "google_type_Date", "google_type_Decimal"),
)

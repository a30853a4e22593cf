"""Message types that leave the elements of one repeated field encoded, to be read later, or never.

Example: a request of 10,000 lookups is counted, and refused if there is no room for it, without reading a lookup.
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

_FIELD = descriptor_pb2.FieldDescriptorProto


def outline(number: int) -> Any:
    """A message class whose only field is the repeated bytes field `pieces` with this number.

    All other fields are kept as unknown fields.
    """
    file = descriptor_pb2.FileDescriptorProto(name="outline.proto", syntax="proto3")
    file.message_type.add(name="Outline").field.add(
        name="pieces", number=number, type=_FIELD.TYPE_BYTES, label=_FIELD.LABEL_REPEATED
    )
    pool = descriptor_pool.DescriptorPool()  # a separate pool, because there may be several outlines
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("Outline"))


def with_only(message: type[Message], field: str) -> Any:
    """A message class like the given one, but with only this field, a number. All others are kept as unknown fields."""
    described = descriptor_pb2.DescriptorProto()
    message.DESCRIPTOR.CopyToProto(described)
    file = descriptor_pb2.FileDescriptorProto(name="outline.proto", syntax="proto3")
    file.message_type.add(name="Outline").field.extend(one for one in described.field if one.name == field)
    pool = descriptor_pool.DescriptorPool()  # a separate pool, because there may be several outlines
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("Outline"))


def with_encoded(message: type[Message], field: str) -> Any:
    """A message class like the given one, except that a repeated field of messages is one of bytes."""
    described = message.DESCRIPTOR
    imports = [described.file.name, *(one.name for one in described.file.dependencies)]
    file = descriptor_pb2.FileDescriptorProto(
        name=f"outline/{described.full_name}.proto", package="outline", syntax="proto3", dependency=imports
    )
    described.CopyToProto(file.message_type.add())
    (encoded,) = (one for one in file.message_type[0].field if one.name == field)
    encoded.type = _FIELD.TYPE_BYTES
    encoded.ClearField("type_name")
    pool = descriptor_pool.Default()  # where the types of the other fields are
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"outline.{described.name}"))


def with_encoded_leaves(message: type[Message]) -> Any:
    """A message class like the given one, except that messages that contain no messages are bytes, and enums numbers.

    So a leaf, such as a date, can be converted once for all messages that contain it. Whether a leaf without content is
    set cannot be told any more.
    """
    file = descriptor_pb2.FileDescriptorProto(name="outline.proto", package="outline", syntax="proto3")
    _add_with_encoded_leaves(file, message.DESCRIPTOR)
    pool = descriptor_pool.DescriptorPool()  # a separate pool, because there may be several outlines
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"outline.{message.DESCRIPTOR.name}"))


def _add_with_encoded_leaves(file: Any, described: Any) -> None:
    if any(one.name == described.name for one in file.message_type):
        return
    copy = file.message_type.add()
    described.CopyToProto(copy)
    for field, own in zip(described.fields, copy.field, strict=True):
        if field.message_type is not None and any(one.message_type for one in field.message_type.fields):
            own.type_name = f".outline.{field.message_type.name}"
            _add_with_encoded_leaves(file, field.message_type)
        elif field.message_type is not None or field.enum_type is not None:
            own.type = _FIELD.TYPE_BYTES if field.message_type is not None else _FIELD.TYPE_INT32
            own.ClearField("type_name")


def with_raw_texts(message: type[Message]) -> Any:
    """A message class like the given one, except that texts are bytes, in it and in the messages of its file.

    So a message can be read if a text in it is not UTF-8, which protobuf refuses to decode.
    """
    described = message.DESCRIPTOR
    file = descriptor_pb2.FileDescriptorProto()
    described.file.CopyToProto(file)
    del file.service[:]
    names = [one.name for one in file.message_type] + [one.name for one in file.enum_type]
    own = {f".{file.package}.{name}": f".raw.{name}" for name in names}
    file.name, file.package = f"raw/{file.name}", "raw"
    for field in [field for one in file.message_type for field in one.field]:
        if field.type == _FIELD.TYPE_STRING:
            field.type = _FIELD.TYPE_BYTES
        elif field.type_name:
            field.type_name = own.get(field.type_name, field.type_name)
    pool = descriptor_pool.Default()  # where the types of other files are
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"raw.{described.name}"))

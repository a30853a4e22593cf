"""Message types that leave one repeated field as bytes, to split a message into the encoded elements of that field.

All other fields are kept as unknown fields.
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory


def outline(number: int) -> Any:
    """A message class whose only field is the repeated bytes field `pieces` with this number."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="outline.proto", syntax="proto3")
    file.message_type.add(name="Outline").field.add(
        name="pieces", number=number, type=field.TYPE_BYTES, label=field.LABEL_REPEATED
    )
    pool = descriptor_pool.DescriptorPool()  # a separate pool, because there may be several outlines
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("Outline"))

"""Message types that leave one repeated field as bytes, so that a message can be cut at that field's borders.

Everything else is unknown to them, and kept.
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory


def outline(number: int) -> Any:
    """A message class with nothing but a repeated field of this number, called `pieces`, in bytes."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="outline.proto", syntax="proto3")
    file.message_type.add(name="Outline").field.add(
        name="pieces", number=number, type=field.TYPE_BYTES, label=field.LABEL_REPEATED
    )
    pool = descriptor_pool.DescriptorPool()  # its own: there may be several outlines
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("Outline"))

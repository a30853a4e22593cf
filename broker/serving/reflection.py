"""Server reflection, in both versions that clients ask for.

grpcio-reflection has v1alpha only. The messages of v1 are the same, so the same servicer answers under both names, and
describes v1 by the descriptor of v1alpha under its own name.
"""

from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, text_format
from google.rpc import error_details_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

V1 = "grpc.reflection.v1.ServerReflection"
# Clients resolve the details of errors (BadRequest, RetryInfo, ErrorInfo) by reflection, too. It finds what has been
# imported.
_ERROR_DETAILS = error_details_pb2.DESCRIPTOR


def enable_reflection(server: grpc.aio.Server, services: tuple[str, ...]) -> None:
    """Lets clients list these services, and read their contract."""
    _describe_v1()
    names = (*services, reflection.SERVICE_NAME, V1)
    servicer: Any = reflection.aio.ReflectionServicer(names)
    reflection.enable_server_reflection(names, server)
    method = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(V1, {"ServerReflectionInfo": method}),))


def _describe_v1() -> None:
    """Adds the file of v1 to those that reflection finds. Adding it once more changes nothing."""
    file = descriptor_pb2.FileDescriptorProto.FromString(reflection_pb2.DESCRIPTOR.serialized_pb)
    file.ClearField("options")  # v1alpha is deprecated
    renamed = text_format.MessageToString(file).replace("v1alpha", "v1")
    descriptor_pool.Default().Add(text_format.Parse(renamed, descriptor_pb2.FileDescriptorProto()))

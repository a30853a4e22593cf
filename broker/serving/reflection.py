"""Server reflection, in both versions that clients ask for.

grpcio-reflection has v1alpha only. The messages of v1 are the same, so the same servicer answers under both names.
"""

from typing import Any

import grpc
from google.rpc import error_details_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

V1 = "grpc.reflection.v1.ServerReflection"
# Clients resolve the details of errors (BadRequest, RetryInfo, ErrorInfo) by reflection, too. It finds what has been
# imported.
_ERROR_DETAILS = error_details_pb2.DESCRIPTOR


def enable_reflection(server: grpc.aio.Server, services: tuple[str, ...]) -> None:
    """Lets clients list these services, and read their contract."""
    names = (*services, reflection.SERVICE_NAME, V1)
    servicer: Any = reflection.aio.ReflectionServicer(names)
    reflection.enable_server_reflection(names, server)
    method = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(V1, {"ServerReflectionInfo": method}),))

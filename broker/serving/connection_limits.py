"""What one caller may do to the gRPC port, as far as gRPC can be told: options of the server.

gRPC bounds more by itself, and `tests/hardening` tries it: decompressed messages (by `max_receive_message_length`),
frames that have to be answered and are not read (pings, settings), streams opened and reset in one read, header blocks
without an end. What it cannot be told from Python is how much memory all connections may take together: a connection
may hold `max_streams_per_connection` unfinished messages (docs/security.md).
"""

from broker.config import ServerConfig

_LONGEST = 2**31 - 1  # ms; to gRPC, for ever
_HANDSHAKE = 10.0  # s from a connection to the end of its TLS handshake and HTTP/2 preface
_ACKNOWLEDGE = 20.0  # s a caller may take to acknowledge the server's settings or its ping
_SILENCE = 90.0  # s without a byte from a caller, until it is asked whether it is there
_PING_INTERVAL = 9.0  # s between two pings of a silent caller; gRPC clients of any language probe every ten at most
_PING_STRIKES = 2  # pings that come sooner, until the connection is closed
_HEADERS = 8 * 1024  # bytes of a call's headers above which it may be refused; gRPC's default, made explicit
_MOST_HEADERS = 16 * 1024  # bytes above which it is refused
_DYNAMIC_TABLE = 4 * 1024  # bytes of HPACK's table per connection

Options = tuple[tuple[str, int], ...]


def connection_limits(config: ServerConfig) -> Options:
    """The options by which a gRPC server limits connections."""
    return (
        ("grpc.max_receive_message_length", config.max_message_bytes),
        ("grpc.max_concurrent_streams", config.max_streams_per_connection),
        ("grpc.max_allowed_incoming_connections", config.max_connections),
        ("grpc.max_metadata_size", _HEADERS),
        ("grpc.absolute_max_metadata_size", _MOST_HEADERS),
        ("grpc.http2.hpack_table_size.decoder", _DYNAMIC_TABLE),
        ("grpc.server_handshake_timeout_ms", _milliseconds(_HANDSHAKE)),
        ("grpc.http2.settings_timeout", _milliseconds(_ACKNOWLEDGE)),
        ("grpc.http2.max_ping_strikes", _PING_STRIKES),
        ("grpc.http2.min_ping_interval_without_data_ms", _milliseconds(_PING_INTERVAL)),
        # A caller that vanished without a word is noticed within two minutes, and its requests ended.
        ("grpc.keepalive_time_ms", _milliseconds(_SILENCE)),
        ("grpc.keepalive_timeout_ms", _milliseconds(_ACKNOWLEDGE)),
        ("grpc.http2.ping_timeout_ms", _milliseconds(_ACKNOWLEDGE)),  # gRPC 1.85 regards only this, by default a minute
        ("grpc.max_connection_age_ms", _milliseconds(config.max_connection_age)),
        # Without it, a call whose request never becomes whole would keep its connection open for ever.
        ("grpc.max_connection_age_grace_ms", _milliseconds(config.longest_call)),
    )


def _milliseconds(seconds: float) -> int:
    return min(int(seconds * 1_000), _LONGEST)

"""The gRPC server for courts: validation of requests, parsing of lookups, streams of reports."""

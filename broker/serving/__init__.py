"""The gRPC face towards courts: requests in, streams of reports out."""

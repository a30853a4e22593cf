"""A gRPC broker through which courts ask banks and registries what a debtor owns."""

"""Generated from proto/broker/v1 by `make proto`."""

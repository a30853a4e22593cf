"""Generated from proto/broker/v1; `make proto` writes it anew."""

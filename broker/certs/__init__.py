"""A certificate authority for development and tests: what `broker certs` makes."""

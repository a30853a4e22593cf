"""The other workers of the host: who owns which subject, and how lookups are forwarded to their owners."""

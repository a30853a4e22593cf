"""The bytes that answers, reports and records consist of. Pure."""

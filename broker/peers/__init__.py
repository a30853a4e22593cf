"""The host's other workers: one owner per subject, and requests forwarded to it."""

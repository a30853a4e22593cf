"""The byte layouts of answers, reports and cache records. Pure."""

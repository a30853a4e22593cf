"""Text formats for people: files of lookups as input, tables of answers as output."""

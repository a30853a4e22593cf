"""What people read and write: files of lookups in, tables of answers out."""

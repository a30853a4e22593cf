"""The cache of answers. Bitcask-like: an append-only log and a hash index, in an LMDB file shared by all workers."""

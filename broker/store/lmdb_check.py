"""Reads an LMDB file from end to end: `python -m broker.store.lmdb_check FOLDER` exits with 0 if it is whole.

A program of its own because LMDB answers some kinds of damage by ending the process (a failed assertion, or a read
beyond the end of the file), which must not be the broker's.
"""

import sys

import lmdb

# The engine is chosen explicitly: the package carries two whose files are incompatible (0 is LMDB 0.9).
ENGINE = 0


def is_whole(path: str) -> bool:
    """Whether every database in the file has the entries it says it has. May end the process, or raise `lmdb.Error`."""
    # The caller holds the file open, so it does not change; taking no lock leaves nothing behind if this ends badly.
    with lmdb.open(path, max_dbs=2, readonly=True, lock=False, lib_version=ENGINE) as env, env.begin() as txn:
        for name, _ in txn.cursor():
            database = env.open_db(bytes(name), txn=txn, create=False)
            entries = int(txn.stat(database)["entries"])
            if sum(1 for _ in txn.cursor(database)) != entries:
                return False
    return True


if __name__ == "__main__":
    sys.exit(not is_whole(sys.argv[1]))

"""What lies in the store's files is sealed: neither records, nor what was in memory before, is there in clear."""

from pathlib import Path

from broker.store.lmdb_file import StoreFile

MARK = b"11010519491231002X"
PAGE = 4096


def test_memory_that_held_a_subject_s_data_does_not_reach_the_file(tmp_path: Path) -> None:
    """LMDB writes whole pages, in memory that others have used before, and leaves what it does not fill (`meminit`)."""
    file = StoreFile(tmp_path / "cache", master_keys=(bytes(32),), map_size=16 << 20)
    for number in range(50):
        marked = [bytearray(MARK * (PAGE // len(MARK))) for _ in range(100)]
        del marked
        with file.env.begin(write=True, db=file.records) as txn:
            for each in range(20):
                txn.put(b"%08d" % (20 * number + each), bytes(1_000 + 100 * each))
    file.close()
    assert MARK not in (tmp_path / "cache" / "data.mdb").read_bytes()

"""Tiles, bundles and their paths, against the independent implementation (aics-tlog), which writes the same files."""

import aics_tlog
import pytest
from aics_tlog.tiles import MemoryTileReader, build_entry_bundle, materialise_tiles, parse_entry_bundle
from hypothesis import given
from hypothesis import strategies as st

from broker.audit.tlog.hashing import EMPTY_ROOT, leaf_hash, node_hash
from broker.audit.tlog.right_edge import RightEdge
from broker.audit.tlog.tiles import (
    TileEdge,
    Tiles,
    bundle_path,
    decode_bundle,
    encode_bundle,
    partial_folder,
    split_hashes,
    tile_path,
)

ENTRIES = [b"entry %d" % number for number in range(70_000)]


def grown(batches: list[int]) -> tuple[dict[str, bytes], RightEdge, Tiles]:
    """The tiles of a log after batches of so many entries, without partial ones that are replaced."""
    tree, tiles, found = RightEdge(), Tiles(TileEdge()), dict[str, bytes]()
    for count in batches:
        entries = ENTRIES[tree.size : tree.size + count]
        found |= tiles.extend(tree.extend([leaf_hash(entry) for entry in entries]), entries)
    return {**found, **dict(tiles.edge().resources())}, tree, tiles


@given(st.lists(st.integers(1, 400), min_size=1, max_size=6))
def test_the_files_are_those_of_the_independent_implementation(batches: list[int]) -> None:
    files, tree, _ = grown(batches)
    entries = ENTRIES[: sum(batches)]
    assert files == materialise_tiles(entries)
    assert tree.root() == aics_tlog.MerkleTree(entries).root()
    aics_tlog.audit_tiles(MemoryTileReader(files), tree.size, tree.root())


@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 70_000])
def test_there_are_three_levels(size: int) -> None:
    files, tree, _ = grown([size])
    assert files == materialise_tiles(ENTRIES[:size])
    assert tree.root() == aics_tlog.MerkleTree(ENTRIES[:size]).root()


@given(st.integers(0, 600), st.lists(st.integers(1, 300), min_size=1, max_size=3))
def test_a_log_is_continued_from_its_partial_tiles(size: int, batches: list[int]) -> None:
    _, tree, tiles = grown([size] if size else [])
    edge = tiles.edge()
    again, continued = edge.right_edge(), Tiles(edge)
    assert again.root() == tree.root()
    for count in batches:
        entries = ENTRIES[tree.size : tree.size + count]
        leaves = [leaf_hash(entry) for entry in entries]
        assert continued.extend(again.extend(leaves), entries) == tiles.extend(tree.extend(leaves), entries)
        assert again.root() == tree.root()
        assert again.proof(again.size - 1) == tree.proof(tree.size - 1)
    assert continued.edge() == tiles.edge()


@pytest.mark.parametrize("size", [1, 255, 256, 257, 65_536])
def test_partial_tiles_of_another_size_are_none_to_continue_from(size: int) -> None:
    _, _, tiles = grown([size])
    for wrong in (tiles.edge()._replace(size=size + 1), tiles.edge()._replace(levels=(*tiles.edge().levels, ()))):
        with pytest.raises(ValueError, match="do not belong"):
            wrong.right_edge()


def test_the_empty_log() -> None:
    assert TileEdge().right_edge().root() == EMPTY_ROOT == aics_tlog.MerkleTree([]).root()
    assert TileEdge().resources() == []


@given(st.binary(max_size=50), st.binary(max_size=50))
def test_hashes(left: bytes, right: bytes) -> None:
    assert leaf_hash(left) == aics_tlog.leaf_hash(left)
    assert node_hash(left, right) == aics_tlog.node_hash(left, right)


@given(st.integers(0, 10**10), st.integers(0, 63), st.integers(0, 255))
def test_paths(index: int, level: int, width: int) -> None:
    assert tile_path(level, index, width) == aics_tlog.tiles.tile_path(level, index, width or None)
    assert bundle_path(index, width) == aics_tlog.tiles.entry_bundle_path(index, width or None)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (tile_path(0, 0), "tile/0/000"),
        (tile_path(1, 1234067), "tile/1/x001/x234/067"),
        (tile_path(63, 1000, 17), "tile/63/x001/000.p/17"),
        (bundle_path(273, 112), "tile/entries/273.p/112"),
        (partial_folder(bundle_path(273)), "tile/entries/273.p"),
    ],
)
def test_paths_of_the_specification(path: str, expected: str) -> None:
    assert path == expected


@given(st.lists(st.binary(max_size=300), max_size=256))
def test_bundles(entries: list[bytes]) -> None:
    bundle = encode_bundle(entries)
    assert bundle == build_entry_bundle(entries)
    assert decode_bundle(bundle) == entries == parse_entry_bundle(bundle)


@pytest.mark.parametrize("bundle", [b"\0", b"\0\x02a", b"\0\x01ab"])
def test_a_bundle_that_ends_too_early_is_none(bundle: bytes) -> None:
    with pytest.raises(ValueError, match="too early"):
        decode_bundle(bundle)


def test_hashes_of_a_tile() -> None:
    assert split_hashes(bytes(32) + b"x" * 32) == [bytes(32), b"x" * 32]

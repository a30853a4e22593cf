"""Whether the tiles of a log are those that follow from its entries."""

from collections.abc import Iterable, Iterator

from broker.audit.tlog.hashing import leaf_hash, root_of
from broker.audit.tlog.tiles import (
    WIDTH,
    Resource,
    TileEdge,
    bundle_path,
    decode_bundle,
    parse_path,
    split_hashes,
)
from broker.audit.verification.faults import FaultKind
from broker.audit.verification.folder import LogFolder

_BITS = 8  # levels of the tree in a level of tiles

TileFault = tuple[int, FaultKind, str]
"""Index of the first entry concerned, kind, and what is wrong."""


def find_tile_fault(folder: LogFolder, whole: Iterable[Resource]) -> Iterator[TileFault]:
    """What is wrong with published tiles that should be these."""
    for path, content in whole:
        found = folder.read(path)
        if found is None:
            yield _first_entry(path), FaultKind.REMOVED, f"{path} is missing"
        elif found != content:
            yield _first_entry(path, content, found), FaultKind.CHANGED, f"{path} is not what follows from the journal"


def find_partial_fault(folder: LogFolder, edge: TileEdge) -> Iterator[TileFault]:
    """What is wrong with the partial tiles of the published size, in whose place whole ones may be already."""
    for path, content in edge.resources():
        whole = path.partition(".p/")[0]
        found = folder.read(path)
        if found is None:
            found = (folder.read(whole) or b"")[: len(content)]
        if not found:
            yield _first_entry(whole), FaultKind.REMOVED, f"{path} is missing"
        elif found != content:
            yield _first_entry(whole, content, found), FaultKind.CHANGED, f"{path} is not what follows from the journal"


def _first_entry(path: str, content: bytes = b"", found: bytes = b"") -> int:
    """The index of the first entry that a tile is about, or of the first that it is wrong about."""
    level, index = parse_path(path)
    if level is None:
        return index * WIDTH + _first_difference(decode_bundle(content), _entries(found))
    first = index * WIDTH + _first_difference(split_hashes(content), split_hashes(found))
    return first << _BITS * level


def _first_difference(one: list[bytes], other: list[bytes]) -> int:
    return next(
        (at for at, each in enumerate(one) if at >= len(other) or each != other[at]), len(one) - 1 if one else 0
    )


def _entries(bundle: bytes) -> list[bytes]:
    try:
        return decode_bundle(bundle)
    except ValueError:
        return []


def find_old_tile_fault(folder: LogFolder, leaves: list[bytes]) -> Iterator[tuple[int, str]]:
    """What is wrong with the higher tiles, and with bundles that are still there, given the hashes of all entries."""
    hashes, level = leaves, 0
    while len(hashes) >= WIDTH:
        hashes = [root_of(hashes[at : at + WIDTH]) for at in range(0, len(hashes) // WIDTH * WIDTH, WIDTH)]
        level += 1
        for at in range(0, len(hashes), WIDTH):
            expected = hashes[at : at + WIDTH]
            if folder.hashes(level, at // WIDTH, len(expected)) != expected:
                yield at << _BITS * level, f"a tile of level {level} does not follow from those below it"
    for at in range(0, len(leaves), WIDTH):
        bundle = folder.read(bundle_path(at // WIDTH))
        if bundle is not None:
            found = [leaf_hash(entry) for entry in _entries(bundle)]
            expected = leaves[at : at + WIDTH]
            if found[: len(expected)] != expected:
                yield at + _first_difference(expected, found), "an entry does not have the hash that was signed"

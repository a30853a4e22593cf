"""The right edge of a tree against the definitions of RFC 6962, which are recursive and look at all leaves."""

from hypothesis import given
from hypothesis import strategies as st

from broker.audit.tlog.hashing import EMPTY_ROOT, leaf_hash, node_hash, root_of
from broker.audit.tlog.right_edge import RightEdge

LEAVES = [leaf_hash(b"%d" % number) for number in range(600)]


def split(count: int) -> int:
    """The largest power of two below a number."""
    return 1 << (count - 1).bit_length() - 1


def root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962, 2.1."""
    if len(leaves) < 2:
        return leaves[0] if leaves else EMPTY_ROOT
    at = split(len(leaves))
    return node_hash(root(leaves[:at]), root(leaves[at:]))


def path(index: int, leaves: list[bytes]) -> list[bytes]:
    """PATH of RFC 6962, 2.1.1."""
    if len(leaves) < 2:
        return []
    at = split(len(leaves))
    if index < at:
        return [*path(index, leaves[:at]), root(leaves[at:])]
    return [*path(index - at, leaves[at:]), root(leaves[:at])]


@given(st.lists(st.integers(1, 70), max_size=8))
def test_it_grows_like_the_tree(batches: list[int]) -> None:
    edge, size = RightEdge(), 0
    assert edge.root() == EMPTY_ROOT
    for count in batches:
        edge.extend(LEAVES[size : size + count])
        size += count
        assert edge.size == size
        assert edge.root() == root(LEAVES[:size])
        for index in {size - count, size - 1, size - count // 2 - 1}:
            assert edge.proof(index) == path(index, LEAVES[:size])


@given(st.integers(0, 600))
def test_roots_of_equal_subtrees_are_joined(count: int) -> None:
    assert root_of(LEAVES[:count]) == root(LEAVES[:count])


def test_it_returns_every_node_once() -> None:
    edge = RightEdge()
    nodes: list[list[bytes]] = [[] for _ in range(7)]
    for at in range(0, 70, 7):
        for level, fresh in enumerate(edge.extend(LEAVES[at : at + 7])):
            nodes[level] += fresh
    for level in range(7):
        width = 1 << level
        assert nodes[level] == [root(LEAVES[at : at + width]) for at in range(0, 70 - width + 1, width)]


def test_it_keeps_little() -> None:
    """What an append needs is of the size of the last batch, however large the tree is."""
    edge = RightEdge()
    edge.extend(LEAVES)
    edge.extend(LEAVES[:1])
    assert sum(len(nodes) for nodes in edge._nodes) < 20

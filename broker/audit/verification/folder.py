"""Reads the folders of logs, and changes nothing in them."""

from contextlib import suppress
from pathlib import Path

from broker.audit.journal import FOLDER
from broker.audit.publication import CHECKPOINT
from broker.audit.tlog.hashing import HASH_SIZE
from broker.audit.tlog.tiles import WIDTH, bundle_path, decode_bundle, partial_folder, split_hashes, tile_path


class LogFolder:
    """The folder of a log."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def names(self, folder: str) -> list[str]:
        """See `Files`."""
        with suppress(FileNotFoundError, NotADirectoryError):
            return sorted(entry.name for entry in (self.path / folder).iterdir())
        return []

    def read(self, path: str) -> bytes | None:
        """See `Files`."""
        with suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return (self.path / path).read_bytes()
        return None

    def hashes(self, level: int, index: int, width: int) -> list[bytes] | None:
        """The first hashes of a tile, from the partial one of this width or from a wider one; None if it is missing."""
        tile = self._at_least(tile_path(level, index), width)
        return split_hashes(tile[: width * HASH_SIZE]) if tile is not None else None

    def entries(self, index: int, width: int) -> list[bytes] | None:
        """The first entries of a bundle; None if it is missing. Raises `ValueError` if it is damaged."""
        bundle = self._at_least(bundle_path(index), width)
        return decode_bundle(bundle)[:width] if bundle is not None else None

    def _at_least(self, whole: str, width: int) -> bytes | None:
        """A tile of at least this width: not every width is published, and those of whole tiles are deleted."""
        partial = partial_folder(whole)
        wide = sorted(int(name) for name in self.names(partial) if name.isdecimal() and int(name) >= width)
        found = [f"{partial}/{each}" for each in wide]
        paths = [*found[:1], whole] if wide[:1] == [width] else [whole, *found[:1]]
        return next((content for path in paths if (content := self.read(path)) is not None), None)

    def leaves(self, size: int) -> list[bytes]:
        """The hashes of the first entries, as far as tiles have them."""
        leaves: list[bytes] = []
        for index in range(-(-size // WIDTH)):
            hashes = self.hashes(0, index, min(WIDTH, size - index * WIDTH))
            if not hashes:
                break
            leaves += hashes
        return leaves


def find_logs(path: Path) -> list[LogFolder]:
    """The logs in a folder: itself, or its folders that are logs."""
    if _is_log(path):
        return [LogFolder(path)]
    if not path.is_dir():
        return []
    return [LogFolder(each) for each in sorted(path.iterdir(), key=_slot) if _is_log(each)]


def _is_log(path: Path) -> bool:
    return (path / CHECKPOINT).is_file() or (path / FOLDER).is_dir()


def _slot(path: Path) -> tuple[int, str]:
    """worker-10 comes after worker-9."""
    return len(path.name), path.name

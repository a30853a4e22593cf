"""The two versions to compare as folders: a folder is used as it is, a commit is checked out for the time being."""

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path


class VersionError(Exception):
    """What was given is neither a commit nor a checkout."""


@dataclass(frozen=True, slots=True)
class Checkout:
    """One version, ready to run."""

    version: str
    """As given: the name of a commit, or a path."""
    folder: Path
    commit: str
    """Abbreviated; ends in "-dirty" if the folder has changes, and is empty if the folder is in no repository."""


@contextmanager
def open_checkouts(versions: Sequence[str], repository: Path) -> Iterator[list[Checkout]]:
    """Yields each version's checkout. Commits are of the repository that the given folder is in.

    For each commit a git worktree is made in a temporary folder, and removed at the end in any case. Raises
    `VersionError` before anything is made.
    """
    commits = [None if Path(version).is_dir() else _commit(version, repository) for version in versions]
    with ExitStack() as stack:
        checkouts = []
        for version, commit in zip(versions, commits, strict=True):
            folder = Path(version).resolve()
            if commit is not None:
                folder = _check_out(commit, repository, stack)
            if not (folder / "benchmarks" / "__init__.py").is_file():
                msg = f"{version} has no benchmarks"
                raise VersionError(msg)
            checkouts.append(Checkout(version, folder, _described(folder)))
        yield checkouts


def _commit(version: str, repository: Path) -> str:
    """The full name of a commit."""
    found = _git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{version}^{{commit}}")
    if found is None:
        msg = f"{version} is neither a folder nor a commit of the repository in {repository}"
        raise VersionError(msg)
    return found


def _check_out(commit: str, repository: Path, stack: ExitStack) -> Path:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="broker-compare-"))) / "checkout"
    # Registered first: an interrupt may come after git has made the worktree, and before it returns.
    stack.callback(_git, repository, "worktree", "remove", "--force", str(folder))
    if _git(repository, "worktree", "add", "--quiet", "--detach", str(folder), commit) is None:
        msg = f"git cannot check out {commit}"
        raise VersionError(msg)
    return folder


def _described(folder: Path) -> str:
    return _git(folder, "describe", "--always", "--dirty", "--exclude=*") or ""


def _git(folder: Path, *arguments: str) -> str | None:
    """What git prints, without white space at the ends. None if it fails."""
    command = ["git", "-C", str(folder), *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    return ended.stdout.strip() if ended.returncode == 0 else None

"""What the tests of this folder generate and build with: programs of .venv, which `make test` has set up.

The packages of package-lock.json are in `.venv/node`.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
BIN = Path(sys.prefix) / "bin"
NODE = Path(sys.prefix) / "node"
MODULES = NODE / "node_modules"
_PATIENCE = 120.0  # s; each command takes one or two


def node_folder(folder: Path) -> Path:
    """Makes a folder in which programs for Node find their packages, as after `npm install`."""
    lock = "package-lock.json"
    installed = (NODE / lock).read_bytes() if (NODE / lock).exists() else b""
    assert installed == (HERE / lock).read_bytes(), "the packages for Node are missing or old: run `make node`"
    (folder / "node_modules").symlink_to(MODULES)
    return folder


def contract_copy(folder: Path) -> list[str]:
    """Copies proto/ into a folder, as somebody would who has nothing else of this repository. Returns its files."""
    copy = folder / "proto"
    shutil.copytree(ROOT / "proto", copy)
    return sorted(path.relative_to(copy).as_posix() for path in copy.rglob("*.proto"))


def run(*command: str, cwd: Path, **environment: str) -> str:
    """What a command prints; fails with all its output if its exit code is not 0."""
    path = f"{MODULES / '.bin'}:{BIN}:{os.environ['PATH']}"
    ended = subprocess.run(  # noqa: S603 - the tests' own commands
        command, cwd=cwd, env={**os.environ, "PATH": path, **environment}, capture_output=True, text=True,
        timeout=_PATIENCE, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, f"{command}:\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout

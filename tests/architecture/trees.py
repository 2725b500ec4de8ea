"""The work tree as the architecture tests see it: its members, its Python files, and a copy to break."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
MEMBERS: Final = (
    "contracts",
    "services/chassis",
    "services/payments",
    "services/provider-health",
    "services/tasks",
    "services/audit",
    "services/gateway",
    "deploy/local",
    "deploy/simulator",
)
FOLDERS: Final = ("contracts", "services", "deploy", "tests", ".ci")
_UNWRITTEN: Final = {"__pycache__", "build", "dist", ".venv", ".hypothesis"}


def files(*folders: str, suffix: str = "") -> Iterator[Path]:
    """Every file under the folders of the work tree that somebody wrote, in a fixed order."""
    for folder in folders or FOLDERS:
        for path in sorted((ROOT / folder).rglob(f"*{suffix}")):
            parts = path.relative_to(ROOT).parts
            if path.is_file() and not _UNWRITTEN & set(parts) and not any(part.endswith(".egg-info") for part in parts):
                yield path


def relative(path: Path) -> str:
    """The path as a reader of the repository knows it."""
    return path.relative_to(ROOT).as_posix()


def copy_sources(target: Path) -> list[Path]:
    """Copy what import-linter reads to another place. Returns the folders to import from."""
    shutil.copy(ROOT / ".importlinter", target)
    (target / "tests/architecture").mkdir(parents=True)
    shutil.copy(ROOT / "tests/architecture/import_rules.py", target / "tests/architecture")
    for member in MEMBERS:
        ignored = shutil.ignore_patterns(*_UNWRITTEN)
        shutil.copytree(ROOT / member / "src", target / member / "src", ignore=ignored)
    return [target / member / "src" for member in MEMBERS]

"""What git knows about the golden files: the schemas that were committed before the work tree was changed."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Final

from contracts.golden import folder_of
from contracts.registry import EventType
from contracts.schemas import Schema

TRUNK: Final = "origin/main"
_GIT_TIMEOUT_SECONDS: Final = 20


def published_commits(directory: Path) -> list[str]:
    """The commits whose golden files count as published: HEAD, and where this branch left the trunk.

    Empty where there is no git, no history, or the directory is not in it (a source archive).
    """
    head = _git(directory, "rev-parse", "--verify", "--quiet", "HEAD")
    fork = _git(directory, "merge-base", "HEAD", TRUNK)
    return list(dict.fromkeys(commit.strip() for commit in (head, fork) if commit))


def committed_schemas(directory: Path, commit: str, declared: EventType) -> list[tuple[str, Schema]]:
    """The schemas of one type and version that a commit holds, with where they come from."""
    listed = _git(directory, "ls-tree", "-r", "--name-only", commit, "--", folder_of(declared)) or ""
    paths = [path for path in listed.splitlines() if path.endswith("schema.json") or "/earlier/" in path]
    texts = [(path, _git(directory, "show", f"{commit}:./{path}")) for path in paths]
    return [(f"{path} of commit {commit[:10]}", json.loads(text)) for path, text in texts if text]


def _git(directory: Path, *arguments: str) -> str | None:
    """The output of one git command; None when it fails or git is missing."""
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=directory,
            capture_output=True,
            text=True,
            check=True,
            timeout=_GIT_TIMEOUT_SECONDS,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout

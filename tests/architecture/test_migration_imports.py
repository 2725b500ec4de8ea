"""A published migration makes what it always made: it imports nothing that changes with the application."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.trees import files, relative

MIGRATIONS = [path for path in files("services", suffix=".py") if path.parent.name == "versions"]
ALLOWED = {"__future__", "alembic"}


def imported(source: str) -> Iterator[str]:
    """The packages that a source imports, anywhere in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "").split(".")[0]


@pytest.mark.parametrize("migration", MIGRATIONS, ids=relative)
def test_a_migration_imports_alembic_alone(migration: Path) -> None:
    others = set(imported(migration.read_text())) - ALLOWED
    assert not others, f"write it out as SQL: {relative(migration)} must not depend on {', '.join(sorted(others))}"


def test_imports_are_found_wherever_they_stand() -> None:
    source = "from alembic import op\ndef upgrade():\n    from payments.tables import metadata\n    from . import x\n"
    assert set(imported(source)) == {"alembic", "payments", "."}
    assert {path.parents[2].name for path in MIGRATIONS} >= {"payments", "audit"}

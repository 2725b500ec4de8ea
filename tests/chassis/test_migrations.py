"""The migrations runner: one schema, all or nothing, and no two at once."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest
from chassis import migrations
from chassis.provisioning import Roles, provision
from sqlalchemy import Column, Integer, MetaData, Table, Text
from sqlalchemy.exc import DBAPIError

from tests.support.infrastructure import TemporaryDatabase

PACKAGE = "specimen_migrated"
REVISION = """
from alembic import op

revision, down_revision, branch_labels, depends_on = {name!r}, {before!r}, None, None

def upgrade():
    for statement in {statements!r}:
        op.execute(statement)
"""
Write = Callable[..., None]


@pytest.fixture
def revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Adds a revision to a package that only this test can import: `revision("0002", "0001", "CREATE ...")`."""
    versions = tmp_path / PACKAGE / "migrations" / "versions"
    versions.mkdir(parents=True)
    (tmp_path / PACKAGE / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)

    def write(name: str, before: str | None, *statements: str) -> None:
        (versions / f"{name}.py").write_text(REVISION.format(name=name, before=before, statements=statements))

    yield write
    sys.modules.pop(PACKAGE, None)


@pytest.fixture
async def place(fresh_database: TemporaryDatabase) -> TemporaryDatabase:
    password = fresh_database.password
    await provision(fresh_database.admin_url, Roles("specimen", password, password))
    return fresh_database


async def upgrade(place: TemporaryDatabase) -> None:
    await migrations.upgrade(place.owner_url_for("specimen"), package=PACKAGE, schema="specimen")


async def asked(place: TemporaryDatabase, question: str) -> object:
    connection = await asyncpg.connect(place.admin_url, timeout=10)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close(timeout=10)


async def test_revisions_run_in_order_and_once(place: TemporaryDatabase, revision: Write) -> None:
    revision("0001", None, "CREATE TABLE specimen.notes (id int PRIMARY KEY)")
    await upgrade(place)
    revision("0002", "0001", "ALTER TABLE specimen.notes ADD COLUMN name text", "INSERT INTO specimen.notes VALUES (1)")

    await upgrade(place)
    await upgrade(place)

    assert await asked(place, "SELECT count(*) FROM specimen.notes") == 1
    assert await asked(place, "SELECT version_num FROM specimen.alembic_version") == "0002"


async def test_replicas_that_start_together_wait_for_each_other(place: TemporaryDatabase, revision: Write) -> None:
    revision("0001", None, "CREATE TABLE specimen.notes (id int PRIMARY KEY)", "INSERT INTO specimen.notes VALUES (1)")

    await asyncio.gather(*(upgrade(place) for _ in range(4)))

    assert await asked(place, "SELECT count(*) FROM specimen.notes") == 1


async def test_a_revision_that_fails_leaves_everything_as_it_was(place: TemporaryDatabase, revision: Write) -> None:
    revision("0001", None, "CREATE TABLE specimen.notes (id int PRIMARY KEY)")
    await upgrade(place)
    revision("0002", "0001", "DROP TABLE specimen.notes", "SELECT 1 / 0")

    with pytest.raises(DBAPIError, match="division by zero"):
        await upgrade(place)

    assert await asked(place, "SELECT to_regclass('specimen.notes') IS NOT NULL")
    assert await asked(place, "SELECT version_num FROM specimen.alembic_version") == "0001"


async def test_a_revision_reaches_no_other_schema(place: TemporaryDatabase, revision: Write) -> None:
    await provision(place.admin_url, Roles("neighbour", place.password, place.password))
    revision("0001", None, "CREATE TABLE neighbour.notes (id int)")

    with pytest.raises(DBAPIError, match="permission denied"):
        await upgrade(place)


async def test_drift_is_found_in_this_schema_alone(place: TemporaryDatabase, revision: Write) -> None:
    await provision(place.admin_url, Roles("neighbour", place.password, place.password))
    await asked(place, "CREATE TABLE neighbour.unknown (id int)")
    revision("0001", None, "CREATE TABLE specimen.notes (id int PRIMARY KEY)")
    await upgrade(place)
    metadata = MetaData(schema="specimen")
    notes = Table("notes", metadata, Column("id", Integer, primary_key=True, autoincrement=False))
    owner_url = place.owner_url_for("specimen")

    assert await migrations.drift(owner_url, package=PACKAGE, schema="specimen", metadata=metadata) == []
    notes.append_column(Column("name", Text))
    (found,) = await migrations.drift(owner_url, package=PACKAGE, schema="specimen", metadata=metadata)
    assert found[0] == "add_column"

"""Roles and schemas: a service reaches its own tables, as far as its migrations granted, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from chassis.provisioning import Roles, owner_of, provision

from tests.support.infrastructure import Databases, TemporaryDatabase

SERVICES = ("specimen", "neighbour")


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        yield connection
    finally:
        await connection.close(timeout=10)


@pytest.fixture
async def two(fresh_database: TemporaryDatabase) -> TemporaryDatabase:
    """Two services in one database, each with one table that its migration granted."""
    password = fresh_database.password
    for schema in SERVICES:
        await provision(fresh_database.admin_url, Roles(schema, password, password))
        async with connected(fresh_database.owner_url_for(schema)) as owner:
            await owner.execute(f"CREATE TABLE {schema}.notes (name text)")
            await owner.execute(f"CREATE TABLE {schema}.hidden (name text)")
            await owner.execute(f"GRANT SELECT, INSERT ON {schema}.notes TO {schema}")
    return fresh_database


async def test_a_service_does_what_it_was_granted(two: TemporaryDatabase) -> None:
    async with connected(two.url_for("specimen")) as service:
        await service.execute("INSERT INTO notes VALUES ('found by the search path')")
        assert await service.fetchval("SELECT count(*) FROM specimen.notes") == 1


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM neighbour.notes",
        "INSERT INTO neighbour.notes VALUES ('x')",
        "SELECT * FROM specimen.hidden",
        "DELETE FROM specimen.notes",
        "TRUNCATE specimen.notes",
        "ALTER TABLE specimen.notes ADD COLUMN more text",
        "DROP TABLE specimen.notes",
        "CREATE TABLE specimen.mine (id int)",
        "CREATE TABLE public.mine (id int)",
        "CREATE SCHEMA mine",
        "CREATE FUNCTION specimen.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "SET ROLE specimen_owner",
        "SET ROLE neighbour",
        "SET ROLE postgres",
        "CREATE ROLE intruder",
        "CREATE DATABASE mine",
        "ALTER ROLE specimen SUPERUSER",
        "SELECT pg_read_file('/etc/passwd')",
        "COPY specimen.notes TO PROGRAM 'cat'",
        "ALTER TABLE specimen.notes DISABLE TRIGGER ALL",
        "SET session_replication_role = replica",
    ],
)
async def test_a_service_does_nothing_else(two: TemporaryDatabase, statement: str) -> None:
    async with connected(two.url_for("specimen")) as service:
        with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.InvalidSchemaNameError)):
            await service.execute(statement)


async def test_a_service_cannot_hand_on_what_it_was_granted(two: TemporaryDatabase) -> None:
    """PostgreSQL only warns: nothing was granted."""
    async with connected(two.url_for("specimen")) as service:
        await service.execute("GRANT SELECT ON specimen.notes TO neighbour")
        assert not await service.fetchval("SELECT has_table_privilege('neighbour', 'specimen.notes', 'SELECT')")


@pytest.mark.parametrize(
    "statement", ["SELECT * FROM neighbour.notes", "CREATE TABLE neighbour.mine (id int)", "SET ROLE neighbour_owner"]
)
async def test_an_owner_reaches_no_other_schema(two: TemporaryDatabase, statement: str) -> None:
    async with connected(two.owner_url_for("specimen")) as owner:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await owner.execute(statement)


async def test_no_role_is_more_than_a_role(two: TemporaryDatabase) -> None:
    async with connected(two.admin_url) as admin:
        rows = await admin.fetch(
            "SELECT rolname, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls, rolinherit"
            " FROM pg_roles WHERE rolname LIKE 'specimen%'"
        )

    assert {row["rolname"] for row in rows} == {"specimen", "specimen_owner"}
    assert not any(list(row.values())[1:].count(True) for row in rows)


async def test_nobody_else_may_connect(two: TemporaryDatabase) -> None:
    """A service of another database, known to the same server, is not let into this one."""
    async with connected(two.admin_url) as admin:
        await admin.execute("DROP ROLE IF EXISTS stranger")
        await admin.execute("CREATE ROLE stranger LOGIN PASSWORD 'stranger'")
        try:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await asyncpg.connect(two.admin_url, user="stranger", password="stranger", timeout=10)
        finally:
            await admin.execute("DROP ROLE stranger")


async def test_running_it_again_repairs_and_harms_nothing(two: TemporaryDatabase) -> None:
    async with connected(two.url_for("specimen")) as service:
        await service.execute("INSERT INTO notes VALUES ('kept')")
    async with connected(two.admin_url) as admin:
        await admin.execute("ALTER ROLE specimen CREATEDB")
        await admin.execute("GRANT CREATE ON SCHEMA specimen TO PUBLIC")

    roles = Roles("specimen", two.password, two.password)
    await asyncio.gather(*(provision(two.admin_url, roles) for _ in range(4)))

    async with connected(two.url_for("specimen")) as service:
        assert await service.fetchval("SELECT name FROM notes") == "kept"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await service.execute("CREATE TABLE specimen.mine (id int)")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await service.execute("CREATE DATABASE mine")


async def test_databases_of_one_server_may_be_provisioned_at_once(databases: Databases) -> None:
    """The roles are the server's: each of them finds the other changing them."""
    several = [await databases.create() for _ in range(4)]
    roles = Roles("specimen", databases.password, databases.password)

    await asyncio.gather(*(provision(each.admin_url, roles) for each in several for _ in range(3)))

    for each in several:
        async with connected(each.url_for("specimen")) as service:
            assert await service.fetchval("SELECT has_schema_privilege('specimen', 'USAGE')")
        await databases.drop(each)


@pytest.mark.parametrize("name", ["", "Payments", "pay ments", 'pay"ments', "1st", "a" * 50, "x;--", "specimen\n"])
async def test_a_name_that_needs_quoting_is_refused(fresh_database: TemporaryDatabase, name: str) -> None:
    with pytest.raises(ValueError, match="is not a schema name"):
        await provision(fresh_database.admin_url, Roles(name, "x", "x"))


async def test_a_password_may_hold_anything(fresh_database: TemporaryDatabase) -> None:
    password = 'it\'s \\ % $1 "quoted" é'
    await provision(fresh_database.admin_url, Roles("odd_password", password, password))

    for role in ("odd_password", owner_of("odd_password")):
        connection = await asyncpg.connect(fresh_database.admin_url, user=role, password=password, timeout=10)
        await connection.close(timeout=10)

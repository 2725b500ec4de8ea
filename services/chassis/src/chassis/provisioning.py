"""Roles and schemas: what a database administrator does once for each service.

Each service has two roles. `<schema>_owner` owns the schema and runs its migrations; `<schema>` is what the service
runs as, and may do just what the migrations granted it, table by table. Neither is a superuser, neither reaches
another service's schema. Running this again repairs what differs and changes nothing else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, LiteralString

import asyncpg

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,40}\Z")
_TRIES: Final = 20
# "tuple concurrently updated", and two that create the same role.
_RACES: Final = (asyncpg.InternalServerError, asyncpg.UniqueViolationError, asyncpg.DuplicateObjectError)


@dataclass(frozen=True, slots=True)
class Roles:
    """A service's schema with the passwords of its two roles."""

    schema: str
    owner_password: str
    password: str


def owner_of(schema: str) -> str:
    """The name of the role that owns `schema`."""
    return f"{schema}_owner"


async def provision(admin_url: str, roles: Roles) -> None:
    """Create or repair the roles and the schema in the database of `admin_url`. Raises asyncpg.PostgresError."""
    if not _NAME.match(roles.schema):
        raise ValueError(f"{roles.schema!r} is not a schema name")
    connection = await asyncpg.connect(admin_url, timeout=10)
    try:
        for again in reversed(range(_TRIES)):
            try:
                await _provision(connection, roles)
                return
            except _RACES:
                # Roles belong to the whole cluster, an advisory lock to its database: another database was faster.
                if not again:
                    raise
    finally:
        await connection.close(timeout=5)


async def _provision(connection: asyncpg.Connection, roles: Roles) -> None:
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(hashtext('backbone.provision'))")
        await _role(connection, owner_of(roles.schema), roles.owner_password)
        await _role(connection, roles.schema, roles.password)
        await _schema(connection, roles.schema)


async def _role(connection: asyncpg.Connection, name: str, password: str) -> None:
    exists = await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", name)
    verb = "ALTER" if exists else "CREATE"
    statement = await connection.fetchval(
        "SELECT format($1, $2::text, $3::text)",
        f"{verb} ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS NOINHERIT PASSWORD %L",
        name,
        password,
    )
    await connection.execute(statement)


async def _schema(connection: asyncpg.Connection, schema: str) -> None:
    owner = owner_of(schema)
    statements: tuple[LiteralString | str, ...] = (
        # Being a member lets an administrator who is no superuser hand the schema over.
        f"GRANT {owner} TO CURRENT_USER",
        "REVOKE ALL ON SCHEMA public FROM PUBLIC",
        f"CREATE SCHEMA IF NOT EXISTS {schema} AUTHORIZATION {owner}",
        f"ALTER SCHEMA {schema} OWNER TO {owner}",
        f"REVOKE ALL ON SCHEMA {schema} FROM PUBLIC",
        f"GRANT USAGE ON SCHEMA {schema} TO {schema}",
        f"ALTER ROLE {schema} SET search_path = {schema}",
        f"ALTER ROLE {owner} SET search_path = {schema}",
    )
    for statement in statements:
        await connection.execute(statement)
    database = await connection.fetchval("SELECT quote_ident(current_database())")
    await connection.execute(f"REVOKE ALL ON DATABASE {database} FROM PUBLIC")
    await connection.execute(f"GRANT CONNECT ON DATABASE {database} TO {owner}, {schema}")
    await connection.execute(f"GRANT TEMPORARY ON DATABASE {database} TO {schema}")

"""Which migrations a schema has had, so that an `up` with nothing to migrate need not start a process to find out.

A comment on the schema holds a hash of the migration files that were last run to their end. It lies in the database,
so a restored or replaced database tells the truth about itself.
"""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

import asyncpg

from backbone.faults import LocalError


def wanted(package: str) -> str:
    """A hash of the migration files of `package`."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise LocalError(f"{package} is not installed: run `make sync`")
    directory = Path(spec.origin).parent / "migrations"
    digest = hashlib.sha256()
    for file in sorted(path for path in directory.rglob("*") if path.suffix in {".py", ".sql"}):
        digest.update(str(file.relative_to(directory)).encode() + b"\0" + file.read_bytes() + b"\0")
    return f"migrations {digest.hexdigest()}"


async def had(admin_url: str, schema: str) -> str | None:
    """What the comment on `schema` says; None where there is no such schema or no comment."""
    connection = await asyncpg.connect(admin_url, timeout=10)
    try:
        said: str | None = await connection.fetchval(
            "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = $1", schema
        )
    finally:
        await connection.close(timeout=5)
    return said


async def note(admin_url: str, schema: str, said: str) -> None:
    """Write the comment on `schema`."""
    connection = await asyncpg.connect(admin_url, timeout=10)
    try:
        statement = await connection.fetchval(
            "SELECT format('COMMENT ON SCHEMA %I IS %L', $1::text, $2::text)", schema, said
        )
        await connection.execute(statement)
    finally:
        await connection.close(timeout=5)

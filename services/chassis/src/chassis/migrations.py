"""The migrations runner: Alembic, one schema and one version table for each service.

An advisory lock makes a second runner wait for the first, so that every replica may run it before it starts. The
role is the schema's owner, never the one the service runs as.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, text

from chassis.database import create_engine


def _migrate(connection: Connection, package: str, schema: str, metadata: MetaData | None) -> list[Any]:
    """Upgrade to the newest revision, or with `metadata` compare and return the differences."""
    config = Config()
    config.set_main_option("script_location", str(files(package) / "migrations"))
    config.set_main_option("path_separator", "newline")
    script = ScriptDirectory.from_config(config)
    differences: list[Any] = []
    # A partition has the columns of its table and no declaration of its own.
    partitions = set(connection.scalars(text("SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r'")))

    def upgrade(revision: Any, _: MigrationContext) -> list[Any]:
        return list(script._upgrade_revs("head", revision))

    def compare(_: Any, context: MigrationContext) -> list[Any]:
        if metadata is not None:
            differences.extend(compare_metadata(context, metadata))
        return []

    if metadata is not None:
        _see_every_schema_by_name(connection)
    with EnvironmentContext(config, script) as environment:
        environment.configure(
            connection=connection,
            target_metadata=metadata,
            version_table_schema=schema,
            include_schemas=True,
            include_name=lambda name, kind, _: name == schema if kind == "schema" else name not in partitions,
            compare_type=True,
            fn=upgrade if metadata is None else compare,
        )
        with environment.begin_transaction():
            environment.run_migrations()
    return differences


def _see_every_schema_by_name(connection: Connection) -> None:
    """The owner's search path holds its schema, whose tables would otherwise be reflected as being in none."""
    connection.execute(text("SET LOCAL search_path = pg_catalog"))
    connection.dialect.default_schema_name = "pg_catalog"


async def _run(url: str, package: str, schema: str, metadata: MetaData | None) -> list[Any]:
    # Were the schema the default one, Alembic would compare its tables under no name and find none of them.
    engine = create_engine(
        url, application=f"{package} migrations", command_timeout_seconds=600, search_path="pg_catalog"
    )
    try:
        async with engine.begin() as connection:
            await connection.execute(
                text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"{schema}.migrations"}
            )
            return await connection.run_sync(_migrate, package, schema, metadata)
    finally:
        await engine.dispose()


async def upgrade(owner_url: str, *, package: str, schema: str) -> None:
    """Bring `schema` to the newest revision under `package`/migrations, or leave it as it was and raise."""
    await _run(owner_url, package, schema, None)


async def drift(owner_url: str, *, package: str, schema: str, metadata: MetaData) -> list[Any]:
    """What the tables in PostgreSQL and `metadata` disagree about; empty when migrations are complete."""
    return await _run(owner_url, package, schema, metadata)

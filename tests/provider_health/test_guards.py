"""What PostgreSQL holds by itself, even against the service's own role: an incident's steps, and what is past."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import asyncpg
import pytest
from chassis import migrations
from provider_health.tables import metadata

from tests.support.infrastructure import TemporaryDatabase

ID: Final = "0198c2f4-7d1e-7c35-9a51-6f0e4b8d2a17"
REFUSED: Final = (asyncpg.RestrictViolationError, asyncpg.InsufficientPrivilegeError, asyncpg.CheckViolationError)


@pytest.fixture
async def database(database_for: Callable[..., Awaitable[TemporaryDatabase]]) -> TemporaryDatabase:
    return await database_for("provider-health")


@pytest.fixture
async def role(database: TemporaryDatabase) -> AsyncIterator[asyncpg.Connection]:
    """The service's own role, with an incident, a note and a pause before it."""
    connection = await asyncpg.connect(database.url_for("provider-health"))
    await connection.execute(
        f"""
        INSERT INTO provider_health.provider_incidents (id, title, provider, cause, dedupe_key, gathers, state,
            severity, replay_ids, pause_ids, detected_at, relapses, noticed_at, version)
        VALUES ('{ID}', 'GoCardless does not answer', 'gocardless', 'api', 'gocardless:api', true, 'detected',
            2, '{{}}', '{{}}', now(), 0, '{{}}', 1);
        INSERT INTO provider_health.incident_timeline (incident_id, at, recorded_at, kind, words, actor_kind,
            actor_id, actor_name, notice)
        VALUES ('{ID}', now(), now(), 'opened', 'it fails', 'system', 'provider-health', 'Provider health', true);
        INSERT INTO provider_health.automation_pause_changes (epoch, pause_id, change, state, reason, expires_at,
            actor_kind, actor_id, actor_name, at)
        VALUES (1, '{ID}', 'paused', 'active', 'it fails', now(), 'staff', 'operations', 'Operations', now())
        """
    )
    yield connection
    await connection.close()


async def moved(role: asyncpg.Connection, state: str, version: int, more: str = "") -> None:
    await role.execute(f"UPDATE provider_health.provider_incidents SET state = '{state}', version = {version} {more}")


async def test_an_incident_goes_one_step_and_one_version_at_a_time(role: asyncpg.Connection) -> None:
    for state, version in (("mitigated", 2), ("acknowledged", 1), ("acknowledged", 3), ("forgotten", 2)):
        with pytest.raises(REFUSED):
            await moved(role, state, version)
    for version, state in enumerate(("acknowledged", "mitigated", "resolved"), start=2):
        await moved(role, state, version)
    with pytest.raises(REFUSED):
        await moved(role, "mitigated", 5)


async def test_a_severe_one_is_not_reviewed_without_its_task(role: asyncpg.Connection) -> None:
    for version, state in enumerate(("acknowledged", "mitigated", "resolved"), start=2):
        await moved(role, state, version)
    reviewed = ", prevention_task_id = 'task_1', decision = 'nothing was lost'"
    for more in ("", reviewed):
        with pytest.raises(asyncpg.RestrictViolationError, match="needs a prevention task"):
            await moved(role, "reviewed", 5, more)
    await role.execute(f"INSERT INTO provider_health.prevention_tasks VALUES ('task_1', '{ID}', NULL, '2026-12-10', 1)")
    with pytest.raises(asyncpg.RestrictViolationError, match="with owner and due date"):
        await moved(role, "reviewed", 5, reviewed)
    await role.execute("UPDATE provider_health.prevention_tasks SET owner_name = 'Operations'")
    await moved(role, "reviewed", 5, reviewed)
    with pytest.raises(REFUSED):
        await moved(role, "reviewed", 6, ", decision = 'something was lost'")


@pytest.mark.parametrize("table", ["incident_timeline", "automation_pause_changes"])
@pytest.mark.parametrize("change", ["UPDATE {} SET actor_name = 'Nobody'", "DELETE FROM {}", "TRUNCATE {}"])
async def test_what_is_past_is_neither_changed_nor_removed(
    role: asyncpg.Connection, database: TemporaryDatabase, table: str, change: str
) -> None:
    statement = change.format(f"provider_health.{table}")
    with pytest.raises(REFUSED):
        await role.execute(statement)
    owner = await asyncpg.connect(database.owner_url_for("provider-health"))
    with pytest.raises(asyncpg.RestrictViolationError):
        await owner.execute(statement)
    await owner.close()


async def test_no_pause_outlasts_a_day(role: asyncpg.Connection) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await role.execute(
            f"""
            INSERT INTO provider_health.automation_pauses (id, scope, action, mode, state, reason, binds_staff,
                actor_kind, actor_id, actor_name, by_policy, epoch, set_at, anchored_at, expires_at, due_at, version)
            VALUES ('{ID}', '*/*/all', 'all', 'hold', 'active', 'for ever', false, 'staff', 'operations',
                'Operations', false, 2, now(), now(), now() + interval '25 hours', now(), 1)
            """
        )


async def test_migrations_and_tables_agree(database: TemporaryDatabase) -> None:
    owner_url = database.owner_url_for("provider-health")
    found = await migrations.drift(owner_url, package="provider_health", schema="provider_health", metadata=metadata)
    assert found == []

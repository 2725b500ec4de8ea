"""The outbox table: what it takes and refuses, what is measured of it, and that churn does not make it grow."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import asyncpg
import pytest
from backbone.postgres import Cluster
from chassis import outbox
from chassis.outbox import OUTBOX_STORAGE
from chassis.sql import write_together
from chassis.transaction import EVENT_MAX_BYTES

from tests.chassis.relaying import SCHEMA, Ground, a_ground, an_event, running
from tests.support.eventually import eventually
from tests.support.infrastructure import Databases, TemporaryDatabase

WAVES, ROWS_PER_WAVE = 10, 20_000
ROWS_PER_TRANSACTION = 500
ROW_BYTES = 450


@pytest.fixture
async def ground(fresh_database: TemporaryDatabase, kafka: str, topic_prefix: str) -> AsyncIterator[Ground]:
    async with a_ground(fresh_database, kafka, topic_prefix) as made:
        yield made


async def test_events_of_one_transaction_keep_their_order(ground: Ground) -> None:
    rows = [an_event(f"pay_{number % 7}") for number in range(500)]
    await ground.write(rows)
    await ground.write([])

    assert await ground.waiting() == [row.event_id for row in rows]


async def test_events_that_were_written_with_all_else_are_not_written_again(ground: Ground) -> None:
    rows = [an_event(f"pay_{number}") for number in range(3)]
    async with ground.database.engine.begin() as connection:
        await write_together(connection, *outbox.tell(SCHEMA, rows[:2]))
        await write_together(connection, *outbox.tell(SCHEMA, rows[:2]))
        await outbox.insert(connection, SCHEMA, rows)

    assert await ground.waiting() == [row.event_id for row in rows]


async def test_an_event_that_no_topic_takes_is_refused_with_its_transaction(ground: Ground) -> None:
    await ground.write([an_event("pay_1", bytes(EVENT_MAX_BYTES))])
    with pytest.raises(asyncpg.CheckViolationError, match="outbox_value_size"):
        await ground.write([an_event("pay_1"), an_event("pay_2", bytes(EVENT_MAX_BYTES + 1))])

    assert len(await ground.waiting()) == 1


async def test_what_waits_is_measured(ground: Ground) -> None:
    empty = await ground.state()
    assert (empty.depth, empty.oldest_age_seconds, empty.parked_keys, empty.parked_rows) == (0, 0, 0, 0)

    await ground.write([an_event("pay_1"), an_event("pay_2"), an_event("pay_2")])
    await ground.query(f"UPDATE {SCHEMA}.outbox SET created_at = now() - interval '1 minute' RETURNING id")
    await ground.query(
        f"""INSERT INTO {SCHEMA}.outbox_parked_keys (topic, key, event_id, reason)
            SELECT topic, key, event_id, 'too large' FROM {SCHEMA}.outbox WHERE key = 'pay_2' LIMIT 1 RETURNING key"""
    )

    state = await ground.state()
    assert (state.depth, state.parked_keys, state.parked_rows) == (1, 1, 2)
    assert 60 <= state.oldest_age_seconds < 120
    assert state.table_bytes > empty.table_bytes


async def test_the_service_itself_cannot_rewrite_what_it_has_told(ground: Ground) -> None:
    await ground.write([an_event("pay_1")])
    connection = await asyncpg.connect(ground.urls.url_for(SCHEMA), timeout=10)
    try:
        for statement in (f"UPDATE {SCHEMA}.outbox SET value = ''", f"TRUNCATE {SCHEMA}.outbox"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()


@pytest.mark.parametrize("service", ["payments", "provider-health", "tasks", "audit", "gateway"])
async def test_each_service_keeps_its_outbox_as_the_chassis_wants_it(service: str, databases: Databases) -> None:
    name = await databases.template_for((service,))
    schema = service.replace("-", "_")
    database = await databases.create(name)
    connection = await asyncpg.connect(database.admin_url, timeout=10)
    try:
        options = await connection.fetchval(
            """SELECT coalesce(main.reloptions, '{}') || ARRAY(
                   SELECT 'toast.' || option FROM unnest(toast.reloptions) AS option)
               FROM pg_class AS main JOIN pg_class AS toast ON toast.oid = main.reltoastrelid
               WHERE main.oid = $1::text::regclass""",
            f"{schema}.outbox",
        )
        storage = await connection.fetchval(
            "SELECT attstorage FROM pg_attribute WHERE attrelid = $1::text::regclass AND attname = 'value'",
            f"{schema}.outbox",
        )
        granted = await connection.fetch(
            """SELECT table_name::text, string_agg(privilege_type, ', ' ORDER BY privilege_type) AS privileges
               FROM information_schema.role_table_grants
               WHERE grantee = $1 AND table_name IN ('outbox', 'outbox_parked_keys') GROUP BY 1""",
            schema,
        )
    finally:
        await connection.close()
        await databases.drop(database)

    assert dict(option.split("=") for option in options) == {key: str(value) for key, value in OUTBOX_STORAGE.items()}
    assert storage == b"e"
    assert dict(granted) == dict.fromkeys(("outbox", "outbox_parked_keys"), "DELETE, INSERT, SELECT")


async def test_two_hundred_thousand_rows_pass_through_a_table_that_stays_small(
    private_postgres: Cluster, kafka: str, topic_prefix: str
) -> None:
    """Wave after wave passes, and autovacuum, which nobody calls here, clears up after each.

    The table may grow to what one wave needs: a tenth of what passes, and less where the relay keeps up.
    """
    databases = Databases(private_postgres.admin_url)
    async with a_ground(await databases.create(), kafka, topic_prefix) as ground:
        await ground.query("ALTER SYSTEM SET autovacuum_naptime = '1s'")
        await ground.query("SELECT pg_reload_conf()")
        sizes = []
        async with running(ground.relay()):
            for wave in range(1, WAVES + 1):
                await write_a_wave(ground)
                await eventually(partial(cleared, ground, wave * ROWS_PER_WAVE))
                sizes.append((await ground.state()).table_bytes)

    assert max(sizes) < ROWS_PER_WAVE * ROW_BYTES * 1.2, sizes


async def write_a_wave(ground: Ground) -> None:
    for _ in range(ROWS_PER_WAVE // ROWS_PER_TRANSACTION):
        await ground.write([an_event(f"pay_{number % 50}", b"." * 300) for number in range(ROWS_PER_TRANSACTION)])


async def cleared(ground: Ground, sent: int) -> bool:
    """Whether every row so far has been deleted and no more than the threshold of dead ones is left."""
    (row,) = await ground.query(
        f"SELECT n_tup_del, n_dead_tup FROM pg_stat_user_tables WHERE relid = '{SCHEMA}.outbox'::regclass"
    )
    return bool(row["n_tup_del"] == sent and row["n_dead_tup"] <= OUTBOX_STORAGE["autovacuum_vacuum_threshold"])

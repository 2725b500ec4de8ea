"""Nobody changes what is written, and a log whose guards are gone is not written to."""

from __future__ import annotations

import asyncpg
import pytest
from audit import guards
from audit.guards import GuardsMissingError
from audit.main import service
from audit.settings import AuditSettings
from audit.tables import GUARDED, PARTITION_RECORDS, metadata
from chassis import migrations
from chassis.consumer import Gap
from contracts.topics import PAYMENTS_EVENTS

from tests.audit.logs import Log, some_events, too_long_to_index
from tests.support.consuming import an_event
from tests.support.eventually import eventually
from tests.support.services import RunningService

PARTITION = "audit_log_000000"
REFUSED = (asyncpg.InsufficientPrivilegeError, asyncpg.RestrictViolationError)
DROPPED_AND_BACK = (
    (
        "DROP TRIGGER append_only ON audit.audit_log",
        "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit.audit_log"
        " FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();"
        "ALTER TABLE audit.audit_log ENABLE ALWAYS TRIGGER append_only",
        "audit.audit_log_000001 has no working trigger append_only",
    ),
    (
        f"DROP TRIGGER no_truncate ON audit.{PARTITION}",
        f"CREATE TRIGGER no_truncate BEFORE TRUNCATE ON audit.{PARTITION} EXECUTE FUNCTION audit.refuse_change();"
        f"ALTER TABLE audit.{PARTITION} ENABLE ALWAYS TRIGGER no_truncate",
        f"audit.{PARTITION} has no working trigger no_truncate",
    ),
    (
        "ALTER TABLE audit.audit_log DISABLE TRIGGER append_only",
        "ALTER TABLE audit.audit_log ENABLE ALWAYS TRIGGER append_only",
        "audit.audit_log has no working trigger append_only",
    ),
    (
        f"ALTER TABLE audit.{PARTITION} DISABLE TRIGGER append_only",
        f"ALTER TABLE audit.{PARTITION} ENABLE ALWAYS TRIGGER append_only",
        f"audit.{PARTITION} has no working trigger append_only",
    ),
    (
        "ALTER TABLE audit.event_ids ENABLE TRIGGER append_only",
        "ALTER TABLE audit.event_ids ENABLE ALWAYS TRIGGER append_only",
        "audit.event_ids has no working trigger append_only",
    ),
    (
        f"ALTER TABLE audit.audit_log DETACH PARTITION audit.{PARTITION}",
        f"ALTER TABLE audit.audit_log ATTACH PARTITION audit.{PARTITION} FOR VALUES FROM (0) TO ({PARTITION_RECORDS});"
        f"ALTER TABLE audit.{PARTITION} ENABLE ALWAYS TRIGGER append_only",
        f"audit.{PARTITION} is detached from the log",
    ),
    (
        f"ALTER TABLE audit.{PARTITION} RENAME TO somewhere_else",
        f"ALTER TABLE audit.somewhere_else RENAME TO {PARTITION}",
        f"audit.{PARTITION} is missing",
    ),
    (
        "GRANT UPDATE (sentence) ON audit.audit_log TO audit",
        "REVOKE UPDATE (sentence) ON audit.audit_log FROM audit",
        "audit.audit_log may be changed by this role: UPDATE",
    ),
    (
        "GRANT TRUNCATE ON audit.quarantine TO audit",
        "REVOKE TRUNCATE ON audit.quarantine FROM audit",
        "audit.quarantine may be changed by this role: TRUNCATE",
    ),
    (
        "ALTER FUNCTION audit.refuse_change() RENAME TO refused;"
        "CREATE FUNCTION audit.refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "DROP FUNCTION audit.refuse_change(); ALTER FUNCTION audit.refused() RENAME TO refuse_change",
        "audit.refuse_change does something else than it should",
    ),
)


async def a_row_everywhere(log: Log) -> None:
    """Write something into each guarded table."""
    event = an_event("pay_1")
    other = event.model_copy(update={"subject": "pay_2"})
    await log.holds(event, other, b"{")
    await log.takes(*log.records(an_event("pay_3"), gap=Gap("retention", 3, 9, earliest=10)))
    await log.as_superuser("INSERT INTO audit.reinterpreted VALUES ('payments-events', 0, 0, 2, 1)")


@pytest.mark.parametrize("role", ["audit", "audit_owner", "postgres", "postgres without triggers"])
async def test_what_is_written_can_neither_be_changed_nor_removed(log: Log, role: str) -> None:
    await a_row_everywhere(log)
    urls = {"audit": log.place.url_for("audit"), "audit_owner": log.place.owner_url_for("audit")}
    async with log.connection(urls.get(role, log.place.admin_url)) as connection:
        if role == "postgres without triggers":
            await connection.execute("SET session_replication_role = replica")
        for table in (*GUARDED, PARTITION):
            column = "topic" if table in ("conflicts", "gaps") else "seq"
            for change in (f"UPDATE audit.{table} SET {column} = {column}", f"DELETE FROM audit.{table}"):
                with pytest.raises(REFUSED):
                    await connection.execute(change)
            with pytest.raises(REFUSED):
                await connection.execute(f"TRUNCATE audit.{table}")
    assert (await log.report()).records == 2


async def test_the_service_may_write_the_log_and_not_move_its_partitions(log: Log) -> None:
    async with log.connection(log.place.url_for("audit")) as connection:
        for statement in (
            f"ALTER TABLE audit.audit_log DETACH PARTITION audit.{PARTITION}",
            f"DROP TABLE audit.{PARTITION}",
            "ALTER TABLE audit.audit_log DISABLE TRIGGER ALL",
            "SELECT audit.guard_table('coverage')",
            "CREATE TABLE audit.more ()",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)


@pytest.mark.parametrize(("gone", "back", "words"), DROPPED_AND_BACK, ids=[each[2] for each in DROPPED_AND_BACK])
async def test_without_a_guard_nothing_is_appended_until_it_is_back(log: Log, gone: str, back: str, words: str) -> None:
    await log.holds(an_event("pay_1"))
    await log.as_superuser(gone)

    async with log.database.reading() as tx:
        missing = [str(fault) for fault in await guards.missing(tx.connection)]
    assert any(words in each for each in missing), missing
    with pytest.raises(GuardsMissingError, match="the audit log is not appended to"):
        async with log.database.transaction() as tx:
            await guards.require(tx.connection)
    assert any(finding.startswith("missing_guard: ") for finding in await log.findings())

    await log.as_superuser(back)
    await log.holds(an_event("pay_2"))
    assert await log.findings() == []
    assert (await log.report()).records == 2


async def test_a_process_without_guards_waits_says_why_and_goes_on_by_itself(
    audit: RunningService[AuditSettings],
) -> None:
    """Nothing is set aside and nothing is lost: the position stays where it is."""
    admin = Log(audit.place, audit.runtime.database)
    await audit.receives(PAYMENTS_EVENTS, an_event("pay_1"))
    await admin.as_superuser("ALTER TABLE audit.audit_log DISABLE TRIGGER append_only")

    arriving = await audit.sends(PAYMENTS_EVENTS, an_event("pay_2"))

    async def ready() -> tuple[int, str]:
        answer = await audit.client.get("/health/ready")
        return answer.status_code, answer.text

    await eventually(ready, lambda seen: seen[0] == 503 and "has no working trigger append_only" in seen[1])
    assert len((await audit.get("/records"))["items"]) == 1
    assert (await audit.get("/dead-letters"))["items"] == []

    await admin.as_superuser("ALTER TABLE audit.audit_log ENABLE ALWAYS TRIGGER append_only")
    await audit.passed(PAYMENTS_EVENTS, arriving)
    assert len((await audit.get("/records"))["items"]) == 2
    await eventually(ready, lambda seen: seen[0] == 200)
    assert await admin.findings() == []


async def test_tables_and_migrations_agree(log: Log) -> None:
    url = log.place.owner_url_for("audit")
    assert await migrations.drift(url, package=service.package, schema=service.schema, metadata=metadata) == []


async def test_the_size_of_a_partition_is_the_same_in_python_and_in_the_migrations(log: Log) -> None:
    await log.as_superuser(f"SELECT audit.ensure_partition({3 * PARTITION_RECORDS})")
    bound = "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = 'audit_log_000003'"
    expected = f"FOR VALUES FROM ('{3 * PARTITION_RECORDS}') TO ('{4 * PARTITION_RECORDS}')"
    assert await log.rows(bound) == [(expected,)]


async def test_the_next_partition_stands_half_a_partition_before_it_is_needed_guarded_like_the_others(log: Log) -> None:
    middle = PARTITION_RECORDS * 3 // 2
    await log.as_superuser(f"UPDATE audit.log_head SET last_seq = {middle - 3}")
    await log.holds(*some_events(2))
    names = "SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r' ORDER BY 1"
    assert await log.rows(names) == [("audit_log_000000",), ("audit_log_000001",)]

    await log.holds(*some_events(2, "next"))
    assert await log.rows(names) == [("audit_log_000000",), ("audit_log_000001",), ("audit_log_000002",)]
    async with log.database.reading() as tx:
        assert await guards.missing(tx.connection) == []


async def test_a_partition_is_made_while_somebody_reads_the_log(log: Log) -> None:
    """A verification may read for an hour; the service must not wait for it."""
    await log.holds(an_event("pay_1"))
    async with log.database.reading() as reader:
        await guards.missing(reader.connection)
        async with log.connection(log.place.url_for("audit")) as connection:
            await connection.execute("SET lock_timeout = '1s'")
            await connection.execute(f"SELECT audit.ensure_partition({7 * PARTITION_RECORDS})")


async def test_an_event_that_cannot_be_indexed_is_set_aside_and_accounted_for(log: Log) -> None:
    await log.holds(an_event("pay_1"), too_long_to_index(), an_event("pay_2"))
    assert [seq for (seq,) in await log.rows("SELECT seq FROM audit.audit_log ORDER BY seq")] == [1, 2]
    ((reason, letter),) = await log.rows("SELECT detail, dead_letter_id FROM audit.quarantine")
    assert reason.startswith("set aside: ")
    assert await log.rows("SELECT id, state FROM audit.dead_letters") == [(letter, "open")]
    assert await log.findings() == []

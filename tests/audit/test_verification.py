"""`python -m audit verify` finds what somebody did to the log who owns the whole database, and says where."""

from __future__ import annotations

import asyncio

import pytest
from audit import verification
from audit.verification import PAGE_RECORDS, Verdict
from chassis.consumer import Gap

from tests.audit.logs import Log, run_verify, some_events
from tests.support.consuming import an_event

ROWS = 6
TAMPERED = {
    "a column": (
        "UPDATE audit.audit_log SET actor_name = 'Nobody' WHERE seq = 3",
        "row: seq 3 column actor_name: is 'Nobody', was 'Maria Rossi'",
    ),
    "the reason": (
        "UPDATE audit.audit_log SET reason = 'no reason' WHERE seq = 3",
        "row: seq 3 column reason: is 'no reason', was None",
    ),
    "the time": (
        "UPDATE audit.audit_log SET occurred_at = occurred_at - interval '1 day' WHERE seq = 3",
        "row: seq 3 column occurred_at",
    ),
    "the sentence": (
        "UPDATE audit.audit_log SET sentence = 'Maria Rossi matched nothing' WHERE seq = 3",
        "row: seq 3: one of seq, recorded_at, schema_status, topic",
    ),
    "the pointer": ("UPDATE audit.audit_log SET record_offset = 99 WHERE seq = 3", "row: seq 3: one of seq"),
    "the bytes": (
        "UPDATE audit.audit_log SET value = replace(convert_from(value, 'UTF8'), 'Maria', 'Marie')::bytea "
        "WHERE seq = 3",
        "row: seq 3 column value: other bytes than were recorded",
    ),
    "the bytes and their hash": (
        "UPDATE audit.audit_log SET value = '{}' WHERE seq = 3;"
        "UPDATE audit.event_ids SET sha256 = sha256('{}') WHERE seq = 3",
        "row: seq 3 column value: no event",
    ),
    "a row deleted": ("DELETE FROM audit.audit_log WHERE seq = 3", "missing: seq 3: no such record"),
    "rows deleted": ("DELETE FROM audit.audit_log WHERE seq IN (3, 4)", "missing: seq 3 to 4: no such record"),
    "the tail cut": (
        "DELETE FROM audit.audit_log WHERE seq > 4",
        "truncated: seq 6: the head says 6, the last record is 4",
    ),
    "the tail cut and the head moved": (
        "DELETE FROM audit.audit_log WHERE seq > 4; UPDATE audit.log_head SET last_seq = 4",
        "missing: event_ids: event_ids holds 6 ids up to seq 6, the log 4 records",
    ),
    "an id deleted": ("DELETE FROM audit.event_ids WHERE seq = 3", "missing: seq 3: event_ids does not hold its id"),
    "two rows swapped": (
        "UPDATE audit.audit_log SET seq = 999 WHERE seq = 3; UPDATE audit.audit_log SET seq = 3 WHERE seq = 4;"
        "UPDATE audit.audit_log SET seq = 4 WHERE seq = 999",
        "missing: seq 3: event_ids does not hold its id",
    ),
    "a row added": (
        "INSERT INTO audit.audit_log SELECT (jsonb_populate_record(log, '{\"seq\": 7}')).* FROM audit.audit_log AS log "
        "WHERE seq = 3; UPDATE audit.log_head SET last_seq = 7",
        "missing: seq 7: event_ids does not hold its id",
    ),
}
UNACCOUNTED = {
    "an account lowered": (
        "UPDATE audit.coverage SET recorded = recorded - 1",
        "5 offsets are accounted for between 0 and 6",
    ),
    "an account moved": (
        "UPDATE audit.coverage SET recorded = recorded - 1, duplicate = duplicate + 1",
        "5 offsets are accounted for as recorded, 6 are there",
    ),
    "an account deleted": ("DELETE FROM audit.coverage", "records are there, but no account"),
    "an account that ends early": (
        "UPDATE audit.coverage SET next_offset = 5, recorded = 5",
        "accounted for up to 5, read up to 6",
    ),
    "a position moved": ("UPDATE audit.positions SET next_offset = 9", "accounted for up to 6, read up to 9"),
    "a quarantine invented": (
        "UPDATE audit.coverage SET quarantined = 1, recorded = 5",
        "1 offsets are accounted for as quarantined, 0 are there",
    ),
}


async def six_records(log: Log) -> None:
    await log.holds(*some_events(ROWS))
    assert await log.findings() == []


@pytest.mark.parametrize("what", TAMPERED)
async def test_it_finds_what_was_changed_behind_the_guards(log: Log, what: str) -> None:
    await six_records(log)
    statements, words = TAMPERED[what]
    await log.tampered(statements)

    assert any(finding.startswith(words) for finding in await log.findings()), await log.findings()
    assert (await log.report()).verdict is Verdict.TAMPERED


@pytest.mark.parametrize("what", UNACCOUNTED)
async def test_it_finds_offsets_that_nobody_accounts_for(log: Log, what: str) -> None:
    await six_records(log)
    statement, words = UNACCOUNTED[what]
    await log.as_superuser(statement)

    assert any(words in finding for finding in await log.findings()), await log.findings()
    assert (await log.report()).verdict is Verdict.INCOMPLETE


async def test_everything_that_a_log_may_hold_verifies(log: Log) -> None:
    event = an_event("pay_1")
    await log.holds(event, event, b"{", an_event("pay_2", dataschema="urn:backbone:event:payment.updated/99"))
    await log.holds(event.model_copy(update={"subject": "pay_9"}), None, an_event("of\x00pay"), partition=1)
    await log.takes(*log.records(an_event("pay_3"), gap=Gap("retention", 4, 9, earliest=10)))
    await log.takes(*log.records(an_event("pay_4"), gap=Gap("restart", 0, -1, earliest=0, previous=11)))
    assert await log.findings() == []
    report = await log.report()
    assert (report.records, report.offsets, report.verdict) == (5, 4 + 3 + 7 + 1, Verdict.FINE)


async def test_a_gap_that_nobody_can_explain_leaves_the_log_incomplete(log: Log) -> None:
    await log.takes(*log.records(an_event("pay_1"), gap=Gap("missing", 0, 2)))
    assert await log.findings() == [
        "coverage_gap: payments-events/0: 3 offsets are missing without an explanation",
    ]
    assert (await log.report()).verdict is Verdict.INCOMPLETE


async def test_a_long_log_is_read_page_by_page(log: Log) -> None:
    heard: list[tuple[int, int]] = []
    await log.holds(*some_events(PAGE_RECORDS // 2 + 1))
    await log.holds(*some_events(PAGE_RECORDS // 2 + 1, "more"))

    async with log.database.reading() as tx:
        report = await verification.verify(tx.connection, progress=lambda done, total: heard.append((done, total)))
    assert report.verdict is Verdict.FINE
    assert heard == [(PAGE_RECORDS, PAGE_RECORDS + 2), (PAGE_RECORDS + 2, PAGE_RECORDS + 2)]


async def test_the_findings_that_are_kept_have_a_limit_and_all_are_counted(log: Log) -> None:
    await six_records(log)
    await log.tampered("UPDATE audit.audit_log SET actor_name = 'Nobody'")

    async with log.database.reading() as tx:
        report = await verification.verify(tx.connection, keep_findings=2)
    assert (len(report.kept), report.found.total()) == (2, ROWS)


async def test_the_command_says_by_its_exit_code_how_the_log_is(log: Log) -> None:
    await six_records(log)
    url = log.place.url_for("audit")

    fine = await asyncio.to_thread(run_verify, url)
    assert (fine.returncode, fine.stdout, fine.stderr) == (0, "fine: 6 records, 6 offsets accounted for\n", "")

    await log.as_superuser("UPDATE audit.positions SET next_offset = 9")
    incomplete = await asyncio.to_thread(run_verify, url)
    assert incomplete.returncode == 2
    assert incomplete.stdout.splitlines() == [
        "coverage_gap: payments-events/0: accounted for up to 6, read up to 9",
        "incomplete: 6 records, 6 offsets accounted for",
    ]

    await log.tampered("DELETE FROM audit.audit_log WHERE seq = 3")
    await log.as_superuser("ALTER TABLE audit.audit_log DISABLE TRIGGER no_truncate")
    tampered = await asyncio.to_thread(run_verify, url)
    assert tampered.returncode == 1
    assert "missing_guard: audit.audit_log: has no working trigger no_truncate" in tampered.stdout
    assert "missing: seq 3: no such record" in tampered.stdout
    assert tampered.stdout.splitlines()[-1] == "tampered: 5 records, 6 offsets accounted for"


async def test_a_log_that_cannot_be_read_is_neither_fine_nor_tampered() -> None:
    for url, words in (
        ("postgresql://audit:audit@127.0.0.1:1/audit", "ConnectionRefusedError"),
        ("nonsense", "AUDIT_DATABASE_URL"),
    ):
        done = await asyncio.to_thread(run_verify, url)
        assert (done.returncode, done.stdout) == (3, ""), done.stderr
        assert words in done.stderr
        assert len(done.stderr.splitlines()) == 1


async def test_the_command_explains_itself() -> None:
    done = await asyncio.to_thread(run_verify, "postgresql://audit:audit@127.0.0.1:1/audit", "--help")
    assert done.returncode == 0
    for words in ("Exit codes: 0 fine", "1 tampered", "2 incomplete", "3 cannot verify"):
        assert words in done.stdout
    wrong = await asyncio.to_thread(run_verify, "postgresql://audit:audit@127.0.0.1:1/audit", "--fast")
    assert (wrong.returncode, wrong.stdout) == (3, "")

"""Does the log hold together? Every row against its exact bytes, every offset against the accounts, every guard.

It reads as the service's own role, in one snapshot, page by page, and reports what it finds as it goes: memory stays
flat however long the log is. Whoever owns the database can rewrite the log together with all that proves it; what
follows from that stands in decisions/what-the-log-proves.md. Tested in tests/audit/test_verification.py, by tampering
as a superuser.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from chassis.sql import Row, Statement
from chassis.verifications import Verified
from contracts.registry import UnreadableEventError
from sqlalchemy.ext.asyncio import AsyncConnection

from audit import guards, queries
from audit.domain import TOLD, Place, Pointer, Status, seal
from audit.translate import told

PAGE_RECORDS: Final = 2_000
_MORE: Final = (
    "schema_status",
    "recorded_at",
    "topic",
    "partition",
    "incarnation",
    "record_offset",
    "sentence",
    "value",
)
_PAGE: Final = Statement(
    f"""
    SELECT log.seq, {", ".join(f"log.{name}" for name in (*TOLD, *_MORE))}, ids.sha256, ids.seal
    FROM audit.audit_log AS log
    LEFT JOIN audit.event_ids AS ids ON (ids.source, ids.event_id, ids.seq) = (log.source, log.event_id, log.seq)
    WHERE log.seq > :after ORDER BY log.seq LIMIT {PAGE_RECORDS}
    """
)
_SEAL_COLUMNS: Final = "one of seq, recorded_at, schema_status, topic, partition, incarnation, record_offset, sentence"


class Verdict(IntEnum):
    """The exit code."""

    FINE = 0
    TAMPERED = 1
    INCOMPLETE = 2
    CANNOT_VERIFY = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: its class, where it is, in words."""

    verdict: Verdict
    kind: str
    where: str
    detail: str


@dataclass(slots=True)
class Report:
    """What was checked and what was found; `kept` holds the first findings, `found` counts all of them by verdict."""

    keep: int
    records: int = 0
    offsets: int = 0
    kept: list[Finding] = field(default_factory=list)
    found: Counter[Verdict] = field(default_factory=Counter)

    @property
    def verdict(self) -> Verdict:
        return min(self.found, default=Verdict.FINE)

    def add(self, verdict: Verdict, kind: str, where: str, detail: str) -> None:
        self.found[verdict] += 1
        if len(self.kept) < self.keep:
            self.kept.append(Finding(verdict, kind, where, detail))

    def tampered(self, kind: str, where: str, detail: str) -> None:
        self.add(Verdict.TAMPERED, kind, where, detail)

    def incomplete(self, where: str, detail: str) -> None:
        self.add(Verdict.INCOMPLETE, "coverage_gap", where, detail)


Progress = Callable[[int, int], None]


async def verify(
    connection: AsyncConnection, *, keep_findings: int = 1_000, progress: Progress | None = None
) -> Report:
    """Check the whole log; `progress` hears how many records of how many are done. Database errors pass through."""
    report = Report(keep_findings)
    for fault in await guards.missing(connection):
        report.tampered("missing_guard", f"audit.{fault.relation}", fault.words)
    head = await queries.head(connection)
    understood = await _rows(connection, head["last_seq"], report, progress)
    await _ids(connection, report)
    await _accounts(connection, understood, report)
    return report


async def _rows(
    connection: AsyncConnection, last_seq: int, report: Report, progress: Progress | None
) -> Counter[tuple[str, int, int]]:
    """Check every row; returns how many records of each partition were understood when they were recorded."""
    expected, understood = 0, Counter[tuple[str, int, int]]()
    async for rows in _pages(connection):
        for row in rows:
            expected, seq = expected + 1, row[0]
            if seq != expected:
                words = f"seq {expected}" + ("" if seq == expected + 1 else f" to {seq - 1}")
                report.tampered("missing", words, "no such record")
                expected = seq
            _row(row, report)
            if row["schema_status"] == Status.KNOWN:
                understood[row["topic"], row["partition"], row["incarnation"]] += 1
        report.records += len(rows)
        if progress is not None:
            progress(report.records, last_seq)
    if expected != last_seq:
        report.tampered("truncated", f"seq {last_seq}", f"the head says {last_seq}, the last record is {expected}")
    return understood


async def _pages(connection: AsyncConnection) -> AsyncIterator[Sequence[Row]]:
    """The log in pages; PostgreSQL works on the next one while this one is checked."""
    rows = await _PAGE.all(connection, {"after": -1})
    while rows:
        following = asyncio.create_task(_PAGE.all(connection, {"after": rows[-1].seq}))
        await asyncio.sleep(0)  # the query is on its way before this page is checked
        try:
            yield rows
        finally:
            rows = await following


def _row(row: Row, report: Report) -> None:
    seq, columns = row[0], row[1 : 1 + len(TOLD)]
    status, recorded_at, topic, partition, incarnation, offset, sentence, value, sha256, sealed = row[1 + len(TOLD) :]
    where = f"seq {seq}"
    if sha256 is None:
        return report.tampered("missing", where, "event_ids does not hold its id")
    if hashlib.sha256(value).digest() != sha256:
        return report.tampered("row", f"{where} column value", "other bytes than were recorded")
    try:
        expected = told(value)
    except UnreadableEventError:
        return report.tampered("row", f"{where} column value", "no event")
    if columns != expected:
        for name, is_now, was in zip(TOLD, columns, expected, strict=True):
            if is_now != was:
                report.tampered("row", f"{where} column {name}", f"is {is_now!r}, was {was!r}")
    pointer = Pointer(Place(topic, partition, incarnation), offset)
    if seal(seq, recorded_at, status, pointer, sentence, sha256) != sealed:
        report.tampered("row", where, f"{_SEAL_COLUMNS} is not what was recorded")
    return None


async def _ids(connection: AsyncConnection, report: Report) -> None:
    """No id may stand without its record: that is what a cut tail leaves behind."""
    ids, last_seq = await queries.count_ids(connection)
    if ids != report.records or last_seq > report.records:
        words = f"event_ids holds {ids} ids up to seq {last_seq}, the log {report.records} records"
        report.tampered("missing", "event_ids", words)


async def _accounts(connection: AsyncConnection, understood: Counter[tuple[str, int, int]], report: Report) -> None:
    """Every offset up to each position has one outcome, and each outcome is there to be seen."""
    held = await queries.held_by_place(connection)
    reached: dict[tuple[str, int], int] = {}
    for row in await queries.list_coverage(connection):
        place = Place(row.topic, row.partition, row.incarnation)
        where = f"{place.topic}/{place.partition}" + (
            f" (made anew {row.incarnation} times)" if row.incarnation else ""
        )
        outcomes = (
            row.recorded + row.duplicate + row.quarantined + row.technical + row.explained_gap + row.unexplained_gap
        )
        report.offsets += outcomes
        reached[place.topic, place.partition] = row.next_offset
        if outcomes != row.next_offset - row.first_offset:
            words = f"{outcomes} offsets are accounted for between {row.first_offset} and {row.next_offset}"
            report.incomplete(where, words)
        if row.unexplained_gap:
            report.incomplete(where, f"{row.unexplained_gap} offsets are missing without an explanation")
        seen = held.get(place, queries.NOTHING_HELD)
        for name, counted, found in (
            ("recorded", row.recorded, understood.pop(place, 0) - seen.reinterpreted),
            ("quarantined", row.quarantined, seen.quarantined + seen.conflicts),
            ("missing", row.explained_gap + row.unexplained_gap, seen.missing),
        ):
            if counted != found:
                report.incomplete(where, f"{counted} offsets are accounted for as {name}, {found} are there")
    for topic, partition, _ in understood:
        report.incomplete(f"{topic}/{partition}", "records are there, but no account")
    for position in await queries.list_positions(connection):
        covered = reached.get((position.topic, position.partition), 0)
        if covered != position.next_offset:
            words = f"accounted for up to {covered}, read up to {position.next_offset}"
            report.incomplete(f"{position.topic}/{position.partition}", words)


async def verified(connection: AsyncConnection) -> Verified:
    """Check the whole log, for the job that keeps what it found."""
    report = await verify(connection, keep_findings=1)
    words = f"{report.kept[0].kind}: {report.kept[0].where}: {report.kept[0].detail}" if report.kept else None
    return Verified(report.verdict is Verdict.FINE, {"records": report.records, "offsets": report.offsets}, words)

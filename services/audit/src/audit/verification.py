"""`python -m audit verify`: does the log hold together?

Checks that every offset up to each position is accounted for, that seq has no gaps, that each row still is what its
exact bytes say, and that the guards stand. It reads as the service's own role, in one snapshot.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from audit import queries
from audit.tables import SCHEMA
from audit.translate import columns_of

_ROWS_AT_ONCE: Final = 5_000
_GUARDED: Final = ("audit_log", "event_ids", "conflicts", "gaps")


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


@dataclass(frozen=True, slots=True)
class Report:
    """What was checked and what was found."""

    records: int
    offsets: int
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        found = {finding.verdict for finding in self.findings}
        return min(found) if found else Verdict.FINE


async def verify(connection: AsyncConnection) -> Report:
    """Check the whole log. Raises nothing for what is wrong with it; database errors pass through."""
    findings: list[Finding] = [*await _missing_guards(connection)]
    head = await queries.head(connection)
    records = await _rows(connection, head["last_seq"], findings)
    offsets = await _coverage(connection, findings)
    return Report(records, offsets, tuple(findings))


async def _missing_guards(connection: AsyncConnection) -> list[Finding]:
    """Guards that a superuser may have taken away. Empty when all of them stand."""
    findings = []
    triggers = await connection.execute(
        text(
            """
            SELECT c.relname AS relation, c.relispartition AS is_partition,
                   count(*) FILTER (WHERE t.tgname = 'append_only' AND t.tgenabled IN ('O', 'A')) AS append_only,
                   count(*) FILTER (WHERE t.tgname = 'no_truncate' AND t.tgenabled IN ('O', 'A')) AS no_truncate
            FROM pg_class AS c
            LEFT JOIN pg_trigger AS t ON t.tgrelid = c.oid
            WHERE c.relnamespace = to_regnamespace(:schema)
              AND (c.relname = ANY (:guarded) OR c.relispartition AND c.relkind = 'r')
            GROUP BY c.oid ORDER BY c.relname
            """
        ),
        {"schema": SCHEMA, "guarded": list(_GUARDED)},
    )
    for row in triggers:
        missing = [guard for guard in ("append_only", "no_truncate") if not getattr(row, guard)]
        relation = f"{SCHEMA}.{row.relation}"
        findings += [Finding(Verdict.TAMPERED, "missing_trigger", relation, guard) for guard in missing]
    allowed = await connection.execute(
        text(
            """
            SELECT relation, privilege
            FROM unnest(CAST(:guarded AS text[])) AS relation,
                 unnest(ARRAY['UPDATE', 'DELETE', 'TRUNCATE']) AS privilege
            WHERE has_table_privilege(current_user, :schema || '.' || relation, privilege)
            """
        ),
        {"schema": SCHEMA, "guarded": list(_GUARDED)},
    )
    for row in allowed:
        detail = f"the service's role may {row.privilege}"
        findings.append(Finding(Verdict.TAMPERED, "excess_privilege", f"{SCHEMA}.{row.relation}", detail))
    return findings


async def missing_guards(connection: AsyncConnection) -> list[Finding]:
    """The self-check at start: the service does not append to a log whose guards are gone."""
    return await _missing_guards(connection)


async def _rows(connection: AsyncConnection, last_seq: int, findings: list[Finding]) -> int:
    expected = 0
    async for rows in _pages(connection):
        for row in rows:
            expected += 1
            if row.seq != expected:
                missing = f"{expected}" if row.seq == expected + 1 else f"{expected} to {row.seq - 1}"
                findings.append(Finding(Verdict.TAMPERED, "missing", f"seq {missing}", "no such record"))
                expected = row.seq
            if row.claimed_sha256 is None:
                findings.append(Finding(Verdict.TAMPERED, "missing", f"seq {row.seq}", "its id is not in event_ids"))
            elif hashlib.sha256(row.value).digest() != row.claimed_sha256:
                findings.append(
                    Finding(Verdict.TAMPERED, "row", f"seq {row.seq} column value", "other bytes than recorded")
                )
            else:
                findings.extend(_columns(row))
    if expected != last_seq:
        words = f"the head says {last_seq}, the last record is {expected}"
        findings.append(Finding(Verdict.TAMPERED, "truncated", f"seq {last_seq}", words))
    return expected


def _columns(row: Row[Any]) -> list[Finding]:
    """Columns that differ from what the exact bytes say."""
    return [
        Finding(Verdict.TAMPERED, "row", f"seq {row.seq} column {name}", f"is {getattr(row, name)!r}, was {value!r}")
        for name, value in columns_of(bytes(row.value)).items()
        if getattr(row, name) != value
    ]


async def _pages(connection: AsyncConnection) -> AsyncIterator[Sequence[Row[Any]]]:
    query = text(
        """
        SELECT log.*, ids.sha256 AS claimed_sha256
        FROM audit.audit_log AS log
        LEFT JOIN audit.event_ids AS ids ON (ids.source, ids.event_id, ids.seq) = (log.source, log.event_id, log.seq)
        WHERE log.seq > :after ORDER BY log.seq LIMIT :limit
        """
    )
    after = -1
    while rows := (await connection.execute(query, {"after": after, "limit": _ROWS_AT_ONCE})).all():
        yield rows
        after = rows[-1].seq


async def _coverage(connection: AsyncConnection, findings: list[Finding]) -> int:
    offsets = 0
    for row in await queries.list_coverage(connection):
        where = f"{row.topic}/{row.partition}" + (f" (made anew {row.incarnation} times)" if row.incarnation else "")
        counted = (
            row.recorded + row.duplicate + row.quarantined + row.technical + row.explained_gap + row.unexplained_gap
        )
        offsets += counted
        if counted != row.next_offset - row.first_offset:
            detail = f"{counted} offsets accounted for between {row.first_offset} and {row.next_offset}"
            findings.append(Finding(Verdict.INCOMPLETE, "coverage_gap", where, detail))
        if row.unexplained_gap:
            detail = f"{row.unexplained_gap} offsets are missing without an explanation"
            findings.append(Finding(Verdict.INCOMPLETE, "coverage_gap", where, detail))
    findings.extend(await _beyond_positions(connection))
    findings.extend(await _records_and_coverage(connection))
    return offsets


async def _beyond_positions(connection: AsyncConnection) -> list[Finding]:
    """Coverage must reach exactly to the consumer's stored position."""
    rows = await connection.execute(
        text(
            """
            SELECT p.topic, p.partition, p.next_offset, c.next_offset AS covered
            FROM audit.positions AS p
            LEFT JOIN LATERAL (
                SELECT next_offset FROM audit.coverage AS c
                WHERE (c.topic, c.partition) = (p.topic, p.partition) ORDER BY incarnation DESC LIMIT 1
            ) AS c ON true
            WHERE c.next_offset IS DISTINCT FROM p.next_offset
            """
        )
    )
    return [
        Finding(
            Verdict.INCOMPLETE,
            "coverage_gap",
            f"{row.topic}/{row.partition}",
            f"accounted for up to {row.covered}, read up to {row.next_offset}",
        )
        for row in rows
    ]


async def _records_and_coverage(connection: AsyncConnection) -> list[Finding]:
    """As many records as the accounts say were recorded or kept without being understood."""
    counts = (
        await connection.execute(
            text(
                """
                SELECT (SELECT count(*) FROM audit.audit_log) AS records,
                       (SELECT coalesce(sum(recorded), 0) FROM audit.coverage)
                       + (SELECT count(*) FROM audit.quarantine WHERE reason <> 'unreadable') AS accounted
                """
            )
        )
    ).one()
    if counts.records == counts.accounted:
        return []
    detail = f"{counts.records} records stand, {counts.accounted} are accounted for"
    return [Finding(Verdict.INCOMPLETE, "coverage_gap", "audit_log", detail)]

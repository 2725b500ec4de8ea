"""The guards that keep the log append-only, and whether all of them stand.

Whoever owns the database can take a guard away, and nothing here sees what is done until it is back. So the guards
are looked at in every transaction that appends: a log without one of them is not appended to, and what was consumed
is not lost, because its position does not move either. Readiness and verification ask the same question.
Tested in tests/audit/test_guards.py, by taking each of them away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from chassis.sql import JsonRow, Read, Statement
from sqlalchemy.ext.asyncio import AsyncConnection

from audit.tables import GUARDED, PARTITION_RECORDS

REFUSE_CHANGE_MD5: Final = "cd04463d9a820603b2b52333b4095639"
"""Of the body of `audit.refuse_change()`: a trigger is worth what its function does."""

_NAMES: Final = ", ".join(f"'{name}'" for name in GUARDED)
# Trigger type 27 is row, before, delete and update; 34 is before truncate. Enabled 'A' is always, whatever
# session_replication_role says.
_FAULTS: Final = Statement(
    f"""
    WITH expected (name) AS (
        SELECT unnest(ARRAY[{_NAMES}])
        UNION ALL
        SELECT 'audit_log_' || lpad(number::text, 6, '0')
        FROM audit.log_head, generate_series(0, (last_seq + 1) / {PARTITION_RECORDS}) AS number
    ), held AS (
        SELECT oid, relname::text AS name, starts_with(relname::text, 'audit_log_') AND NOT relispartition AS detached
        FROM pg_class
        WHERE relnamespace = 'audit'::regnamespace AND relkind IN ('r', 'p')
          AND (relname = ANY (ARRAY[{_NAMES}]) OR starts_with(relname::text, 'audit_log_'))
    )
    SELECT name, 'is missing' AS fault FROM expected WHERE name NOT IN (SELECT name FROM held)
    UNION ALL
    SELECT name, 'is detached from the log' FROM held WHERE detached
    UNION ALL
    SELECT held.name, 'has no working trigger ' || wanted.name
    FROM held CROSS JOIN (VALUES ('append_only', 27), ('no_truncate', 34)) AS wanted (name, type)
    WHERE NOT EXISTS (
        SELECT FROM pg_trigger
        WHERE tgrelid = held.oid AND tgname = wanted.name AND tgtype = wanted.type AND tgenabled = 'A'
          AND tgqual IS NULL AND tgattr = ''::int2vector AND tgfoid = to_regprocedure('audit.refuse_change()'))
    UNION ALL
    SELECT name, 'may be changed by this role: ' || privilege
    FROM held CROSS JOIN unnest(ARRAY['UPDATE', 'DELETE', 'TRUNCATE']) AS privilege
    WHERE has_table_privilege(oid, privilege) OR privilege = 'UPDATE' AND has_any_column_privilege(oid, privilege)
    UNION ALL
    SELECT 'refuse_change', 'does something else than it should'
    WHERE NOT EXISTS (
        SELECT FROM pg_proc
        WHERE oid = to_regprocedure('audit.refuse_change()') AND md5(prosrc) = '{REFUSE_CHANGE_MD5}')
    """
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One guard that does not stand: of which relation of the schema, and what is wrong with it."""

    relation: str
    words: str

    def __str__(self) -> str:
        return f"audit.{self.relation} {self.words}"


class GuardsMissingError(PermissionError):
    """The log is not append-only at this moment, so nothing is appended.

    An OSError, as everything is that an operator mends: the batch waits and is tried again, no record is blamed.
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        super().__init__(f"the audit log is not appended to: {faults[0]}{more}")


FAULTS: Final[Read] = (_FAULTS, {})
"""Which guards do not stand, for a statement that reads more beside: give the rows to `refuse`."""


async def missing(connection: AsyncConnection) -> list[Fault]:
    """Which guards do not stand, as the connection's role sees them; empty when all do."""
    return [Fault(row.name, row.fault) for row in await _FAULTS.all(connection)]


def refuse(faults: Sequence[JsonRow]) -> None:
    """Raise GuardsMissingError unless every guard stands."""
    if faults:
        raise GuardsMissingError([Fault(row["name"], row["fault"]) for row in faults])


async def require(connection: AsyncConnection) -> None:
    """Raise GuardsMissingError unless every guard stands."""
    faults = await missing(connection)
    if faults:
        raise GuardsMissingError(faults)

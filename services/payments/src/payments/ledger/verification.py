"""Does the ledger hold together? Every journal against itself, every balance against the entries, every guard.

The triggers keep it so; this looks whether they did, whoever may have switched one off. It reads as the service's own
role, in one snapshot. Tested in tests/payments/test_ledger_verification.py, by tampering as a superuser.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from chassis.verifications import Verified
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

FINE: Final = 0
TAMPERED: Final = 1
CANNOT_VERIFY: Final = 3
_KEPT_PER_KIND: Final = 100
GUARDS: Final = (
    ("journals", "append_only"),
    ("journals", "no_truncate"),
    ("journals", "stamped"),
    ("journals", "not_empty"),
    ("ledger_entries", "append_only"),
    ("ledger_entries", "no_truncate"),
    ("ledger_entries", "checked"),
)

_COUNTS: Final = text(
    "SELECT (SELECT count(*) FROM payments.journals) AS journals,"
    " (SELECT count(*) FROM payments.ledger_entries) AS entries,"
    " (SELECT count(*) FROM payments.balances) AS balances"
)
_UNBALANCED: Final = text(
    """
    SELECT journal_id::text AS place, sum(amount_minor)::bigint AS off, count(DISTINCT currency) AS currencies,
           count(DISTINCT phase) AS phases
    FROM payments.ledger_entries GROUP BY journal_id
    HAVING sum(amount_minor) <> 0 OR count(DISTINCT currency) > 1 OR count(DISTINCT phase) > 1 ORDER BY journal_id
    """
)
_EMPTY: Final = text(
    """
    SELECT id::text AS place FROM payments.journals AS j
    WHERE NOT EXISTS (SELECT FROM payments.ledger_entries AS e WHERE e.journal_id = j.id) ORDER BY number
    """
)
_BALANCES: Final = text(
    """
    SELECT account, currency, phase, coalesce(held.amount_minor, 0) AS held, coalesce(summed.amount_minor, 0) AS summed
    FROM payments.balances AS held
    FULL JOIN (
        SELECT account, currency, phase, sum(amount_minor)::bigint AS amount_minor
        FROM payments.ledger_entries GROUP BY account, currency, phase
    ) AS summed USING (account, currency, phase)
    WHERE coalesce(held.amount_minor, 0) <> coalesce(summed.amount_minor, 0) ORDER BY account, currency, phase
    """
)
# Enabled 'O' is unless session_replication_role says otherwise, 'A' is always.
_STANDING: Final = text(
    """
    SELECT c.relname::text AS relation, t.tgname::text AS name
    FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
    WHERE c.relnamespace = 'payments'::regnamespace AND t.tgenabled IN ('O', 'A')
    """
)


@dataclass(slots=True)
class Report:
    """What was looked at and what was found; `findings` holds the first of each kind, in words."""

    journals: int = 0
    entries: int = 0
    unbalanced: int = 0
    faults: int = 0
    findings: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> int:
        return TAMPERED if self.faults else FINE

    def found(self, kind: str, details: list[str]) -> None:
        """Count every fault of a kind, keep the first ones."""
        self.faults += len(details)
        self.findings += [f"{kind}: {detail}" for detail in details[:_KEPT_PER_KIND]]

    def verified(self) -> Verified:
        """What is kept of this run."""
        counted = {"journals": self.journals, "entries": self.entries, "unbalanced": self.unbalanced}
        return Verified(not self.faults, counted, self.findings[0] if self.findings else None)


async def verify(connection: AsyncConnection) -> Report:
    """Check the whole ledger. Database errors pass through."""
    counts = (await connection.execute(_COUNTS)).one()
    report = Report(counts.journals, counts.entries)
    standing = {(row.relation, row.name) for row in await connection.execute(_STANDING)}
    report.found(
        "missing_guard",
        [f"{table}: no working trigger {name}" for table, name in GUARDS if (table, name) not in standing],
    )
    unbalanced = [
        f"{row.place}: off by {row.off}, {row.currencies} currencies, {row.phases} phases"
        for row in await connection.execute(_UNBALANCED)
    ]
    report.unbalanced = len(unbalanced)
    report.found("journal", unbalanced)
    report.found("journal", [f"{row.place}: no entries" for row in await connection.execute(_EMPTY)])
    report.found(
        "balance",
        [
            f"{row.account} {row.currency} {row.phase}: {row.held} stands, the entries sum to {row.summed}"
            for row in await connection.execute(_BALANCES)
        ],
    )
    return report


async def verified(connection: AsyncConnection) -> Verified:
    """Check the whole ledger, for the job."""
    return (await verify(connection)).verified()

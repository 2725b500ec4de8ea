"""What stands of the tables that are derived: read by key, without generated columns, ids as what they stand for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from chassis.sql import Row, Statement
from sqlalchemy.ext.asyncio import AsyncConnection

_PAGE_KEYS: Final = 10_000
_PAGE_INPUTS: Final = 500


@dataclass(frozen=True, slots=True)
class Derived:
    """A table that is derived: how rows are found by the keys of `owner`, and how many columns make a key.

    `count` and `keys` are for tables that own their keys: what stands there must have been derived.
    """

    name: str
    owner: str
    key_columns: int
    rows: Statement
    count: Statement | None = None
    keys: Statement | None = None


def _keys(table: str, key: str, where: str = "true") -> tuple[Statement, Statement]:
    count = Statement(f"SELECT count(*) AS rows FROM payments.{table} WHERE {where}")
    given = f"SELECT {key}::text AS key FROM payments.{table}"
    page = Statement(f"{given} WHERE {where} AND (:after = '' OR {key}::text > :after) ORDER BY 1 LIMIT {_PAGE_KEYS}")
    return count, page


_PAYMENT: Final = "LEFT JOIN payments.payments AS p ON p.id = t.payment_id"

TABLES: Final = (
    Derived(
        "provider_facts",
        "provider_facts",
        1,
        Statement(
            """
            SELECT encode(t.hash, 'hex') AS k1, t.input_id, t.body,
                   ARRAY(SELECT n.key FROM payments.fact_names AS n WHERE n.fact_id = t.id ORDER BY n.key) AS names
            FROM payments.provider_facts AS t
            WHERE t.hash IN (SELECT decode(key, 'hex') FROM unnest(CAST(:keys AS text[])) AS key)
            """
        ),
        *_keys("provider_facts", "encode(hash, 'hex')"),
    ),
    Derived(
        "payments",
        "payments",
        1,
        Statement(
            """
            SELECT t.key AS k1, t.provider, t.account, t.reference, t.state, t.amount_minor, t.currency, t.customer,
                   t.member_id, i.key AS invoice, t.created_at, t.superseded, t.awaiting, t.snapshot,
                   ARRAY(SELECT r.reference FROM payments.payment_references AS r WHERE r.payment_id = t.id
                         ORDER BY r.reference COLLATE "C") AS references
            FROM payments.payments AS t LEFT JOIN payments.invoices AS i ON i.id = t.invoice_id
            WHERE t.key = ANY(CAST(:keys AS text[]))
            """
        ),
        *_keys("payments", "key"),
    ),
    Derived(
        "payment_attempts",
        "payments",
        2,
        Statement(
            """
            SELECT p.key AS k1, t.attempt AS k2, t.number, t.state, t.at, t.failure_code, t.decline_code,
                   t.failure_message
            FROM payments.payment_attempts AS t JOIN payments.payments AS p ON p.id = t.payment_id
            WHERE p.key = ANY(CAST(:keys AS text[]))
            """
        ),
    ),
    Derived(
        "invoices",
        "invoices",
        1,
        Statement(
            """
            SELECT t.key AS k1, t.reference, t.state, t.implied, t.total_minor, t.gst_minor, t.gst_rule, t.currency,
                   t.issued_at, t.paid_at, t.due_on, t.customer, t.member_id
            FROM payments.invoices AS t WHERE t.key = ANY(CAST(:keys AS text[]))
            """
        ),
        *_keys("invoices", "key"),
    ),
    Derived(
        "refunds",
        "refunds",
        1,
        Statement(
            f"""
            SELECT t.key AS k1, t.provider, t.reference, t.state, t.amount_minor, t.currency, p.key AS payment,
                   t.created_at, t.paid_at, t.failed_at, t.failure
            FROM payments.refunds AS t {_PAYMENT} WHERE t.key = ANY(CAST(:keys AS text[]))
            """
        ),
        *_keys("refunds", "key"),
    ),
    Derived(
        "disputes",
        "disputes",
        1,
        Statement(
            f"""
            SELECT t.key AS k1, t.provider, t.reference, t.status, t.amount_minor, t.held_minor, t.currency,
                   p.key AS payment, t.reason, t.refundable, t.created_at, t.evidence_due_at, t.lost_at
            FROM payments.disputes AS t {_PAYMENT} WHERE t.key = ANY(CAST(:keys AS text[]))
            """
        ),
        *_keys("disputes", "key"),
    ),
    Derived(
        "payouts",
        "payouts",
        1,
        Statement(
            """
            SELECT t.key AS k1, t.provider, t.reference, t.state, t.automatic, t.amount_minor, t.currency, t.created_at,
                   t.ended_at, t.arrives_on, t.banked_at, t.listed_minor, t.difference_minor, t.fee_minor, t.gst_minor
            FROM payments.payouts AS t WHERE t.key = ANY(CAST(:keys AS text[]))
            """
        ),
        *_keys("payouts", "key"),
    ),
    Derived(
        "payout_items",
        "payouts",
        2,
        Statement(
            """
            SELECT o.key AS k1, t.line AS k2, t.type, t.amount_minor, t.gst_minor, t.source
            FROM payments.payout_items AS t JOIN payments.payouts AS o ON o.id = t.payout_id
            WHERE o.key = ANY(CAST(:keys AS text[]))
            """
        ),
    ),
    Derived(
        "journals",
        "journals",
        1,
        Statement(
            f"""
            SELECT t.source_key AS k1, t.source, t.economic_key, t.subject, t.kind, t.words, t.effective_at,
                   t.effective_on, t.accounted_on, r.source_key AS reverses, t.caused_by, p.key AS payment,
                   i.key AS invoice, t.member_id
            FROM payments.journals AS t {_PAYMENT}
            LEFT JOIN payments.journals AS r ON r.id = t.reverses
            LEFT JOIN payments.invoices AS i ON i.id = t.invoice_id
            WHERE t.source = 'facts' AND t.source_key = ANY(CAST(:keys AS text[]))
            """
        ),
        *_keys("journals", "source_key"),
    ),
    Derived(
        "ledger_entries",
        "journals",
        2,
        Statement(
            """
            SELECT j.source_key AS k1, t.line AS k2, t.account, t.currency, t.amount_minor, t.phase, t.tax_code
            FROM payments.ledger_entries AS t JOIN payments.journals AS j ON j.id = t.journal_id
            WHERE j.source = 'facts' AND j.source_key = ANY(CAST(:keys AS text[]))
            """
        ),
    ),
    Derived(
        "member_entries",
        "journals",
        2,
        Statement(
            """
            SELECT j.source_key AS k1, t.member_id AS k2, t.effective_at, t.place, t.economic_key, t.currency,
                   t.amount_minor
            FROM payments.journals AS j
            CROSS JOIN LATERAL (
                SELECT DISTINCT substr(e.account, strpos(e.account, ':') + 1) COLLATE "C" AS id
                FROM payments.ledger_entries AS e WHERE e.journal_id = j.id AND strpos(e.account, ':') > 0
            ) AS m
            JOIN payments.member_entries AS t
              ON t.member_id = m.id AND t.effective_at = j.effective_at AND t.place = payments.place_of(j.economic_key)
                 AND t.economic_key = j.economic_key AND t.number = j.number
            WHERE j.source = 'facts' AND j.source_key = ANY(CAST(:keys AS text[]))
            """
        ),
    ),
    Derived(
        "provider_events",
        "provider_events",
        1,
        Statement(
            f"""
            SELECT t.id::text AS k1, t.outcome, t.outcome_words, p.key AS payment
            FROM payments.provider_events AS t {_PAYMENT} WHERE t.id = ANY(CAST(CAST(:keys AS text[]) AS uuid[]))
            """
        ),
        *_keys("provider_events", "id", "outcome IS NOT NULL"),
    ),
)
WHOLE: Final[Mapping[str, tuple[int, Statement]]] = {
    "members": (1, Statement("SELECT id AS k1, name FROM payments.members")),
    "member_customers": (
        3,
        Statement("SELECT provider AS k1, account AS k2, reference AS k3, member_id FROM payments.member_customers"),
    ),
    "periods": (1, Statement("SELECT period AS k1, ends_on, closed_by, closed_by_name FROM payments.periods")),
    "balances": (
        3,
        Statement(
            "SELECT account AS k1, currency AS k2, phase AS k3, amount_minor FROM payments.balances"
            " WHERE amount_minor <> 0"
        ),
    ),
}
"""Small tables, each read in one piece: how many columns make the key, and the rows."""
_INPUTS: Final = Statement(
    f"""
    SELECT i.number AS id, i.kind, i.delivery_id, i.position, i.provider_event_id, i.fetched_id, i.subject, i.rules,
           i.command_id, c.name AS command, c.body, c.actor, c.reason
    FROM payments.inputs AS i LEFT JOIN payments.staff_commands AS c ON c.id = i.command_id
    WHERE i.number > :after ORDER BY i.number LIMIT {_PAGE_INPUTS}
    """
)
_COUNT_INPUTS: Final = Statement("SELECT count(*) AS inputs FROM payments.inputs")


async def count_inputs(connection: AsyncConnection) -> int:
    """How many inputs there are."""
    return int((await _COUNT_INPUTS.all(connection))[0].inputs)


async def inputs(connection: AsyncConnection) -> AsyncIterator[Sequence[Row]]:
    """Every input in the order of its number, page by page."""
    after = -1
    while rows := await _INPUTS.all(connection, {"after": after}):
        yield rows
        after = rows[-1].id


async def stored(
    connection: AsyncConnection, table: Derived, keys: Sequence[str]
) -> dict[tuple[Any, ...], dict[str, Any]]:
    """The rows of a table that belong to these keys of its owner."""
    return by_key(table.key_columns, await table.rows.all(connection, {"keys": list(keys)}))


async def whole(connection: AsyncConnection, table: str) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Every row of a small table."""
    key_columns, statement = WHOLE[table]
    return by_key(key_columns, await statement.all(connection))


async def all_keys(connection: AsyncConnection, table: Derived) -> AsyncIterator[str]:
    """Every key that stands in a table."""
    after = ""
    while table.keys is not None and (rows := await table.keys.all(connection, {"after": after})):
        for row in rows:
            yield row.key
        after = rows[-1].key


def by_key(key_columns: int, rows: Sequence[Row]) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Rows by their key, which is in their first columns; ids as text, JSON read."""
    found = {}
    for row in rows:
        values = {name: _plain(name, value) for name, value in list(row.items())[key_columns:]}
        found[tuple(row.values())[:key_columns]] = values
    return found


def _plain(name: str, value: Any) -> Any:
    if name in ("body", "snapshot") and isinstance(value, str):
        return orjson.loads(value)
    return str(value) if name in ("input_id", "caused_by") and value is not None else value

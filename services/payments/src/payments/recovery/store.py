"""How plans and attempts are kept. A plan changes only while the payment's object is locked (collection.store)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from chassis.sql import Part, Statement, Write, write_together
from contracts.envelope import Money
from contracts.events import Named, Referenced
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.collection.objects import Key
from payments.recovery.domain import Made, Plan
from payments.recovery.translate import Subject

_PLAN = (
    "r.state, r.owner, r.why, r.decline_class, r.decline_table, r.failures, r.number, r.manual, r.planned_for,"
    " r.held_by"
)
_MADE = """
    (SELECT coalesce(jsonb_agg(jsonb_build_array(a.number, a.manual, a.idempotency_key, a.state, a.failures_known,
                                                 extract(epoch FROM a.recorded_at)) ORDER BY a.number), '[]')
     FROM payments.retry_attempts AS a WHERE a.payment_id = r.payment_id) AS made
"""
_LOAD = Statement(
    f"SELECT r.payment_id, {_PLAN}, {_MADE} FROM payments.payment_retries AS r WHERE r.payment_id = ANY(:ids)"
)
_SAVE = Part(
    """
    saved_plans AS (
        INSERT INTO payments.payment_retries AS r
            (payment_id, state, owner, why, decline_class, decline_table, failures, number, manual, planned_for, due_at,
             held_by, version)
        SELECT p.payment_id, p.state, p.owner, p.why, p.decline_class, p.decline_table, p.failures, p.number, p.manual,
               p.planned_for, p.due_at, p.held_by, 1
        FROM unnest(CAST(:payments AS uuid[]), CAST(:states AS text[]), CAST(:owners AS text[]), CAST(:whys AS text[]),
                    CAST(:classes AS text[]), CAST(:tables AS text[]), CAST(:failures AS integer[]),
                    CAST(:numbers AS integer[]), CAST(:manuals AS boolean[]), CAST(:planned AS timestamptz[]),
                    CAST(:due AS timestamptz[]), CAST(:held AS text[]))
            AS p (payment_id, state, owner, why, decline_class, decline_table, failures, number, manual, planned_for,
                  due_at, held_by)
        ORDER BY p.payment_id
        ON CONFLICT (payment_id) DO UPDATE SET
            state = excluded.state, owner = excluded.owner, why = excluded.why, decline_class = excluded.decline_class,
            decline_table = excluded.decline_table, failures = excluded.failures, number = excluded.number,
            manual = excluded.manual, planned_for = excluded.planned_for,
            due_at = CASE excluded.state WHEN 'calling' THEN r.due_at ELSE excluded.due_at END,
            held_by = excluded.held_by, version = r.version + 1
    )
    """
)
_KEYS = Statement("SELECT id, key FROM payments.payments WHERE id = ANY(:ids)")
_TARGET = Statement(
    f"""
    SELECT p.id, p.key, p.reference, p.state AS payment_state, p.amount_minor, p.currency, p.customer, p.member_id,
           m.name AS member_name, p.invoice_id, i.reference AS invoice_reference, p.snapshot ->> 'reason' AS reason,
           r.due_at, {_PLAN}, {_MADE},
           ARRAY(SELECT f.reference FROM payments.payment_references AS f WHERE f.payment_id = p.id) AS known
    FROM payments.payment_retries AS r
    JOIN payments.payments AS p ON p.id = r.payment_id
    LEFT JOIN payments.members AS m ON m.id = p.member_id
    LEFT JOIN payments.invoices AS i ON i.id = p.invoice_id
    WHERE r.payment_id = ANY(:ids) ORDER BY p.key
    """
)
_HELD = Statement(
    """
    SELECT r.payment_id, p.key, r.manual FROM payments.payment_retries AS r
    JOIN payments.payments AS p ON p.id = r.payment_id
    WHERE r.state = 'held' ORDER BY r.planned_for, r.payment_id LIMIT :limit
    """
)
_RECORD = Statement(
    """
    INSERT INTO payments.retry_attempts
        (payment_id, number, manual, idempotency_key, state, failures_known, recorded_at, called_at)
    VALUES (:payment, :number, :manual, :key, 'calling', :failures, :now, :now)
    """
)
_ANSWERED = Statement(
    "UPDATE payments.retry_attempts SET state = :state, told = :told WHERE payment_id = :payment AND number = :number"
)
_ATTEMPTS = Statement(
    """
    SELECT number, manual, idempotency_key, state, recorded_at, told FROM payments.retry_attempts
    WHERE payment_id = :payment ORDER BY number
    """
)


@dataclass(frozen=True, slots=True)
class Stored:
    """A plan with the attempts of ours."""

    plan: Plan
    made: tuple[Made, ...]


@dataclass(frozen=True, slots=True)
class Target:
    """A payment with its plan, as a person or the schedule acts on it; `known` are all ids the provider has for it."""

    key: Key
    subject: Subject
    stored: Stored
    due_at: datetime | None
    customer: str | None
    known: frozenset[str]

    @property
    def unpaid(self) -> bool:
        return self.subject.state == "failed"


async def load(connection: AsyncConnection, payment_ids: Sequence[str]) -> Mapping[str, Stored]:
    """The plans of these payments, by their ids."""
    return {str(row.payment_id): _stored(row) for row in await _LOAD.all(connection, {"ids": list(payment_ids)})}


def saving(plans: Mapping[str, Plan]) -> Write:
    """Write plans; when each is due follows from itself, and one under way stays due as it was."""
    ids = list(plans)
    given = [plans[each] for each in ids]
    columns = {
        "payments": ids,
        "states": [each.state for each in given],
        "owners": [each.owner for each in given],
        "whys": [each.why for each in given],
        "classes": [each.decline for each in given],
        "tables": [each.table for each in given],
        "failures": [each.failures for each in given],
        "numbers": [each.number for each in given],
        "manuals": [each.manual for each in given],
        "planned": [each.planned_for for each in given],
        "due": [each.due_at for each in given],
        "held": [each.held_by for each in given],
    }
    return _SAVE, columns


async def save(connection: AsyncConnection, plans: Mapping[str, Plan]) -> None:
    """Write plans at once, as `saving` says."""
    await write_together(connection, saving(plans))


async def key_of(connection: AsyncConnection, payment_id: str) -> Key | None:
    """The object to lock before anything about this payment is decided."""
    rows = await _KEYS.all(connection, {"ids": [payment_id]})
    return Key.parse(rows[0].key) if rows else None


async def targets(connection: AsyncConnection, payment_ids: Sequence[str]) -> Sequence[Target]:
    """These payments with their plans, in the order of their keys; one without a plan is absent."""
    return [_target(row) for row in await _TARGET.all(connection, {"ids": list(payment_ids)})]


async def held(connection: AsyncConnection, *, limit: int) -> Sequence[tuple[str, Key, bool]]:
    """The held retries that come first: payment, its key, and whether a person asked for it."""
    rows = await _HELD.all(connection, {"limit": limit})
    return [(str(row.payment_id), Key.parse(row.key), row.manual) for row in rows]


async def record_attempt(
    connection: AsyncConnection, payment_id: str, *, number: int, manual: bool, key: str, failures: int, now: datetime
) -> None:
    """Keep an attempt before it is made."""
    given = {"payment": payment_id, "number": number, "manual": manual, "key": key, "failures": failures, "now": now}
    await _RECORD.each(connection, [given])


async def answered(connection: AsyncConnection, payment_id: str, number: int, state: str, told: str) -> None:
    """Keep what the provider answered."""
    await _ANSWERED.each(connection, [{"payment": payment_id, "number": number, "state": state, "told": told[:500]}])


async def attempts_of(connection: AsyncConnection, payment_id: str) -> Sequence[Any]:
    """Our attempts for a payment."""
    return await _ATTEMPTS.all(connection, {"payment": payment_id})


def _stored(row: Any) -> Stored:
    plan = Plan(
        state=row.state,
        owner=row.owner,
        why=row.why,
        decline=row.decline_class,
        table=row.decline_table,
        failures=row.failures,
        number=row.number,
        manual=row.manual,
        planned_for=row.planned_for,
        held_by=row.held_by,
    )
    return Stored(plan, tuple(_made(each) for each in _json(row.made)))


def _json(value: Any) -> Any:
    return orjson.loads(value) if isinstance(value, str | bytes) else value


def _made(given: Sequence[Any]) -> Made:
    number, manual, key, state, failures, at = given
    return Made(number, manual, key, state, failures, datetime.fromtimestamp(float(at), UTC))


def _target(row: Any) -> Target:
    amount = None if row.amount_minor is None else Money(amount_minor=row.amount_minor, currency=row.currency)
    invoice = None
    if row.invoice_id is not None and row.invoice_reference is not None:
        invoice = Referenced(id=str(row.invoice_id), reference=row.invoice_reference)
    member = None if row.member_id is None else Named(id=row.member_id, name=row.member_name)
    subject = Subject(str(row.id), row.reference, row.payment_state, amount, member, invoice, row.reason)
    known = frozenset(row.known)
    return Target(Key.parse(row.key), subject, _stored(row), row.due_at, row.customer, known)

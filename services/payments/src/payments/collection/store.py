"""How facts and views are loaded and saved: a few statements for a whole batch.

`lock_group` is the only place that takes locks on objects, always all of them in one pass in the order of their keys:
no two workers can wait for each other, and nobody can add a fact about a key that somebody else is folding.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from chassis.clock import real_now
from chassis.ids import new_id
from chassis.sql import Statement
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.collection import codec
from payments.collection.domain import Held, InvoiceView, Member, PaymentView
from payments.collection.facts import Fact
from payments.collection.objects import Key, grouped


class GroupStillGrowsError(Exception):
    """The group that facts tie together grew faster than it could be locked; trying again is safe.

    `sqlstate` says so to whoever runs the batch: a serialisation failure, a conflict and no fault of the events.
    """

    sqlstate = "40001"


_STUBS = Statement(
    """
    INSERT INTO payments.provider_objects (key)
    SELECT key FROM unnest(CAST(:keys AS text[])) AS key ORDER BY key COLLATE "C"
    ON CONFLICT (key) DO NOTHING
    """
)
_LOCK = Statement(
    'SELECT key FROM payments.provider_objects WHERE key = ANY(:keys) ORDER BY key COLLATE "C" FOR UPDATE'
)
# The whole group in one statement: from key to fact to key; customers belong to nobody's group.
_FACTS = Statement(
    """
    WITH RECURSIVE reached (key) AS (
        SELECT key COLLATE "C" FROM unnest(CAST(:keys AS text[])) AS key
        UNION
        SELECT other.key FROM reached
        JOIN payments.fact_names AS one ON one.key = reached.key
        JOIN payments.fact_names AS other ON other.fact_id = one.fact_id
        WHERE split_part(other.key, '/', 3) <> 'customer'
    )
    SELECT id, body FROM payments.provider_facts
    WHERE id IN (SELECT fact_id FROM payments.fact_names WHERE key IN (SELECT key FROM reached))
    ORDER BY id
    """
)
_ADD_FACTS = Statement(
    """
    WITH added AS (
        INSERT INTO payments.provider_facts (hash, input_id, body)
        SELECT hash, input_id, CAST(body AS jsonb)
        FROM unnest(CAST(:hashes AS bytea[]), CAST(:inputs AS uuid[]), CAST(:bodies AS text[]))
            AS told (hash, input_id, body)
        ON CONFLICT (hash) DO NOTHING
        RETURNING id, hash
    )
    INSERT INTO payments.fact_names (key, fact_id)
    SELECT DISTINCT named.key, added.id FROM added
    JOIN unnest(CAST(:named_hashes AS bytea[]), CAST(:named_keys AS text[])) AS named (hash, key) USING (hash)
    """
)
# One row for each group, or a few (its facts need not share one object): the worker takes as many at once as it takes
# events, so that no history is too long for one transaction.
_REFOLD = Statement(
    """
    INSERT INTO payments.pending_events (kind, subject, received_at)
    SELECT DISTINCT 'refold', named.first, CAST(:now AS timestamptz)
    FROM payments.fact_names AS one
    CROSS JOIN LATERAL (
        SELECT min(other.key) AS first FROM payments.fact_names AS other
        WHERE other.fact_id = one.fact_id AND split_part(other.key, '/', 3) <> 'customer'
    ) AS named
    WHERE one.key = ANY(:keys) AND named.first IS NOT NULL
    """
)
_SAVED = Statement(
    """
    SELECT s.kind, s.key, s.id, m.id AS member_id, m.name AS member_name
    FROM (
        SELECT 'payment' AS kind, key, id, member_id FROM payments.payments WHERE key = ANY(:keys)
        UNION ALL
        SELECT 'invoice', key, id, member_id FROM payments.invoices WHERE key = ANY(:keys)
    ) AS s LEFT JOIN payments.members AS m ON m.id = s.member_id
    """
)
_SUPERSEDE = Statement("UPDATE payments.payments SET superseded = true, version = version + 1 WHERE key = ANY(:keys)")
_SAVE_PAYMENT = Statement(
    """
    INSERT INTO payments.payments AS held
        (id, key, provider, account, reference, state, amount_minor, currency, customer, member_id, invoice_id,
         created_at, awaiting, snapshot, superseded, version)
    VALUES (:id, :key, :provider, :account, :reference, :state, :amount_minor, :currency, :customer, :member_id,
            :invoice_id, :created_at, :awaiting, CAST(:snapshot AS jsonb), false, 1)
    ON CONFLICT (key) DO UPDATE SET
        state = excluded.state, amount_minor = excluded.amount_minor, currency = excluded.currency,
        customer = excluded.customer, member_id = excluded.member_id, invoice_id = excluded.invoice_id,
        created_at = excluded.created_at, awaiting = excluded.awaiting, snapshot = excluded.snapshot,
        superseded = false, version = held.version + 1
    """
)
# What belongs to payments, whole: an attempt that the facts no longer show (a PaymentIntent's own, once its charge is
# known) goes. Rows are written in one order, so that no two writers wait for each other in a ring.
_SAVE_PARTS = Statement(
    """
    WITH told AS (
        SELECT * FROM unnest(
            CAST(:payments AS uuid[]), CAST(:attempts AS text[]), CAST(:numbers AS integer[]), CAST(:states AS text[]),
            CAST(:at AS timestamptz[]), CAST(:failure_codes AS text[]), CAST(:decline_codes AS text[]),
            CAST(:failure_messages AS text[]))
            AS t (payment_id, attempt, number, state, at, failure_code, decline_code, failure_message)
    ), gone AS (
        DELETE FROM payments.payment_attempts AS held
        WHERE held.payment_id = ANY(CAST(:saved AS uuid[]))
          AND NOT EXISTS (SELECT FROM told WHERE told.payment_id = held.payment_id AND told.attempt = held.attempt)
    ), referenced AS (
        INSERT INTO payments.payment_references (reference, payment_id)
        SELECT * FROM unnest(CAST(:references AS text[]), CAST(:referenced AS uuid[])) ORDER BY 1, 2
        ON CONFLICT DO NOTHING
    )
    INSERT INTO payments.payment_attempts
        (payment_id, attempt, number, state, at, failure_code, decline_code, failure_message)
    SELECT * FROM told ORDER BY 1, 2
    ON CONFLICT (payment_id, attempt) DO UPDATE SET
        number = excluded.number, state = excluded.state, at = excluded.at, failure_code = excluded.failure_code,
        decline_code = excluded.decline_code, failure_message = excluded.failure_message
    """
)
_SAVE_INVOICE = Statement(
    """
    INSERT INTO payments.invoices AS held
        (id, key, reference, state, implied, total_minor, gst_minor, gst_rule, currency, issued_at, paid_at, due_on,
         customer, member_id, version)
    VALUES (:id, :key, :reference, :state, :implied, :total_minor, :gst_minor, :gst_rule, :currency, :issued_at,
            :paid_at, :due_on, :customer, :member_id, 1)
    ON CONFLICT (key) DO UPDATE SET
        reference = excluded.reference, state = excluded.state, implied = excluded.implied,
        total_minor = excluded.total_minor, gst_minor = excluded.gst_minor, gst_rule = excluded.gst_rule,
        currency = excluded.currency, issued_at = excluded.issued_at, paid_at = excluded.paid_at,
        due_on = excluded.due_on, customer = excluded.customer, member_id = excluded.member_id,
        version = held.version + 1
    """
)


@dataclass(frozen=True, slots=True)
class LockedGroup:
    """Every fact that the wanted objects are tied to by others, with all of their objects locked."""

    keys: frozenset[Key]
    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class NewFact:
    """A fact with the input (provider event or fetched object) that told it."""

    input_id: str
    fact: Fact


async def lock_group(connection: AsyncConnection, wanted: Collection[Key]) -> LockedGroup:
    """Lock the wanted objects and all that facts tie to them. Raises GroupStillGrowsError.

    What the group is, is read first without locks, then locked in one pass, then read again: adding a lock out of
    order is what makes deadlocks, so where somebody has added to the group meanwhile the batch starts anew.
    """
    keys = _with_names(frozenset(wanted), await _closure(connection, wanted))
    await lock_objects(connection, keys)
    facts = await _closure(connection, keys)
    if _with_names(keys, facts) != keys:
        raise GroupStillGrowsError(f"somebody added to a group of {len(keys)} objects")
    return LockedGroup(keys, facts)


def _with_names(keys: frozenset[Key], facts: Iterable[Fact]) -> frozenset[Key]:
    return keys.union(*(codec.names(fact) for fact in facts))


async def lock_objects(connection: AsyncConnection, keys: Collection[Key]) -> None:
    """Lock just these objects, in the order of their keys, known or not."""
    texts = {"keys": sorted(key.text for key in keys)}
    await _STUBS.all(connection, texts)
    await _LOCK.all(connection, texts)


async def queue_refolds(connection: AsyncConnection, customers: Collection[Key]) -> None:
    """Have the worker fold again whatever names these customers, who are locked: group by group."""
    await _REFOLD.all(connection, {"keys": sorted(key.text for key in customers), "now": real_now()})


async def _closure(connection: AsyncConnection, keys: Collection[Key]) -> tuple[Fact, ...]:
    """All facts that name a key of the group, or a key that such a fact names in turn."""
    rows = await _FACTS.all(connection, {"keys": sorted(key.text for key in grouped(keys))})
    return tuple(codec.from_json(row.body) for row in rows)


async def add_facts(connection: AsyncConnection, facts: Sequence[NewFact]) -> None:
    """Keep facts; one that is known already (another rendering of the same event told it) is kept once."""
    if not facts:
        return
    bodies = [_body_of(new.fact) for new in facts]
    hashes = [hashlib.sha256(body).digest() for body in bodies]
    named = [(hash_, key.text) for hash_, new in zip(hashes, facts, strict=True) for key in codec.names(new.fact)]
    await _ADD_FACTS.all(
        connection,
        {
            "hashes": hashes,
            "inputs": [new.input_id for new in facts],
            "bodies": [body.decode() for body in bodies],
            "named_hashes": [hash_ for hash_, _ in named],
            "named_keys": [key for _, key in named],
        },
    )


def _body_of(fact: Fact) -> bytes:
    return orjson.dumps(codec.to_json(fact), option=orjson.OPT_SORT_KEYS)


def digest_of(fact: Fact) -> bytes:
    """By what a fact is known: the same fact is kept once."""
    return hashlib.sha256(_body_of(fact)).digest()


class Ids:
    """Our ids of payments and invoices by key: those that are stored, and new ones for those that will be."""

    def __init__(self, payments: Mapping[str, str], invoices: Mapping[str, str]) -> None:
        self._payments = dict(payments)
        self._invoices = dict(invoices)

    def payment(self, key: Key) -> str:
        return self._payments.setdefault(key.text, new_id())

    def invoice(self, key: Key) -> str:
        return self._invoices.setdefault(key.text, new_id())


async def load_saved(connection: AsyncConnection, keys: Iterable[Key]) -> tuple[Ids, Held]:
    """The ids and members of what is stored under these keys; they are locked, so nobody else can add to them."""
    by_text = {key.text: key for key in keys}
    ids: dict[str, dict[str, str]] = {"payment": {}, "invoice": {}}
    held: dict[Key, Member | None] = {}
    for row in await _SAVED.all(connection, {"keys": list(by_text)}):
        ids[row.kind][row.key] = str(row.id)
        held[by_text[row.key]] = None if row.member_id is None else Member(row.member_id, row.member_name)
    return Ids(ids["payment"], ids["invoice"]), held


async def save_payments(
    connection: AsyncConnection, views: Sequence[tuple[PaymentView, Mapping[str, Any]]], ids: Ids
) -> None:
    """Write payments with their snapshots, references and attempts."""
    if not views:
        return
    ordered = sorted(views, key=lambda pair: pair[0].key)
    await _SAVE_PAYMENT.each(connection, [_payment_row(view, snapshot, ids) for view, snapshot in ordered])
    references = sorted({(key.id, ids.payment(view.key)) for view, _ in ordered for key in (view.key, *view.objects)})
    await _SAVE_PARTS.all(
        connection,
        {
            "saved": [ids.payment(view.key) for view, _ in ordered],
            "references": [reference for reference, _ in references],
            "referenced": [payment for _, payment in references],
            **_attempt_columns([view for view, _ in ordered], ids),
        },
    )


async def supersede_payments(connection: AsyncConnection, keys: Collection[Key]) -> None:
    """Mark payments that turned out to be part of another one."""
    if keys:
        await _SUPERSEDE.all(connection, {"keys": sorted(key.text for key in keys)})


async def save_invoices(connection: AsyncConnection, views: Sequence[InvoiceView], ids: Ids) -> None:
    """Write invoices, implied ones too."""
    if views:
        ordered = sorted(views, key=lambda view: view.key)
        await _SAVE_INVOICE.each(connection, [_invoice_row(view, ids) for view in ordered])


def _payment_row(view: PaymentView, snapshot: Mapping[str, Any], ids: Ids) -> dict[str, Any]:
    return {
        "id": ids.payment(view.key),
        "key": view.key.text,
        "provider": view.key.provider,
        "account": view.key.account,
        "reference": view.key.id,
        "state": view.state,
        "amount_minor": view.amount_minor,
        "currency": view.currency,
        "customer": view.customer and view.customer.id,
        "member_id": view.member and view.member.id,
        "invoice_id": view.invoice and ids.invoice(view.invoice),
        "created_at": view.created_at,
        "awaiting": list(view.awaiting),
        "snapshot": orjson.dumps(snapshot).decode(),
    }


def _attempt_columns(views: Sequence[PaymentView], ids: Ids) -> dict[str, list[Any]]:
    made = [
        (ids.payment(view.key), number, attempt, attempt.failure)
        for view in views
        for number, attempt in enumerate(view.attempts, 1)
    ]
    return {
        "payments": [payment for payment, _, _, _ in made],
        "numbers": [number for _, number, _, _ in made],
        "attempts": [attempt.id for _, _, attempt, _ in made],
        "states": [attempt.state for _, _, attempt, _ in made],
        "at": [attempt.at for _, _, attempt, _ in made],
        "failure_codes": [failure and failure.code for *_, failure in made],
        "decline_codes": [failure and failure.decline_code for *_, failure in made],
        "failure_messages": [failure and failure.message for *_, failure in made],
    }


def _invoice_row(view: InvoiceView, ids: Ids) -> dict[str, Any]:
    return {
        "id": ids.invoice(view.key),
        "key": view.key.text,
        "reference": view.reference,
        "state": view.state,
        "implied": view.implied,
        "total_minor": view.total_minor,
        "gst_minor": view.gst_minor,
        "gst_rule": view.gst_rule,
        "currency": view.currency,
        "issued_at": view.issued_at,
        "paid_at": view.paid_at,
        "due_on": view.due_on,
        "customer": view.customer and view.customer.id,
        "member_id": view.member and view.member.id,
    }

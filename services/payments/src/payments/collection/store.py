"""How facts and views are loaded and saved: parts of a few statements for a whole batch.

`lock_group` and `lock_objects` alone take locks on objects, always all of them in one pass in the order of their keys:
no two workers can wait for each other, and nobody can add a fact about a key that somebody else is folding.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from chassis.clock import real_now
from chassis.ids import new_id
from chassis.sql import JsonRow, Part, Read, Statement, Write
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.collection import codec
from payments.collection.domain import Held, InvoiceView, Member, PaymentView
from payments.collection.facts import Fact
from payments.collection.objects import Key, grouped
from payments.collection.reaching import NAMED_BESIDE


class GroupStillGrowsError(Exception):
    """The group that facts tie together grew faster than it could be locked; trying again is safe.

    `sqlstate` says so to whoever runs the batch: a serialisation failure, a conflict and no fault of the events.
    """

    sqlstate = "40001"


# Whoever comes second waits here, and a key that is new is there afterwards: `DO UPDATE` locks a row even where its
# condition keeps it as it is.
_LOCK_KEYS: Final = """
INSERT INTO payments.provider_objects AS held (key) SELECT key FROM named ORDER BY key COLLATE "C"
ON CONFLICT (key) DO UPDATE SET key = held.key WHERE false
"""
_LOCK = Statement(f"WITH named AS (SELECT key FROM unnest(CAST(:keys AS text[])) AS key) {_LOCK_KEYS}")
# Nobody closes a period while something is posted, and whoever does waits before any object is locked.
_OPEN_BOOKS = "SELECT pg_advisory_xact_lock_shared(hashtextextended('payments.books', 0))"
# What the group is, from key to fact to key (customers belong to nobody's group), and the locks on all of it.
_LOCK_GROUP = Statement(
    f"""
    WITH RECURSIVE reached (key) AS (
        SELECT key COLLATE "C" FROM unnest(CAST(:grouped AS text[])) AS key
        UNION
        SELECT other.key FROM reached {NAMED_BESIDE} WHERE split_part(other.key, '/', 3) <> 'customer'
    ), books AS MATERIALIZED ({_OPEN_BOOKS} AS held), named AS MATERIALIZED (
        SELECT key COLLATE "C" FROM books, unnest(CAST(:wanted AS text[])) AS key
        UNION
        SELECT other.key FROM reached {NAMED_BESIDE}
    ), locked AS ({_LOCK_KEYS})
    SELECT key FROM named
    """
)
_FACTS = Statement(
    """
    SELECT body FROM payments.provider_facts
    WHERE id IN (SELECT fact_id FROM payments.fact_names WHERE key = ANY(CAST(:grouped AS text[])))
    ORDER BY id
    """
)
_ADD_FACTS = Part(
    """
    added_facts AS (
        INSERT INTO payments.provider_facts (hash, input_id, body)
        SELECT hash, input_id, CAST(body AS jsonb)
        FROM unnest(CAST(:hashes AS bytea[]), CAST(:inputs AS uuid[]), CAST(:bodies AS text[]))
            AS told (hash, input_id, body)
        ON CONFLICT (hash) DO NOTHING
        RETURNING id, hash
    ), added_names AS (
        INSERT INTO payments.fact_names (key, fact_id)
        SELECT DISTINCT named.key, added.id FROM added_facts AS added
        JOIN unnest(CAST(:named_hashes AS bytea[]), CAST(:named_keys AS text[])) AS named (hash, key) USING (hash)
    )
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
_SUPERSEDE = Part(
    """
    superseded AS (
        UPDATE payments.payments SET superseded = true, version = version + 1 WHERE key = ANY(CAST(:keys AS text[]))
    )
    """
)
_SAVE_PAYMENTS = Part(
    """
    saved_payments AS (
        INSERT INTO payments.payments AS held
            (id, key, provider, account, reference, state, amount_minor, currency, customer, member_id, invoice_id,
             created_at, awaiting, snapshot, superseded, version)
        SELECT id, key, provider, account, reference, state, amount_minor, currency, customer, member_id, invoice_id,
               created_at, string_to_array(awaiting, ','), CAST(snapshot AS jsonb), superseded, 1
        FROM unnest(
            CAST(:ids AS uuid[]), CAST(:keys AS text[]), CAST(:providers AS text[]), CAST(:accounts AS text[]),
            CAST(:references AS text[]), CAST(:states AS text[]), CAST(:amounts AS bigint[]),
            CAST(:currencies AS text[]), CAST(:customers AS text[]), CAST(:members AS text[]),
            CAST(:invoices AS uuid[]), CAST(:created_at AS timestamptz[]), CAST(:awaiting AS text[]),
            CAST(:snapshots AS text[]), CAST(:superseded AS boolean[]))
            AS p (id, key, provider, account, reference, state, amount_minor, currency, customer, member_id,
                  invoice_id, created_at, awaiting, snapshot, superseded)
        ON CONFLICT (key) DO UPDATE SET
            state = excluded.state, amount_minor = excluded.amount_minor, currency = excluded.currency,
            customer = excluded.customer, member_id = excluded.member_id, invoice_id = excluded.invoice_id,
            created_at = excluded.created_at, awaiting = excluded.awaiting, snapshot = excluded.snapshot,
            superseded = excluded.superseded, version = held.version + 1
    )
    """
)
# What belongs to payments, whole: an attempt that the facts no longer show (a PaymentIntent's own, once its charge is
# known) goes. Rows are written in one order, so that no two writers wait for each other in a ring.
_SAVE_PARTS = Part(
    """
    told_attempts AS (
        SELECT * FROM unnest(
            CAST(:payments AS uuid[]), CAST(:attempts AS text[]), CAST(:numbers AS integer[]), CAST(:states AS text[]),
            CAST(:at AS timestamptz[]), CAST(:failure_codes AS text[]), CAST(:decline_codes AS text[]),
            CAST(:failure_messages AS text[]))
            AS t (payment_id, attempt, number, state, at, failure_code, decline_code, failure_message)
    ), gone_attempts AS (
        DELETE FROM payments.payment_attempts AS held
        WHERE held.payment_id = ANY(CAST(:saved AS uuid[])) AND NOT EXISTS (
            SELECT FROM told_attempts AS told
            WHERE told.payment_id = held.payment_id AND told.attempt = held.attempt)
    ), saved_references AS (
        INSERT INTO payments.payment_references (reference, payment_id)
        SELECT * FROM unnest(CAST(:references AS text[]), CAST(:referenced AS uuid[])) ORDER BY 1, 2
        ON CONFLICT DO NOTHING
    ), saved_attempts AS (
        INSERT INTO payments.payment_attempts
            (payment_id, attempt, number, state, at, failure_code, decline_code, failure_message)
        SELECT * FROM told_attempts ORDER BY 1, 2
        ON CONFLICT (payment_id, attempt) DO UPDATE SET
            number = excluded.number, state = excluded.state, at = excluded.at, failure_code = excluded.failure_code,
            decline_code = excluded.decline_code, failure_message = excluded.failure_message
    )
    """
)
_SAVE_INVOICES = Part(
    """
    saved_invoices AS (
        INSERT INTO payments.invoices AS held
            (id, key, reference, state, implied, total_minor, gst_minor, gst_rule, currency, issued_at, paid_at, due_on,
             customer, member_id, version)
        SELECT *, 1 FROM unnest(
            CAST(:ids AS uuid[]), CAST(:keys AS text[]), CAST(:references AS text[]), CAST(:states AS text[]),
            CAST(:implied AS boolean[]), CAST(:totals AS bigint[]), CAST(:gsts AS bigint[]),
            CAST(:gst_rules AS text[]), CAST(:currencies AS text[]), CAST(:issued_at AS timestamptz[]),
            CAST(:paid_at AS timestamptz[]), CAST(:due_on AS date[]), CAST(:customers AS text[]),
            CAST(:members AS text[]))
        ON CONFLICT (key) DO UPDATE SET
            reference = excluded.reference, state = excluded.state, implied = excluded.implied,
            total_minor = excluded.total_minor, gst_minor = excluded.gst_minor, gst_rule = excluded.gst_rule,
            currency = excluded.currency, issued_at = excluded.issued_at, paid_at = excluded.paid_at,
            due_on = excluded.due_on, customer = excluded.customer, member_id = excluded.member_id,
            version = held.version + 1
    )
    """
)


@dataclass(frozen=True, slots=True)
class NewFact:
    """A fact with the input (provider event or fetched object) that told it."""

    input_id: str
    fact: Fact


async def lock_group(connection: AsyncConnection, wanted: Collection[Key]) -> frozenset[Key]:
    """Lock the wanted objects and all that facts tie to them, in one pass in the order of their keys; returns them.

    Which they are is read in the statement that then waits for them, so somebody may have added to the group when all
    of them are locked: `facts_of` looks again.
    """
    given = {"wanted": [key.text for key in wanted], "grouped": [key.text for key in grouped(wanted)]}
    return frozenset(Key.parse(row.key) for row in await _LOCK_GROUP.all(connection, given))


async def lock_objects(connection: AsyncConnection, keys: Collection[Key]) -> None:
    """Lock just these objects, in the order of their keys, known or not."""
    await _LOCK.all(connection, {"keys": [key.text for key in keys]})


def facts(keys: Collection[Key]) -> Read:
    """Every fact about objects that are locked: give the rows to `facts_of`."""
    return _FACTS, {"grouped": [key.text for key in grouped(keys)]}


def facts_of(keys: frozenset[Key], rows: Sequence[JsonRow]) -> tuple[Fact, ...]:
    """Read the rows of `facts`. Raises GroupStillGrowsError where one of them names an object that is not locked.

    Adding a lock out of order is what makes deadlocks, so where somebody has added to the group while its locks were
    waited for the batch starts anew.
    """
    read = tuple(codec.from_json(row["body"]) for row in rows)
    if any(not codec.names(fact) <= keys for fact in read):
        raise GroupStillGrowsError(f"somebody added to a group of {len(keys)} objects")
    return read


async def queue_refolds(connection: AsyncConnection, customers: Collection[Key]) -> None:
    """Have the worker fold again whatever names these customers, who are locked: group by group."""
    await _REFOLD.all(connection, {"keys": sorted(key.text for key in customers), "now": real_now()})


def add_facts(told: Sequence[NewFact]) -> Iterator[Write]:
    """Keep facts; one that is known already (another rendering of the same event told it) is kept once."""
    if not told:
        return
    bodies = [_body_of(new.fact) for new in told]
    hashes = [hashlib.sha256(body).digest() for body in bodies]
    named = [(hash_, key.text) for hash_, new in zip(hashes, told, strict=True) for key in codec.names(new.fact)]
    yield (
        _ADD_FACTS,
        {
            "hashes": hashes,
            "inputs": [new.input_id for new in told],
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


def saved(keys: Iterable[Key]) -> Read:
    """The ids and members of what is stored under these keys, which are locked: give the rows to `ids_and_held`."""
    return _SAVED, {"keys": [key.text for key in keys]}


def ids_and_held(rows: Sequence[JsonRow]) -> tuple[Ids, Held]:
    """Read the rows of `saved`."""
    ids: dict[str, dict[str, str]] = {"payment": {}, "invoice": {}}
    held: dict[Key, Member | None] = {}
    for row in rows:
        ids[row["kind"]][row["key"]] = row["id"]
        member = None if row["member_id"] is None else Member(row["member_id"], row["member_name"])
        held[Key.parse(row["key"])] = member
    return Ids(ids["payment"], ids["invoice"]), held


def save_payments(
    views: Sequence[tuple[PaymentView, Mapping[str, Any]]], retired: Collection[Key], ids: Ids
) -> Iterator[Write]:
    """Write payments with their snapshots, references and attempts; those retired turned out to be part of another."""
    gone = set(retired) - {view.key for view, _ in views}
    if gone:
        yield _SUPERSEDE, {"keys": sorted(key.text for key in gone)}
    if not views:
        return
    ordered = sorted(views, key=lambda pair: pair[0].key)
    yield _SAVE_PAYMENTS, payment_columns(ordered, retired, ids)
    references = sorted({(key.id, ids.payment(view.key)) for view, _ in ordered for key in (view.key, *view.objects)})
    yield (
        _SAVE_PARTS,
        {
            "saved": [ids.payment(view.key) for view, _ in ordered],
            "references": [reference for reference, _ in references],
            "referenced": [payment for _, payment in references],
            **attempt_columns([view for view, _ in ordered], ids),
        },
    )


def save_invoices(views: Sequence[InvoiceView], ids: Ids) -> Iterator[Write]:
    """Write invoices, implied ones too."""
    if views:
        yield _SAVE_INVOICES, invoice_columns(sorted(views, key=lambda view: view.key), ids)


def payment_columns(
    pairs: Sequence[tuple[PaymentView, Mapping[str, Any]]], retired: Collection[Key], ids: Ids
) -> dict[str, list[Any]]:
    """Return payments with their snapshots, column by column."""
    views = [view for view, _ in pairs]
    return {
        "ids": [ids.payment(view.key) for view in views],
        "keys": [view.key.text for view in views],
        "providers": [view.key.provider for view in views],
        "accounts": [view.key.account for view in views],
        "references": [view.key.id for view in views],
        "states": [view.state for view in views],
        "amounts": [view.amount_minor for view in views],
        "currencies": [view.currency for view in views],
        "customers": [view.customer and view.customer.id for view in views],
        "members": [view.member and view.member.id for view in views],
        "invoices": [view.invoice and ids.invoice(view.invoice) for view in views],
        "created_at": [view.created_at for view in views],
        "awaiting": [",".join(view.awaiting) for view in views],
        "snapshots": [orjson.dumps(snapshot).decode() for _, snapshot in pairs],
        "superseded": [view.key in retired for view in views],
    }


def attempt_columns(views: Sequence[PaymentView], ids: Ids) -> dict[str, list[Any]]:
    """Return the attempts of payments, column by column."""
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


def invoice_columns(views: Sequence[InvoiceView], ids: Ids) -> dict[str, list[Any]]:
    """Return invoices, column by column."""
    return {
        "ids": [ids.invoice(view.key) for view in views],
        "keys": [view.key.text for view in views],
        "references": [view.reference for view in views],
        "states": [view.state for view in views],
        "implied": [view.implied for view in views],
        "totals": [view.total_minor for view in views],
        "gsts": [view.gst_minor for view in views],
        "gst_rules": [view.gst_rule for view in views],
        "currencies": [view.currency for view in views],
        "issued_at": [view.issued_at for view in views],
        "paid_at": [view.paid_at for view in views],
        "due_on": [view.due_on for view in views],
        "customers": [view.customer and view.customer.id for view in views],
        "members": [view.member and view.member.id for view in views],
    }

"""How invoices are found by our id, and what a member has as credit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.collection.objects import IMPLIED, Key
from payments.ledger.domain import member_credit

_INVOICE = text("SELECT id, key, member_id, version FROM payments.invoices WHERE id = :id")
_PAYING = text("SELECT key FROM payments.payments WHERE invoice_id = :id AND NOT superseded ORDER BY key")
_OF_PAYMENT = text("SELECT invoice_id FROM payments.payments WHERE id = :id AND NOT superseded")
_MAY_BE_FOR = text(
    """
    SELECT EXISTS (
        SELECT FROM payments.payments AS p
        JOIN payments.invoices AS i ON i.member_id = p.member_id AND i.currency = p.currency
        WHERE p.id = :id AND NOT p.superseded AND p.invoice_id IS NULL AND i.state = 'open' AND NOT i.implied)
    """
)
_CREDIT = text(
    "SELECT coalesce(sum(amount_minor), 0)::bigint FROM payments.balances"
    " WHERE account = :account AND currency = :currency AND phase = 'posted'"
)
_PAYOUT = text("SELECT id, key, version FROM payments.payouts WHERE id = :id")
# One that was implied until a real one took its place is none.
_LIST = text(
    """
    SELECT id, key, reference, state, implied, total_minor, gst_minor, gst_rule, currency, issued_at, paid_at, due_on,
           member_id, version
    FROM payments.invoices
    WHERE (CAST(:member AS text) IS NULL OR member_id = :member) AND (CAST(:state AS text) IS NULL OR state = :state)
      AND (CAST(:before AS uuid) IS NULL OR id < :before) AND NOT (implied AND state = 'void')
    ORDER BY id DESC LIMIT :limit
    """
)


@dataclass(frozen=True, slots=True)
class Found:
    """An invoice or a payout with the objects to lock for it; `version` as it was read."""

    id: str
    key: Key
    version: int
    about: tuple[Key, ...]
    member_id: str | None = None


async def find_invoice(connection: AsyncConnection, invoice_id: str) -> Found | None:
    """The invoice with this id of ours."""
    row = (await connection.execute(_INVOICE, {"id": invoice_id})).one_or_none()
    if row is None:
        return None
    key = Key.parse(row.key)
    paying = [Key.parse(each.key) for each in await connection.execute(_PAYING, {"id": invoice_id})]
    own = () if key.kind == IMPLIED else (key,)
    return Found(str(row.id), key, row.version, (*own, *paying), row.member_id)


async def invoice_of_payment(connection: AsyncConnection, payment_id: str) -> str | None:
    """Our id of the invoice that a payment is for."""
    found = (await connection.execute(_OF_PAYMENT, {"id": payment_id})).scalar_one_or_none()
    return None if found is None else str(found)


async def may_be_for_an_open_invoice(connection: AsyncConnection, payment_id: str) -> bool:
    """Whether nobody has told what a payment is for, while its member has an invoice that it may be for."""
    return bool((await connection.execute(_MAY_BE_FOR, {"id": payment_id})).scalar_one())


async def find_payout(connection: AsyncConnection, payout_id: str) -> Found | None:
    """The payout with this id of ours."""
    row = (await connection.execute(_PAYOUT, {"id": payout_id})).one_or_none()
    if row is None:
        return None
    key = Key.parse(row.key)
    return Found(str(row.id), key, row.version, (key,))


async def credit(connection: AsyncConnection, member_id: str, currency: str) -> int:
    """What a member has paid beyond what was due."""
    given = {"account": member_credit(member_id), "currency": currency}
    return -int((await connection.execute(_CREDIT, given)).scalar_one())


async def page(
    connection: AsyncConnection, *, member_id: str | None, state: str | None, before: str | None, limit: int
) -> Sequence[Row[Any]]:
    """Invoices, newest first."""
    given = {"member": member_id, "state": state, "before": before, "limit": limit}
    return (await connection.execute(_LIST, given)).all()

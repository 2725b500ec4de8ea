"""Reading payments and invoices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, not_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.collection.tables import invoices, payment_attempts, payment_references, payments


async def get_payment(connection: AsyncConnection, payment_id: str) -> Row[Any] | None:
    """One payment."""
    return (await connection.execute(select(payments).where(payments.c.id == payment_id))).one_or_none()


async def list_payments(
    connection: AsyncConnection,
    *,
    reference: str | None,
    member_id: str | None,
    awaiting: bool | None,
    before: str | None,
    limit: int,
) -> Sequence[Row[Any]]:
    """Payments, newest first. `reference` is any id that a provider knows the payment or one of its attempts by."""
    query = select(payments).where(not_(payments.c.superseded)).order_by(payments.c.id.desc()).limit(limit)
    if reference is not None:
        found = select(payment_references.c.payment_id).where(payment_references.c.reference == reference)
        query = query.where(payments.c.id.in_(found))
    if member_id is not None:
        query = query.where(payments.c.member_id == member_id)
    if awaiting is not None:
        # As the index says it: a bound parameter would hide from the planner that it can be used.
        parked = text("awaiting <> '{}'")
        query = query.where(parked if awaiting else not_(parked))
    if before is not None:
        query = query.where(payments.c.id < before)
    return (await connection.execute(query)).all()


async def attempts_of(connection: AsyncConnection, payment_id: str) -> Sequence[Row[Any]]:
    """The tries to collect a payment, in the order of their time at the provider."""
    query = (
        select(payment_attempts).where(payment_attempts.c.payment_id == payment_id).order_by(payment_attempts.c.number)
    )
    return (await connection.execute(query)).all()


async def get_invoice(connection: AsyncConnection, invoice_id: str) -> Row[Any] | None:
    """One invoice, real or implied."""
    return (await connection.execute(select(invoices).where(invoices.c.id == invoice_id))).one_or_none()

"""Reading refunds, disputes and payouts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.settlement.tables import disputes, payout_items, payouts, refunds


async def list_payouts(
    connection: AsyncConnection, *, reference: str | None, unexplained: bool | None, before: str | None, limit: int
) -> Sequence[Row[Any]]:
    """Payouts, newest first. `unexplained`: only those that differ from their lines, or only the others."""
    query = select(payouts).order_by(payouts.c.id.desc()).limit(limit)
    if reference is not None:
        query = query.where(payouts.c.reference == reference)
    if unexplained is not None:
        differs = payouts.c.difference_minor.is_distinct_from(0) & payouts.c.difference_minor.is_not(None)
        query = query.where(differs if unexplained else ~differs)
    if before is not None:
        query = query.where(payouts.c.id < before)
    return (await connection.execute(query)).all()


async def get_payout(connection: AsyncConnection, payout_id: str) -> Row[Any] | None:
    """One payout."""
    return (await connection.execute(select(payouts).where(payouts.c.id == payout_id))).one_or_none()


async def items_of(connection: AsyncConnection, payout_id: str) -> Sequence[Row[Any]]:
    """The lines of a payout."""
    query = select(payout_items).where(payout_items.c.payout_id == payout_id).order_by(payout_items.c.line)
    return (await connection.execute(query)).all()


async def refunds_of(connection: AsyncConnection, payment_id: str) -> Sequence[Row[Any]]:
    """The refunds of a payment, in the order of their time at the provider."""
    query = select(refunds).where(refunds.c.payment_id == payment_id).order_by(refunds.c.created_at, refunds.c.key)
    return (await connection.execute(query)).all()


async def disputes_of(connection: AsyncConnection, payment_id: str) -> Sequence[Row[Any]]:
    """The disputes of a payment, in the order of their time at the provider."""
    query = select(disputes).where(disputes.c.payment_id == payment_id).order_by(disputes.c.created_at, disputes.c.key)
    return (await connection.execute(query)).all()

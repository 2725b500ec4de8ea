"""How requests for refunds are kept."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.collection.objects import Key
from payments.refunding.domain import Request

_SELECT = """
    SELECT r.id, r.payment_id, p.key, r.amount_minor, r.currency, r.reason, r.asked_by, r.asked_by_name, r.asked_at,
           r.state, r.called_at, r.refund, r.told, r.version
    FROM payments.refund_requests AS r JOIN payments.payments AS p ON p.id = r.payment_id
"""
_FIND = text(f"{_SELECT} WHERE r.id = :id FOR UPDATE OF r")
_OF_PAYMENT = text(f"{_SELECT} WHERE r.payment_id = :payment ORDER BY r.id")
_ADD = text(
    """
    INSERT INTO payments.refund_requests
        (id, payment_id, amount_minor, currency, reason, asked_by, asked_by_name, asked_at, state, due_at, version)
    VALUES (:id, :payment, :amount, :currency, :reason, :by, :name, :at, 'asked', :due, 1)
    """
)
_CALLED = text("UPDATE payments.refund_requests SET called_at = coalesce(called_at, :at) WHERE id = :id")
_ANSWERED = text(
    """
    UPDATE payments.refund_requests SET state = :state, refund = :refund, told = :told, version = version + 1
    WHERE id = :id
    """
)


async def find(connection: AsyncConnection, request_id: str) -> Request | None:
    """The request, locked."""
    row = (await connection.execute(_FIND, {"id": request_id})).one_or_none()
    return None if row is None else _request(row)


async def of_payment(connection: AsyncConnection, payment_id: str) -> Sequence[Request]:
    """What was asked for of a payment, in the order of asking."""
    return [_request(row) for row in await connection.execute(_OF_PAYMENT, {"payment": payment_id})]


async def add(connection: AsyncConnection, request: Request, due_at: datetime) -> None:
    """Keep a request; the provider is asked when it is due."""
    await connection.execute(
        _ADD,
        {
            "id": request.id,
            "payment": request.payment_id,
            "amount": request.amount_minor,
            "currency": request.currency,
            "reason": request.reason,
            "by": request.asked_by,
            "name": request.asked_by_name,
            "at": request.asked_at,
            "due": due_at,
        },
    )


async def called(connection: AsyncConnection, request_id: str, at: datetime) -> None:
    """Say before the call that it is made: from then on its key may be known to the provider."""
    await connection.execute(_CALLED, {"id": request_id, "at": at})


async def answered(connection: AsyncConnection, request: Request) -> None:
    """Keep what the provider said."""
    given = {"id": request.id, "state": request.state, "refund": request.refund, "told": request.told}
    await connection.execute(_ANSWERED, given)


def _request(row: Row[Any]) -> Request:
    return Request(
        id=str(row.id),
        payment_id=str(row.payment_id),
        payment=Key.parse(row.key),
        amount_minor=row.amount_minor,
        currency=row.currency,
        reason=row.reason,
        asked_by=row.asked_by,
        asked_by_name=row.asked_by_name,
        asked_at=row.asked_at,
        state=row.state,
        called_at=row.called_at,
        refund=row.refund,
        told=row.told,
        version=row.version,
    )

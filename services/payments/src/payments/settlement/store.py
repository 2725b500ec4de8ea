"""How refunds, disputes and payouts are saved: what a batch's groups show at its end, one statement for each kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar

from chassis.ids import new_id
from chassis.sql import Statement
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.collection.domain import DisputeView, Group, PayoutView, RefundView
from payments.collection.objects import Key

V = TypeVar("V", RefundView, DisputeView, PayoutView)
_SAVE_REFUNDS = Statement(
    """
    INSERT INTO payments.refunds AS held
        (id, key, provider, reference, state, amount_minor, currency, payment_id, created_at, paid_at, failed_at,
         failure, version)
    VALUES (:id, :key, :provider, :reference, :state, :amount_minor, :currency, :payment_id, :created_at, :paid_at,
            :failed_at, :failure, 1)
    ON CONFLICT (key) DO UPDATE SET
        state = excluded.state, amount_minor = excluded.amount_minor, currency = excluded.currency,
        payment_id = excluded.payment_id, created_at = excluded.created_at, paid_at = excluded.paid_at,
        failed_at = excluded.failed_at, failure = excluded.failure, version = held.version + 1
    """
)
_SAVE_DISPUTES = Statement(
    """
    INSERT INTO payments.disputes AS held
        (id, key, provider, reference, status, amount_minor, held_minor, currency, payment_id, reason, refundable,
         created_at, evidence_due_at, lost_at, version)
    VALUES (:id, :key, :provider, :reference, :status, :amount_minor, :held_minor, :currency, :payment_id, :reason,
            :refundable, :created_at, :evidence_due_at, :lost_at, 1)
    ON CONFLICT (key) DO UPDATE SET
        status = excluded.status, amount_minor = excluded.amount_minor, held_minor = excluded.held_minor,
        currency = excluded.currency, payment_id = excluded.payment_id, reason = excluded.reason,
        refundable = excluded.refundable, created_at = excluded.created_at,
        evidence_due_at = excluded.evidence_due_at, lost_at = excluded.lost_at, version = held.version + 1
    """
)
_SAVE_PAYOUTS = Statement(
    """
    INSERT INTO payments.payouts AS held
        (id, key, provider, reference, state, automatic, amount_minor, currency, created_at, ended_at, arrives_on,
         banked_at, listed_minor, difference_minor, fee_minor, gst_minor, version)
    VALUES (:id, :key, :provider, :reference, :state, :automatic, :amount_minor, :currency, :created_at, :ended_at,
            :arrives_on, :banked_at, :listed_minor, :difference_minor, :fee_minor, :gst_minor, 1)
    ON CONFLICT (key) DO UPDATE SET
        state = excluded.state, automatic = excluded.automatic, amount_minor = excluded.amount_minor,
        currency = excluded.currency, created_at = excluded.created_at, ended_at = excluded.ended_at,
        arrives_on = excluded.arrives_on, banked_at = excluded.banked_at, listed_minor = excluded.listed_minor,
        difference_minor = excluded.difference_minor, fee_minor = excluded.fee_minor, gst_minor = excluded.gst_minor,
        version = held.version + 1
    """
)
_PAYOUT_IDS = Statement("SELECT key, id FROM payments.payouts WHERE key = ANY(:keys)")
_FORGET_ITEMS = Statement("DELETE FROM payments.payout_items WHERE payout_id = ANY(CAST(:payouts AS uuid[]))")
_SAVE_ITEMS = Statement(
    """
    INSERT INTO payments.payout_items (payout_id, line, type, amount_minor, gst_minor, source)
    SELECT * FROM unnest(
        CAST(:payouts AS uuid[]), CAST(:lines AS integer[]), CAST(:types AS text[]), CAST(:amounts AS numeric[]),
        CAST(:gst AS numeric[]), CAST(:sources AS text[]))
    """
)


@dataclass(slots=True)
class Settled:
    """The last view of each refund, dispute and payout that a batch changed."""

    refunds: dict[Key, RefundView] = field(default_factory=dict)
    disputes: dict[Key, DisputeView] = field(default_factory=dict)
    payouts: dict[Key, PayoutView] = field(default_factory=dict)

    def add(self, before: Group, after: Group) -> None:
        """Take over what one input changed."""
        self.refunds |= _changed(_refunds(before), _refunds(after))
        self.disputes |= _changed(_disputes(before), _disputes(after))
        self.payouts |= _changed(
            {each.key: each for each in before.payouts}, {each.key: each for each in after.payouts}
        )


def _refunds(group: Group) -> dict[Key, RefundView]:
    return {
        each.key: each for each in (*group.refunds, *(one for payment in group.payments for one in payment.refunds))
    }


def _disputes(group: Group) -> dict[Key, DisputeView]:
    found = {each.key: each for each in group.disputes}
    return found | {each.key: each for payment in group.payments for each in payment.disputes}


def _payouts(group: Group) -> dict[Key, PayoutView]:
    return {each.key: each for each in group.payouts}


def _changed(before: Mapping[Key, V], after: Mapping[Key, V]) -> dict[Key, V]:
    return {key: each for key, each in after.items() if before.get(key) != each}


async def ids_of(connection: AsyncConnection, settled: Settled) -> dict[Key, str]:
    """Our ids of the payouts that changed: those that are stored, and new ones for those that will be."""
    if not settled.payouts:
        return {}
    rows = await _PAYOUT_IDS.all(connection, {"keys": [key.text for key in settled.payouts]})
    known = {row.key: str(row.id) for row in rows}
    return {key: known.get(key.text) or new_id() for key in settled.payouts}


async def save(
    connection: AsyncConnection, settled: Settled, payment_id: Callable[[Key], str], payout_ids: Mapping[Key, str]
) -> None:
    """Write what changed, in the order of keys. `payment_id` gives our id of a payment, which is saved before."""
    refunds = [refund_row(settled.refunds[key], payment_id) for key in sorted(settled.refunds)]
    disputes = [dispute_row(settled.disputes[key], payment_id) for key in sorted(settled.disputes)]
    await _SAVE_REFUNDS.each(connection, refunds)
    await _SAVE_DISPUTES.each(connection, disputes)
    if settled.payouts:
        await _save_payouts(connection, [settled.payouts[key] for key in sorted(settled.payouts)], payout_ids)


async def _save_payouts(
    connection: AsyncConnection, views: Sequence[PayoutView], payout_ids: Mapping[Key, str]
) -> None:
    await _SAVE_PAYOUTS.each(connection, [{**payout_row(each), "id": payout_ids[each.key]} for each in views])
    listed = [each for each in views if each.listed_tenths is not None]
    if not listed:
        return
    lines = [(payout_ids[each.key], number, item) for each in listed for number, item in enumerate(each.items, 1)]
    await _FORGET_ITEMS.all(connection, {"payouts": [payout_ids[each.key] for each in listed]})
    columns = {
        "payouts": [payout for payout, _, _ in lines],
        "lines": [number for _, number, _ in lines],
        "types": [item.type for _, _, item in lines],
        "amounts": [minor(item.tenths) for _, _, item in lines],
        "gst": [minor(item.gst_tenths) for _, _, item in lines],
        "sources": [item.source for _, _, item in lines],
    }
    await _SAVE_ITEMS.all(connection, columns)


def minor(tenths: int) -> Decimal:
    """Return tenths of a cent as cents."""
    return Decimal(tenths) / 10


def _named(key: Key) -> dict[str, Any]:
    return {"id": new_id(), "key": key.text, "provider": key.provider, "reference": key.id}


def refund_row(view: RefundView, payment_id: Callable[[Key], str]) -> dict[str, Any]:
    """Return a refund, by column."""
    return {
        **_named(view.key),
        "state": view.state,
        "amount_minor": view.amount_minor,
        "currency": view.currency,
        "payment_id": payment_id(view.payment) if view.payment else None,
        "created_at": view.created_at,
        "paid_at": view.paid_at,
        "failed_at": view.failed_at,
        "failure": view.failure,
    }


def dispute_row(view: DisputeView, payment_id: Callable[[Key], str]) -> dict[str, Any]:
    """Return a dispute, by column."""
    return {
        **_named(view.key),
        "status": view.status,
        "amount_minor": view.amount_minor,
        "held_minor": view.held_minor,
        "currency": view.currency,
        "payment_id": payment_id(view.payment) if view.payment else None,
        "reason": view.reason,
        "refundable": view.refundable,
        "created_at": view.created_at,
        "evidence_due_at": view.evidence_due_at,
        "lost_at": view.lost_at,
    }


def payout_row(view: PayoutView) -> dict[str, Any]:
    """Return a payout, by column."""
    return {
        **_named(view.key),
        "state": view.state,
        "automatic": view.automatic,
        "amount_minor": view.amount_minor,
        "currency": view.currency,
        "created_at": view.created_at,
        "ended_at": view.ended_at,
        "arrives_on": view.arrives_on,
        "banked_at": view.banked_at,
        "listed_minor": None if view.listed_tenths is None else minor(view.listed_tenths),
        "difference_minor": view.difference_minor,
        "fee_minor": view.fee_minor,
        "gst_minor": view.gst_minor,
    }

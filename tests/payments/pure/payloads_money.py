"""Payloads of money that goes back or to the bank, written by hand: one builder for each type and version."""

from __future__ import annotations

from typing import Any, Final

from tests.payments.pure.payloads import AT, BASIL, CUSTOMER, Json

DAY: Final = 86_400


def refund(
    id_: str = "re_1",
    *,
    amount: int = 11_000,
    status: str | None = "succeeded",
    charge: str | None = "ch_1",
    intent: str | None = "pi_1",
    at: int = AT + DAY,
    **extra: Any,
) -> Json:
    """A refund; one that failed says why and what came back."""
    shape: Json = {
        "id": id_,
        "object": "refund",
        "amount": amount,
        "balance_transaction": f"txn_{id_}",
        "charge": charge,
        "created": at,
        "currency": "aud",
        "destination_details": {"card": {"reference_status": "pending", "type": "refund"}, "type": "card"},
        "metadata": [],
        "payment_intent": intent,
        "reason": "requested_by_customer",
        "receipt_number": None,
        "status": status,
    }
    if status == "failed":
        shape |= {"failure_balance_transaction": f"txn_{id_}_back", "failure_reason": "lost_or_stolen_card"}
    return shape | extra


def entry(
    id_: str = "txn_1",
    *,
    amount: int = 11_000,
    fee: int = 0,
    gst: int = 0,
    type_: str = "charge",
    category: str | None = None,
    source: Any = "ch_1",
    at: int = AT,
    **extra: Any,
) -> Json:
    """A balance transaction with its fee, GST apart."""
    details = [
        {"amount": fee - gst, "application": None, "currency": "aud", "description": "Fee", "type": "stripe_fee"},
        {"amount": gst, "application": None, "currency": "aud", "description": "GST", "type": "tax"},
    ]
    shape: Json = {
        "id": id_,
        "object": "balance_transaction",
        "amount": amount,
        "available_on": at + 2 * DAY,
        "created": at,
        "currency": "aud",
        "description": None,
        "exchange_rate": None,
        "fee": fee,
        "fee_details": details if fee else [],
        "net": amount - fee,
        "reporting_category": category or type_,
        "source": source,
        "status": "pending",
        "type": type_,
    }
    return shape | extra


def withdrawn(id_: str = "txn_d1", *, amount: int = 11_000, fee: int = 2_500, gst: int = 227, **extra: Any) -> Json:
    """What a dispute took, with its fee."""
    given: Json = {"type_": "adjustment", "category": "dispute", "source": "du_1", "at": AT + DAY} | extra
    return entry(id_, amount=-amount, fee=fee, gst=gst, **given)


def reinstated(id_: str = "txn_d2", *, amount: int = 11_000, fee: int = -2_500, gst: int = -227, **extra: Any) -> Json:
    """What a dispute that was won gave back, its fee included."""
    given: Json = {"type_": "adjustment", "category": "dispute_reversal", "source": "du_1", "at": AT + 9 * DAY} | extra
    return entry(id_, amount=amount, fee=fee, gst=gst, **given)


def dispute(
    id_: str = "du_1",
    *,
    amount: int = 11_000,
    status: str = "needs_response",
    entries: tuple[Any, ...] = (),
    charge: Any = "ch_1",
    at: int = AT + DAY,
    **extra: Any,
) -> Json:
    """A dispute with none, one or two balance transactions."""
    inquiry = status.startswith("warning_")
    shape: Json = {
        "id": id_,
        "object": "dispute",
        "amount": amount,
        "balance_transactions": list(entries),
        "charge": charge,
        "created": at,
        "currency": "aud",
        "evidence": {},
        "evidence_details": {"due_by": at + 14 * DAY, "has_evidence": False, "past_due": False, "submission_count": 0},
        "is_charge_refundable": inquiry,
        "livemode": False,
        "metadata": {},
        "payment_intent": "pi_1",
        "reason": "fraudulent",
        "status": status,
    }
    return shape | extra


def payout(
    id_: str = "po_1", *, amount: int = 10_783, status: str = "in_transit", at: int = AT + 2 * DAY, **extra: Any
) -> Json:
    """An automatic payout."""
    shape: Json = {
        "id": id_,
        "object": "payout",
        "amount": amount,
        "arrival_date": at + DAY,
        "automatic": True,
        "balance_transaction": f"txn_{id_}",
        "created": at,
        "currency": "aud",
        "description": "STRIPE PAYOUT",
        "destination": "ba_1PZkBank",
        "failure_balance_transaction": None,
        "failure_code": "account_closed" if status == "failed" else None,
        "livemode": False,
        "metadata": {},
        "reconciliation_status": "in_progress",
        "status": status,
        "type": "bank_account",
    }
    return shape | extra


def credit_note(
    id_: str = "cn_1",
    *,
    total: int = 5_500,
    tax: int | None = 500,
    status: str = "issued",
    version: str = BASIL,
    refund_id: str | None = None,
    refunded: int = 0,
    at: int = AT + DAY,
    **extra: Any,
) -> Json:
    """A credit note; from basil on its tax and its refunds stand in other places."""
    shape: Json = {
        "id": id_,
        "object": "credit_note",
        "amount": total,
        "created": at,
        "currency": "aud",
        "customer": CUSTOMER,
        "invoice": "in_1",
        "livemode": False,
        "memo": None,
        "metadata": {},
        "number": "MARK-0001-CN-01",
        "out_of_band_amount": None,
        "reason": "order_change",
        "status": status,
        "subtotal": total,
        "total": total,
        "type": "post_payment" if refund_id else "pre_payment",
        "voided_at": at + DAY if status == "void" else None,
    }
    if version == BASIL:
        taxes = [] if tax is None else [{"amount": tax, "tax_behavior": "inclusive", "type": "tax_rate_details"}]
        refunds = [{"amount_refunded": refunded, "refund": refund_id}] if refund_id else []
        return shape | {"total_taxes": taxes, "refunds": refunds} | extra
    taxes = [] if tax is None else [{"amount": tax, "inclusive": True, "tax_rate": "txr_1PZk"}]
    return shape | {"tax_amounts": taxes, "refund": refund_id} | extra


def other(kind: str, id_: str = "obj_1", **extra: Any) -> Json:
    """An object that moves no money."""
    shape: Json = {
        "id": id_,
        "object": kind,
        "created": AT,
        "customer": None if kind == "customer" else CUSTOMER,
        "livemode": False,
        "metadata": {},
        "status": "active",
    }
    return shape | extra


def gocardless_event(
    resource: str, action: str, links: Json | None, *, at: str = "2026-10-05T01:00:00.000Z", **extra: Any
) -> Json:
    """An event of any resource."""
    named = "-".join(sorted(str(each) for each in (links or {}).values()))
    shape: Json = {
        "id": f"EV_{resource}_{action}_{named}_{at}",
        "created_at": at,
        "resource_type": resource,
        "action": action,
        "links": links,
        "details": {"origin": "gocardless", "cause": f"{resource}_{action}", "description": "It happened."},
        "metadata": {},
        "resource_metadata": {},
    }
    return shape | extra


def fetched_refund(id_: str = "RF000MARK", *, amount: int = 11_000, status: str = "created", **extra: Any) -> Json:
    """What the GoCardless API answers about a refund."""
    shown: Json = {
        "id": id_,
        "created_at": "2026-10-08T00:00:00.000Z",
        "amount": amount,
        "currency": "AUD",
        "reference": None,
        "status": status,
        "metadata": {},
        "links": {"payment": "PM000MARK", "mandate": "MD000MARK"},
    }
    return {"refunds": shown | extra}


def item(type_: str, amount: str, *, tax: str | None = None, payment: str = "PM000MARK", **links: str) -> Json:
    """One line of a GoCardless payout."""
    taxes = [] if tax is None else [{"amount": tax, "currency": "AUD", "percentage": "10.0", "tax_rate_id": "AU_GST_1"}]
    return {"amount": amount, "type": type_, "taxes": taxes, "links": {"payment": payment, **links}}


def fetched_payout(id_: str = "PO000OCTOBER", *, amount: int, items: list[Json] | None = None, **extra: Any) -> Json:
    """What the GoCardless API answers about a payout and its lines."""
    shown: Json = {
        "id": id_,
        "amount": amount,
        "arrival_date": "2026-10-09",
        "created_at": "2026-10-08T01:00:00.000Z",
        "currency": "AUD",
        "deducted_fees": 0,
        "metadata": {},
        "payout_type": "merchant",
        "reference": "BACKBONE-OCTO",
        "status": "paid",
        "links": {"creditor": "CR000BACKBONE"},
    }
    answer: Json = {"payouts": shown | extra}
    return answer if items is None else answer | {"payout_items": items}

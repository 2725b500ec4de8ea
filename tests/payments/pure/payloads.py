"""Payloads as the providers send them, written by hand: one builder for each type and version."""

from __future__ import annotations

import json
from typing import Any, Final

import orjson

CLASSIC: Final = "2024-06-20"
BASIL: Final = "2025-03-31.basil"
ANCIENT: Final = "2020-08-27"
AT: Final = 1_790_000_000
CUSTOMER: Final = "cus_QkMarkStevens"

Json = dict[str, Any]


def stripe_event(
    type_: str, shown: Json | None, *, id_: str | None = None, version: str | None = BASIL, at: int = AT, **extra: Any
) -> Json:
    """An event with `shown` as its object; its id is made of type and object unless given."""
    event: Json = {
        "id": id_ or f"evt_{type_}_{(shown or {}).get('id')}",
        "object": "event",
        "api_version": version,
        "created": at,
        "data": {"object": shown},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": "req_9XfJ2TqLb", "idempotency_key": "7d3c8f1e-1b52"},
        "type": type_,
    }
    return event | extra


def body(event: Json) -> bytes:
    """The bytes as Stripe writes them: indented by two spaces, no newline at the end."""
    return json.dumps(event, indent=2, ensure_ascii=False).encode()


def charge(
    id_: str = "ch_1",
    *,
    failed: bool = False,
    version: str = BASIL,
    intent: str | None = "pi_1",
    invoice: str | None = None,
    amount: int = 11_000,
    at: int = AT,
    **extra: Any,
) -> Json:
    """A charge by card; before basil it names its invoice."""
    shape: Json = {
        "id": id_,
        "object": "charge",
        "amount": amount,
        "amount_captured": 0 if failed else amount,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "balance_transaction": None if failed else "txn_3PZk",
        "billing_details": {"address": {"country": "AU", "postal_code": "2010"}, "email": None, "name": "Mark Stevens"},
        "captured": not failed,
        "created": at,
        "currency": "aud",
        "customer": CUSTOMER,
        "description": "Subscription update",
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": "card_declined" if failed else None,
        "failure_message": "Your card has insufficient funds." if failed else None,
        "fraud_details": {},
        "livemode": False,
        "metadata": {},
        "outcome": {
            "network_status": "declined_by_network" if failed else "approved_by_network",
            "reason": "insufficient_funds" if failed else None,
            "risk_level": "normal",
            "seller_message": "The bank returned the decline code `insufficient_funds`."
            if failed
            else "Payment complete.",
            "type": "issuer_declined" if failed else "authorized",
        },
        "paid": not failed,
        "payment_intent": intent,
        "payment_method": "pm_1PZkCard",
        "payment_method_details": {"card": {"brand": "visa", "country": "AU", "last4": "4242"}, "type": "card"},
        "receipt_email": None,
        "refunded": False,
        "status": "failed" if failed else "succeeded",
        "transfer_data": None,
    }
    if version != BASIL:
        shape["invoice"] = invoice
    return shape | extra


def intent(
    id_: str = "pi_1",
    *,
    status: str = "succeeded",
    charge_id: str | None = "ch_1",
    version: str = BASIL,
    invoice: str | None = None,
    amount: int = 11_000,
    at: int = AT,
    **extra: Any,
) -> Json:
    """A PaymentIntent; before basil it names its invoice."""
    error = None
    if status == "requires_payment_method":
        error = {
            "charge": charge_id,
            "code": "card_declined",
            "decline_code": "insufficient_funds",
            "doc_url": "https://stripe.com/docs/error-codes/card-declined",
            "message": "Your card has insufficient funds.",
            "payment_method": {"id": "pm_1PZkCard", "object": "payment_method", "type": "card"},
            "type": "card_error",
        }
    shape: Json = {
        "id": id_,
        "object": "payment_intent",
        "amount": amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": amount if status == "succeeded" else 0,
        "canceled_at": None,
        "capture_method": "automatic",
        "confirmation_method": "automatic",
        "created": at - 2,
        "currency": "aud",
        "customer": CUSTOMER,
        "description": "Subscription update",
        "last_payment_error": error,
        "latest_charge": charge_id,
        "livemode": False,
        "metadata": {},
        "next_action": None,
        "payment_method_types": ["card"],
        "processing": None,
        "setup_future_usage": "off_session",
        "status": status,
    }
    if version != BASIL:
        shape["invoice"] = invoice
    return shape | extra


def invoice(
    id_: str = "in_1",
    *,
    status: str = "paid",
    version: str = BASIL,
    intent_id: str | None = "pi_1",
    charge_id: str | None = "ch_1",
    total: int = 11_000,
    tax: int | None = 1_000,
    at: int = AT,
    **extra: Any,
) -> Json:
    """An invoice of a subscription; before basil it names what paid it."""
    paid = status == "paid"
    shape: Json = {
        "id": id_,
        "object": "invoice",
        "account_country": "AU",
        "account_name": "Backbone Martial Arts",
        "amount_due": total,
        "amount_paid": total if paid else 0,
        "amount_remaining": 0 if paid else total,
        "attempt_count": 1,
        "attempted": True,
        "auto_advance": False,
        "billing_reason": "subscription_cycle",
        "collection_method": "charge_automatically",
        "created": at - 3_600,
        "currency": "aud",
        "customer": CUSTOMER,
        "customer_name": "Mark Stevens",
        "due_date": None,
        "lines": {
            "object": "list",
            "data": [],
            "has_more": False,
            "total_count": 0,
            "url": f"/v1/invoices/{id_}/lines",
        },
        "livemode": False,
        "metadata": {},
        "next_payment_attempt": None,
        "number": "MARK-0001",
        "period_end": at,
        "period_start": at - 2_592_000,
        "starting_balance": 0,
        "status": status,
        "status_transitions": {
            "finalized_at": at - 10,
            "marked_uncollectible_at": None,
            "paid_at": at if paid else None,
            "voided_at": None,
        },
        "subtotal": total,
        "total": total,
    }
    if version == BASIL:
        return shape | _since_basil(tax) | extra
    return shape | _before_basil(intent_id, charge_id if paid else None, tax, paid=paid) | extra


def _since_basil(tax: int | None) -> Json:
    taxes = [] if tax is None else [{"amount": tax, "tax_behavior": "inclusive", "type": "tax_rate_details"}]
    return {
        "amount_overpaid": 0,
        "parent": {
            "quote_details": None,
            "subscription_details": {"metadata": {}, "subscription": "sub_1PZkMark"},
            "type": "subscription_details",
        },
        "total_taxes": taxes,
    }


def _before_basil(intent_id: str | None, charge_id: str | None, tax: int | None, *, paid: bool) -> Json:
    return {
        "charge": charge_id,
        "paid": paid,
        "paid_out_of_band": False,
        "payment_intent": intent_id,
        "subscription": "sub_1PZkMark",
        "tax": tax,
        "total_tax_amounts": [] if tax is None else [{"amount": tax, "inclusive": True, "tax_rate": "txr_1PZk"}],
    }


def invoice_payment(
    id_: str = "inpay_1", *, invoice_id: str = "in_1", intent_id: str = "pi_1", amount: int = 11_000, **extra: Any
) -> Json:
    """What joins an invoice and a PaymentIntent from basil on."""
    shape: Json = {
        "id": id_,
        "object": "invoice_payment",
        "amount_paid": amount,
        "amount_requested": amount,
        "created": AT - 10,
        "currency": "aud",
        "invoice": invoice_id,
        "is_default": True,
        "livemode": False,
        "payment": {"payment_intent": intent_id, "type": "payment_intent"},
        "status": "paid",
        "status_transitions": {"canceled_at": None, "paid_at": AT},
    }
    return shape | extra


_CAUSES: Final = {
    "created": ("payment_created", "Payment created via the API."),
    "submitted": ("payment_submitted", "Payment submitted to the banks."),
    "confirmed": ("payment_confirmed", "Enough time has passed since the payment was submitted."),
    "paid_out": ("payment_paid_out", "The payment has been paid out by GoCardless."),
    "failed": ("insufficient_funds", "The customer's account had insufficient funds to make this payment."),
    "late_failure_settled": ("late_failure_settled", "This late failure has been settled against a payout."),
    "charged_back": ("authorisation_disputed", "The customer disputes having authorised this payment."),
}


def debit(
    action: str,
    *,
    at: str = "2026-10-05T01:00:00.000Z",
    payment: str = "PM000MARK",
    id_: str | None = None,
    **extra: Any,
) -> Json:
    """An event about a GoCardless payment, with `details` as BECS shows them."""
    cause, description = _CAUSES.get(action, ("other", "Something happened."))
    details: Json = {
        "origin": "bank" if action in ("failed", "charged_back") else "gocardless",
        "cause": cause,
        "description": description,
        "scheme": "becs",
    }
    if action == "failed":
        details |= {"reason_code": "6", "will_attempt_retry": False, "not_retried_reason": "failure_filter_applied"}
    links = {"payment": payment}
    if action in ("paid_out", "late_failure_settled"):
        links["payout"] = "PO000OCTOBER"
    shape: Json = {
        "id": id_ or f"EV_{payment}_{action}_{at}",
        "created_at": at,
        "resource_type": "payments",
        "action": action,
        "links": links,
        "details": details,
        "metadata": {},
        "resource_metadata": {},
    }
    return shape | extra


def debits(*events: Any) -> bytes:
    """One request body with these events."""
    return orjson.dumps({"events": list(events), "meta": {"webhook_id": "WB000123"}})


def fetched_debit(
    payment: str = "PM000MARK", *, status: str = "pending_submission", customer: str | None = "CU000MARK", **extra: Any
) -> Json:
    """What the API answers about a payment and its mandate."""
    shown: Json = {
        "payments": {
            "id": payment,
            "created_at": "2026-10-01T00:00:00.000Z",
            "charge_date": "2026-10-03",
            "amount": 11_000,
            "description": None,
            "currency": "AUD",
            "status": status,
            "amount_refunded": 0,
            "reference": None,
            "metadata": {},
            "links": {"mandate": "MD000MARK", "creditor": "CR000BACKBONE"},
            **extra,
        }
    }
    if customer:
        links = {"customer": customer, "customer_bank_account": "BA000MARK", "creditor": "CR000BACKBONE"}
        shown["mandates"] = {"id": "MD000MARK", "status": "active", "scheme": "becs", "links": links}
    return shown

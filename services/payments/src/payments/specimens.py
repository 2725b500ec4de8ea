"""What payments, deliveries, members and their ledgers look like in the document: one payment of Mark Stevens'."""

from __future__ import annotations

from typing import Any, Final

Json = dict[str, Any]

PAYMENT_ID: Final = "0198c2f4-7c10-7b02-8f4e-3a5d6c7b8e90"
DELIVERY_ID: Final = "0198c2f4-7b55-7e10-9c1d-0a1b2c3d4e5f"
INVOICE_ID: Final = "0198c2f4-7c10-7b02-8f4e-3a5d6c7b8e91"
MEMBER_ID: Final = "mark-stevens"
_AT: Final = "2026-03-02T09:15:30Z"
_PRICE: Final[Json] = {"amount_minor": 11_000, "currency": "AUD"}

MEMBER_GIVEN: Final[Json] = {
    "name": "Mark Stevens",
    "customers": [{"provider": "stripe", "reference": "cus_PmR7vTq2WkLx9d", "account": "self"}],
}
MEMBER: Final[Json] = {"id": MEMBER_ID, **MEMBER_GIVEN, "version": 1}

LEDGER: Final[Json] = {
    "member": MEMBER,
    "lines": [
        {
            "effective_at": _AT,
            "recorded_at": _AT,
            "words": "Invoice 1BZ2K7-0001",
            "amount": _PRICE,
            "balance": _PRICE,
            "payment_id": None,
            "invoice_id": INVOICE_ID,
            "provider_event_id": "0198c2f4-7b56-7c21-8a0b-1c2d3e4f5a6b",
        }
    ],
    "balances": [_PRICE],
    "next": None,
}

PAYMENT: Final[Json] = {
    "id": PAYMENT_ID,
    "provider": "stripe",
    "account": "self",
    "reference": "pi_3Qx8TzKp4VnW2mRb0c",
    "state": "failed",
    "amount": _PRICE,
    "member_id": MEMBER_ID,
    "customer": "cus_PmR7vTq2WkLx9d",
    "invoice_id": INVOICE_ID,
    "created_at": _AT,
    "awaiting": [],
    "version": 2,
}
PAYMENT_DETAIL: Final[Json] = {
    **PAYMENT,
    "superseded": False,
    "attempts": [
        {
            "attempt": "ch_3Qx8TzKp4VnW2mRb0c",
            "state": "failed",
            "at": _AT,
            "failure_code": "card_declined",
            "decline_code": "insufficient_funds",
            "failure_message": "Your card has insufficient funds.",
        }
    ],
    "invoice": {
        "id": INVOICE_ID,
        "reference": "1BZ2K7-0001",
        "state": "open",
        "implied": False,
        "total": _PRICE,
        "gst": {"amount_minor": 1_000, "currency": "AUD"},
        "gst_rule": "stated",
        "issued_at": _AT,
        "paid_at": None,
    },
    "retry": None,
    "retries": [],
}

DELIVERY: Final[Json] = {
    "id": DELIVERY_ID,
    "provider": "stripe",
    "state": "processed",
    "received_at": _AT,
    "last_received_at": _AT,
    "attempts": 1,
    "status_answered": 200,
    "verified_by": "stripe-1",
    "refusal": None,
    "body_bytes": 20,
    "sha256": "9f3c1f2a7d0b4e5c8a6f1d2e3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e",
    "events": 1,
}
DELIVERY_DETAIL: Final[Json] = {
    **DELIVERY,
    "headers": [["content-type", "application/json; charset=utf-8"]],
    "body": "eyJpZCI6ImV2dF8xUXgifQ==",
    "provider_events": [
        {
            "id": "0198c2f4-7b56-7c21-8a0b-1c2d3e4f5a6b",
            "delivery_id": DELIVERY_ID,
            "event_id": "evt_3Qx8TzKp4VnW2mRb0c",
            "type": "charge.failed",
            "account": "self",
            "livemode": False,
            "api_version": "2025-03-31.basil",
            "deliveries": 1,
            "outcome": "applied",
            "outcome_words": None,
            "payment_id": PAYMENT_ID,
            "ingested_at": _AT,
        }
    ],
}

PAYOUT_ID: Final = "0198c2f4-7d20-7a11-9b3c-4d5e6f708192"
PAYOUT: Final[Json] = {
    "id": PAYOUT_ID,
    "provider": "stripe",
    "reference": "po_1Qx8TzKp4VnW2mRb0c",
    "state": "paid",
    "automatic": True,
    "amount": {"amount_minor": 5_783, "currency": "AUD"},
    "listed_minor": "5783.0",
    "difference": {"amount_minor": 0, "currency": "AUD"},
    "created_at": _AT,
    "arrives_on": "2026-03-04",
    "banked_at": _AT,
    "version": 2,
}
PAYOUT_DETAIL: Final[Json] = {
    **PAYOUT,
    "lines": [
        {
            "line": 1,
            "type": "charge",
            "amount_minor": "10783.0",
            "gst_minor": "19.7",
            "source": "ch_3Qx8TzKp4VnW2mRb0c",
        },
        {
            "line": 2,
            "type": "refund",
            "amount_minor": "-5000.0",
            "gst_minor": "0.0",
            "source": "re_3Qx8TzKp4VnW2mRb0c",
        },
    ],
}
RETURNS: Final[Json] = {
    "refunds": [
        {
            "id": "0198c2f4-7d21-7b22-8c4d-5e6f70819203",
            "reference": "re_3Qx8TzKp4VnW2mRb0c",
            "state": "paid",
            "amount": {"amount_minor": 5_000, "currency": "AUD"},
            "created_at": _AT,
            "paid_at": _AT,
            "failed_at": None,
            "failure": None,
        }
    ],
    "disputes": [],
}

"""What the bench sends: Stripe's charge.succeeded in 3.9 kB, our own events in 862 B; every one distinct."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from contracts.envelope import Actor, Data, Entity, Event, Money, Workflow
from contracts.events import PaymentProviderEventIngested, ProviderEventReference, Referenced
from contracts.registry import type_of
from uuid_utils.compat import uuid7

STRIPE_BODY_BYTES = 3_900
EVENT_BYTES = 862
CUSTOMERS = 200
EVENTS_PER_KEY = 20
_NUMBER = "00000000"
_CUSTOMER = "cus_benchmember"


def stripe_event_id(run: str, number: int) -> str:
    return f"evt_{run}{number:08d}"


def customer(number: int) -> str:
    """The provider's id of the member that event `number` belongs to."""
    return f"{_CUSTOMER}{number % CUSTOMERS:03d}"


class StripeBodies:
    """Bodies of one run: `body(n)` is indented by two spaces as Stripe sends it, its ids differ by `n`."""

    def __init__(self, run: str) -> None:
        document = _charge_succeeded(run)
        padding = STRIPE_BODY_BYTES - len(_indented(document))
        document["data"]["object"]["description"] += "." * padding
        self._template = _indented(document)

    def body(self, number: int) -> bytes:
        owned = self._template.replace(f"{_CUSTOMER}000".encode(), customer(number).encode())
        return owned.replace(_NUMBER.encode(), b"%08d" % number)


def _indented(document: dict[str, Any]) -> bytes:
    return json.dumps(document, indent=2).encode()


def _charge_succeeded(run: str) -> dict[str, Any]:
    created = int(datetime.now(UTC).timestamp())
    return {
        "id": stripe_event_id(run, 0),
        "object": "event",
        "api_version": "2025-03-31.basil",
        "created": created,
        "data": {"object": _charge(run, created)},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": f"req_{run}{_NUMBER}", "idempotency_key": f"key_{run}{_NUMBER}"},
        "type": "charge.succeeded",
    }


def _charge(run: str, created: int) -> dict[str, Any]:
    return {
        "id": f"ch_{run}{_NUMBER}",
        "object": "charge",
        "amount": 11000,
        "amount_captured": 11000,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": f"txn_{run}{_NUMBER}",
        "billing_details": _billing_details(),
        "calculated_statement_descriptor": "MEMBERSHIP",
        "captured": True,
        "created": created,
        "currency": "aud",
        "customer": f"{_CUSTOMER}000",
        "description": "Monthly membership",
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "fraud_details": {},
        "livemode": False,
        "metadata": {},
        "on_behalf_of": None,
        "outcome": {
            "advice_code": None,
            "network_advice_code": None,
            "network_decline_code": None,
            "network_status": "approved_by_network",
            "reason": None,
            "risk_level": "normal",
            "seller_message": "Payment complete.",
            "type": "authorized",
        },
        "paid": True,
        "payment_intent": f"pi_{run}{_NUMBER}",
        "payment_method": f"pm_{run}{_NUMBER}",
        "payment_method_details": {"card": _card(), "type": "card"},
        "receipt_email": None,
        "receipt_number": None,
        "receipt_url": None,
        "refunded": False,
        "review": None,
        "shipping": None,
        "source": None,
        "source_transfer": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "succeeded",
        "transfer_data": None,
        "transfer_group": None,
    }


def _billing_details() -> dict[str, Any]:
    address = {"city": "Sydney", "country": "AU", "line1": None, "line2": None, "postal_code": "2000", "state": "NSW"}
    return {"address": address, "email": None, "name": "Mark Stevens", "phone": None, "tax_id": None}


def _card() -> dict[str, Any]:
    return {
        "amount_authorized": 11000,
        "authorization_code": "123456",
        "brand": "visa",
        "checks": {"address_line1_check": None, "address_postal_code_check": "pass", "cvc_check": None},
        "country": "AU",
        "exp_month": 8,
        "exp_year": 2030,
        "extended_authorization": {"status": "disabled"},
        "fingerprint": "Xt5EWLLDS7FJjR1c",
        "funding": "credit",
        "incremental_authorization": {"status": "unavailable"},
        "installments": None,
        "last4": "4242",
        "mandate": None,
        "multicapture": {"status": "unavailable"},
        "network": "visa",
        "network_token": {"used": False},
        "network_transaction_id": "104557651805572",
        "overcapture": {"maximum_amount_capturable": 11000, "status": "unavailable"},
        "regulated_status": "unregulated",
        "three_d_secure": None,
        "wallet": None,
    }


@dataclass(frozen=True, slots=True)
class OwnEvent:
    """One event of ours as the outbox holds it; `number` counts up within a key."""

    id: str
    key: str
    value: bytes


def own_events(run: str, count: int) -> Iterator[OwnEvent]:
    """`count` events of 862 B; about twenty share a key, spread so that neighbours have other keys."""
    keys = max(1, count // EVENTS_PER_KEY)
    declared = type_of(PaymentProviderEventIngested)
    for number in range(count):
        payment = f"{run}-{number % keys}"
        identity = str(uuid7())
        event = Event[PaymentProviderEventIngested](
            id=identity,
            source="/payments",
            type=declared.name,
            subject=payment,
            time=datetime.now(UTC),
            dataschema=declared.dataschema,
            correlationid=identity,
            partitionkey=payment,
            data=_ingested(payment, number),
        )
        yield OwnEvent(identity, payment, _padded(event))


def _padded(event: Event[PaymentProviderEventIngested]) -> bytes:
    """The event's bytes, its reason filled up to 862 B."""
    missing = EVENT_BYTES - len(event.encode()) - len('"reason":"",')
    data = event.data.model_copy(update={"reason": "." * max(0, missing)})
    return event.model_copy(update={"data": data}).encode()


def _ingested(payment: str, number: int) -> Data[PaymentProviderEventIngested]:
    return Data[PaymentProviderEventIngested](
        actor=Actor(kind="provider", id="stripe", name="Stripe"),
        entity=Entity(type="payment", id=payment),
        workflow=Workflow(name="collection", id=payment),
        after={"number": number},
        body=PaymentProviderEventIngested(
            provider="stripe",
            provider_event=ProviderEventReference(
                id=f"evt_{number}", type="charge.succeeded", account="", livemode=False, delivery_id="d"
            ),
            what="a payment",
            outcome="applied",
            payment=Referenced(id=payment, reference=f"ch_{number}"),
            amount=Money(amount_minor=11000, currency="AUD"),
        ),
    )

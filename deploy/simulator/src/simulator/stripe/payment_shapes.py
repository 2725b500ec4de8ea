"""Customers, payment methods, charges and PaymentIntents as the API and the events show them."""

from __future__ import annotations

from typing import Final

from simulator.stripe.book import Book, is_basil
from simulator.stripe.objects import Charge, Customer, Json, PaymentIntent, PaymentMethod
from simulator.stripe.outcomes import OUTCOMES, Outcome

_NO_ADDRESS: Final = {"city": None, "country": None, "line1": None, "line2": None, "postal_code": None, "state": None}
_CARD_EXPIRY: Final = {"exp_month": 12, "exp_year": 2034}
_SELLER_MESSAGES: Final = {
    "insufficient_funds": "The bank returned the decline code `insufficient_funds`.",
    "lost_card": "The bank returned the decline code `lost_card`.",
    "stolen_card": "The bank returned the decline code `stolen_card`.",
}
_DOCUMENTATION: Final = "https://stripe.com/docs/error-codes"


def customer(thing: Customer) -> Json:
    """Return a customer."""
    return {
        "id": thing.id,
        "object": "customer",
        "address": None,
        "balance": 0,
        "created": thing.created,
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": thing.description,
        "discount": None,
        "email": thing.email,
        "invoice_prefix": thing.invoice_prefix,
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": thing.default_payment_method,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": dict(thing.metadata),
        "name": thing.name,
        "next_invoice_sequence": thing.next_invoice_sequence,
        "phone": thing.phone,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }


def payment_method(thing: PaymentMethod) -> Json:
    """Return a payment method: a card or an Australian bank account."""
    details = _account(thing) if thing.bsb else {**_card(thing), "generated_from": None, "display_brand": thing.brand}
    return {
        "id": thing.id,
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": _billing_details(thing),
        thing.type: details,
        "created": thing.created,
        "customer": thing.customer,
        "livemode": False,
        "metadata": {},
        "type": thing.type,
    }


def charge(book: Book, thing: Charge, api_version: str) -> Json:
    """Return a charge: one attempt to take money."""
    method = book.payment_methods[thing.payment_method]
    outcome = OUTCOMES[thing.outcome]
    failed = thing.status == "failed"
    settled = thing.status == "succeeded"
    refunded, dispute = book.refunded(thing.id), book.dispute_of(thing.id)
    shape: Json = {
        "id": thing.id,
        "object": "charge",
        "amount": thing.amount,
        "amount_captured": thing.amount if settled else 0,
        "amount_refunded": refunded,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": thing.balance_transaction,
        "billing_details": _billing_details(method),
        "calculated_statement_descriptor": "BACKBONE GYM" if method.type == "card" else None,
        "captured": settled,
        "created": thing.created,
        "currency": thing.currency,
        "customer": thing.customer,
        "description": thing.description,
        "destination": None,
        "dispute": dispute.id if dispute else None,
        "disputed": dispute is not None,
        "failure_balance_transaction": None,
        "failure_code": outcome.code if failed else None,
        "failure_message": outcome.message if failed else None,
        "fraud_details": {},
        "livemode": False,
        "metadata": dict(thing.metadata),
        "on_behalf_of": None,
        "order": None,
        "outcome": _outcome(outcome, api_version, failed=failed),
        "paid": not failed,
        "payment_intent": thing.payment_intent,
        "payment_method": thing.payment_method,
        "payment_method_details": _payment_method_details(method, thing.amount),
        "receipt_email": None,
        "receipt_number": None,
        "receipt_url": f"https://pay.stripe.com/receipts/payment/{thing.id}" if settled else None,
        "refunded": settled and refunded == thing.amount,
        "review": None,
        "shipping": None,
        "source": None,
        "source_transfer": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": thing.status,
        "transfer_data": None,
        "transfer_group": None,
    }
    if not is_basil(api_version):
        shape["invoice"] = thing.invoice
    return shape


def payment_intent(book: Book, thing: PaymentIntent, api_version: str) -> Json:
    """Return a PaymentIntent. From basil on it does not name its invoice."""
    received = thing.amount if thing.status == "succeeded" else 0
    shape: Json = {
        "id": thing.id,
        "object": "payment_intent",
        "amount": thing.amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": received,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": thing.canceled_at,
        "cancellation_reason": thing.cancellation_reason,
        "capture_method": "automatic",
        "client_secret": thing.client_secret,
        "confirmation_method": "automatic",
        "created": thing.created,
        "currency": thing.currency,
        "customer": thing.customer,
        "description": thing.description,
        "last_payment_error": _last_payment_error(book, thing),
        "latest_charge": thing.latest_charge,
        "livemode": False,
        "metadata": dict(thing.metadata),
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None if thing.failed else thing.payment_method,
        "payment_method_configuration_details": None,
        "payment_method_options": _payment_method_options(thing.payment_method_types),
        "payment_method_types": list(thing.payment_method_types),
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": thing.setup_future_usage,
        "shipping": None,
        "source": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": thing.status,
        "transfer_data": None,
        "transfer_group": None,
    }
    if not is_basil(api_version):
        shape["invoice"] = thing.invoice
    return shape


def decline(book: Book, thing: Charge) -> Json:
    """Return the card error of a failed charge, without the objects that an API answer adds."""
    outcome = OUTCOMES[thing.outcome]
    shape: Json = {
        "charge": thing.id,
        "code": outcome.code,
        "doc_url": f"{_DOCUMENTATION}/{outcome.code.replace('_', '-')}",
        "message": outcome.message,
        "payment_method": payment_method(book.payment_methods[thing.payment_method]),
        "type": "card_error" if outcome.course == "declines" else "invalid_request_error",
    }
    if outcome.decline_code:
        shape["decline_code"] = outcome.decline_code
    if outcome.advice:
        shape["advice_code"] = outcome.advice
    if outcome.network_code:
        shape["network_decline_code"] = outcome.network_code
    return dict(sorted(shape.items()))


def _last_payment_error(book: Book, thing: PaymentIntent) -> Json | None:
    if not thing.failed or thing.latest_charge is None:
        return None
    return decline(book, book.charges[thing.latest_charge])


def _billing_details(method: PaymentMethod) -> Json:
    return {"address": dict(_NO_ADDRESS), "email": method.email, "name": method.name, "phone": None, "tax_id": None}


def _card(method: PaymentMethod) -> Json:
    return {
        "brand": method.brand,
        "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
        "country": method.country,
        **_CARD_EXPIRY,
        "fingerprint": f"fp{method.brand}{method.last4}",
        "funding": "credit",
        "last4": method.last4,
        "networks": {"available": [method.brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }


def _account(method: PaymentMethod) -> Json:
    return {"bsb_number": method.bsb, "fingerprint": f"fpbecs{method.last4}", "last4": method.last4}


def _payment_method_details(method: PaymentMethod, amount: int) -> Json:
    if method.bsb:
        return {"au_becs_debit": {**_account(method), "mandate": f"mandate_{method.id[3:]}"}, "type": "au_becs_debit"}
    card = _card(method)
    for only_of_the_method in ("networks", "three_d_secure_usage"):
        del card[only_of_the_method]
    return {
        "card": {
            "amount_authorized": amount,
            "authorization_code": None,
            **card,
            "extended_authorization": {"status": "disabled"},
            "incremental_authorization": {"status": "unavailable"},
            "installments": None,
            "mandate": None,
            "multicapture": {"status": "unavailable"},
            "network": method.brand,
            "network_token": {"used": False},
            "network_transaction_id": f"{int(method.last4):015d}",
            "overcapture": {"maximum_amount_capturable": amount, "status": "unavailable"},
            "three_d_secure": None,
        },
        "type": "card",
    }


def _payment_method_options(types: list[str]) -> Json:
    card = {"installments": None, "mandate_options": None, "network": None, "request_three_d_secure": "automatic"}
    return {kind: dict(card) if kind == "card" else {} for kind in types}


def _outcome(outcome: Outcome, api_version: str, *, failed: bool) -> Json:
    shape: Json = {
        "network_status": "declined_by_network" if failed else "approved_by_network",
        "reason": (outcome.decline_code or outcome.code) if failed else None,
        "risk_level": "normal",
        "risk_score": 12,
        "seller_message": "Payment complete.",
        "type": "issuer_declined" if failed else "authorized",
    }
    if failed:
        reason = shape["reason"]
        shape["seller_message"] = _SELLER_MESSAGES.get(reason, "The bank did not return any further details.")
    if is_basil(api_version):
        shape["advice_code"] = outcome.advice if failed else None
        shape["network_advice_code"] = None
        shape["network_decline_code"] = outcome.network_code if failed else None
    return dict(sorted(shape.items()))

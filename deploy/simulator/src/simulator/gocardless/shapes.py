"""GoCardless' objects and events as its API (2015-07-06) and its webhooks show them."""

from __future__ import annotations

from typing import Final

from simulator.clock import iso_ms, working_days_after
from simulator.gocardless.objects import (
    BankAccount,
    Book,
    Customer,
    Event,
    Json,
    Mandate,
    Payment,
    Payout,
    PayoutItem,
    Refund,
    Thing,
)

CREDITOR: Final = "CR000BACKBONE1"
CREDITOR_ACCOUNT: Final = "BA000BACKBONE1"
_GST_RATE: Final = {"percentage": "10.0", "tax_rate_id": "AU_GST_1"}
_NO_EXCHANGE: Final = {
    "fx_currency": "AUD",
    "fx_amount": None,
    "exchange_rate": None,
    "estimated_exchange_rate": None,
}


def creditor() -> Json:
    """Return the business that collects, as the API shows it."""
    return {
        "id": CREDITOR,
        "created_at": "2025-01-01T00:00:00.000Z",
        "name": "Backbone",
        "address_line1": None,
        "address_line2": None,
        "address_line3": None,
        "city": None,
        "region": None,
        "postal_code": None,
        "country_code": "AU",
        "creditor_type": "company",
        "custom_payment_pages_enabled": False,
        "fx_payout_currency": None,
        "logo_url": None,
        "mandate_imports_enabled": False,
        "merchant_responsible_for_notifications": False,
        "verification_status": "successful",
        "can_create_refunds": False,
        "bank_reference_prefix": "BACKBONE",
        "scheme_identifiers": [],
        "links": {"default_aud_payout_account": CREDITOR_ACCOUNT},
    }


def render(book: Book, thing: Thing) -> Json:
    """Return `thing` as the API shows it."""
    match thing:
        case Customer():
            return _customer(thing)
        case BankAccount():
            return _bank_account(thing)
        case Mandate():
            return _mandate(book, thing)
        case Payment():
            return _payment(book, thing)
        case Refund():
            return _refund(thing)
        case Payout():
            return _payout(thing)


def event(thing: Event) -> Json:
    """Return an event as webhooks and `GET /events` show it."""
    return {
        "id": thing.id,
        "created_at": iso_ms(thing.created_at),
        "resource_type": thing.resource_type,
        "action": thing.action,
        "links": dict(thing.links),
        "details": dict(thing.details),
        "metadata": {},
        "resource_metadata": dict(thing.resource_metadata),
    }


def payout_item(thing: PayoutItem, book: Book) -> Json:
    """Return one line of a payout, its amount to a tenth of a cent; fees hold one eleventh of GST."""
    links = {"payment": thing.payment, "mandate": book.payments[thing.payment].mandate}
    if thing.refund:
        links["refund"] = thing.refund
    taxes = []
    if thing.type in ("gocardless_fee", "surcharge_fee"):
        tax = {"amount": _tenths(thing.tenths // 11), "currency": "AUD", "destination_amount": None}
        taxes = [{**tax, "destination_currency": None, "exchange_rate": None, **_GST_RATE}]
    return {
        "amount": _tenths(thing.tenths),
        "type": thing.type,
        "taxes": taxes,
        "links": links,
    }


def _tenths(tenths: int) -> str:
    whole, tenth = divmod(abs(tenths), 10)
    return f"{'-' if tenths < 0 else ''}{whole}.{tenth}"


def _customer(thing: Customer) -> Json:
    return {
        "id": thing.id,
        "created_at": iso_ms(thing.created_at),
        "email": thing.email,
        "given_name": thing.given_name,
        "family_name": thing.family_name,
        "company_name": thing.company_name,
        "address_line1": thing.address_line1,
        "address_line2": None,
        "address_line3": None,
        "city": thing.city,
        "region": thing.region,
        "postal_code": thing.postal_code,
        "country_code": thing.country_code,
        "language": thing.language,
        "swedish_identity_number": None,
        "danish_identity_number": None,
        "phone_number": thing.phone_number,
        "metadata": dict(thing.metadata),
    }


def _bank_account(thing: BankAccount) -> Json:
    return {
        "id": thing.id,
        "created_at": iso_ms(thing.created_at),
        "account_number_ending": thing.account_number_ending,
        "account_holder_name": thing.account_holder_name,
        "account_type": None,
        "bank_account_token": None,
        "bank_name": "COMMONWEALTH BANK OF AUSTRALIA",
        "currency": "AUD",
        "country_code": "AU",
        "enabled": True,
        "metadata": dict(thing.metadata),
        "links": {"customer": thing.customer},
    }


def _mandate(book: Book, thing: Mandate) -> Json:
    dead = thing.status in {"cancelled", "failed", "expired", "consumed", "blocked"}
    newest = max((book.last_event_at or thing.created_at), thing.created_at)
    return {
        "id": thing.id,
        "created_at": iso_ms(thing.created_at),
        "reference": thing.reference,
        "status": thing.status,
        "scheme": thing.scheme,
        "next_possible_charge_date": None if dead else working_days_after(newest.date(), 2).isoformat(),
        "payments_require_approval": False,
        "metadata": dict(thing.metadata),
        "consent_parameters": None,
        "consent_type": None,
        "verified_at": None,
        "funds_settlement": "managed",
        "authorisation_source": "web",
        "links": {
            "customer_bank_account": thing.bank_account,
            "creditor": CREDITOR,
            "customer": thing.customer,
        },
    }


def _refund(thing: Refund) -> Json:
    return {
        "id": thing.id,
        "created_at": iso_ms(thing.created_at),
        "amount": thing.amount,
        "currency": thing.currency,
        "reference": thing.reference,
        "status": thing.status,
        "metadata": dict(thing.metadata),
        "fx": dict(_NO_EXCHANGE),
        "links": {"payment": thing.payment, "mandate": thing.mandate},
    }


def _payment(book: Book, thing: Payment) -> Json:
    alive = ("created", "paid")
    refunded = sum(each.amount for each in book.refunds.values() if each.payment == thing.id and each.status in alive)
    links = {"mandate": thing.mandate, "creditor": CREDITOR}
    if thing.payout:
        links["payout"] = thing.payout
    return {
        "id": thing.id,
        "created_at": iso_ms(thing.created_at),
        "charge_date": thing.charge_date.isoformat(),
        "amount": thing.amount,
        "description": thing.description,
        "currency": thing.currency,
        "status": thing.status,
        "amount_refunded": refunded,
        "reference": thing.reference,
        "metadata": dict(thing.metadata),
        "fx": dict(_NO_EXCHANGE),
        "retry_if_possible": thing.retry_if_possible,
        "faster_ach": None,
        "scheme": "becs",
        "links": links,
    }


def _payout(thing: Payout) -> Json:
    return {
        "id": thing.id,
        "amount": thing.amount,
        "arrival_date": working_days_after(thing.created_at.date(), 1).isoformat(),
        "created_at": iso_ms(thing.created_at),
        "currency": thing.currency,
        "deducted_fees": thing.deducted_fees,
        "fx": dict(_NO_EXCHANGE),
        "metadata": {},
        "payout_type": "merchant",
        "reference": thing.reference,
        "status": thing.status,
        "tax_currency": "AUD",
        "links": {"creditor": CREDITOR, "creditor_bank_account": CREDITOR_ACCOUNT},
    }

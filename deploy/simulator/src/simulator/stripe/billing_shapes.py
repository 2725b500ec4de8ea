"""Invoices and what belongs to them, in the shapes before and from API version 2025-03-31 (basil).

Basil took `payment_intent`, `charge`, `paid`, `tax` and `subscription` off the invoice and put `parent`,
`total_taxes` and `amount_overpaid` there; only an invoice payment joins an invoice to its PaymentIntent.
"""

from __future__ import annotations

from typing import Final

from simulator.stripe.book import Book, is_basil
from simulator.stripe.objects import Invoice, InvoiceItem, InvoicePayment, Json, gst_within

GST_RATE: Final = "txr_1QGstAu10PercentInclusive"
_NEVER_SET: Final = (
    "account_tax_ids",
    "application",
    "automatically_finalizes_at",
    "custom_fields",
    "customer_address",
    "customer_shipping",
    "default_source",
    "footer",
    "from_invoice",
    "last_finalization_error",
    "latest_revision",
    "on_behalf_of",
    "receipt_number",
    "rendering",
    "shipping_cost",
    "shipping_details",
    "statement_descriptor",
    "test_clock",
)


def invoice(book: Book, thing: Invoice, api_version: str) -> Json:
    """Return an invoice with its lines."""
    shape = _common(book, thing, api_version)
    shape |= _from_basil(thing) if is_basil(api_version) else _before_basil(thing)
    identity = {"id": shape.pop("id"), "object": shape.pop("object")}
    return identity | dict(sorted(shape.items()))


def invoice_payment(thing: InvoicePayment) -> Json:
    """Return what joins a payment to an invoice."""
    return {
        "id": thing.id,
        "object": "invoice_payment",
        "amount_paid": thing.amount_paid,
        "amount_requested": thing.amount_requested,
        "created": thing.created,
        "currency": thing.currency,
        "invoice": thing.invoice,
        "is_default": True,
        "livemode": False,
        "payment": {"payment_intent": thing.payment_intent, "type": "payment_intent"},
        "status": thing.status,
        "status_transitions": {"canceled_at": thing.canceled_at, "paid_at": thing.paid_at},
    }


def invoice_item(thing: InvoiceItem, api_version: str) -> Json:
    """Return an item that waits for an invoice or stands on one."""
    shape: Json = {
        "id": thing.id,
        "object": "invoiceitem",
        "amount": thing.amount,
        "currency": thing.currency,
        "customer": thing.customer,
        "date": thing.created,
        "description": thing.description,
        "discountable": True,
        "discounts": [],
        "invoice": thing.invoice,
        "livemode": False,
        "metadata": dict(thing.metadata),
        "period": {"end": thing.created, "start": thing.created},
        "proration": False,
        "quantity": 1,
        "tax_rates": [],
        "test_clock": None,
    }
    if is_basil(api_version):
        return shape | {"parent": None, "pricing": _pricing(thing, None)}
    return shape | {"plan": None, "price": None, "subscription": None, "unit_amount": thing.amount}


def _common(book: Book, thing: Invoice, api_version: str) -> Json:
    customer = book.customers[thing.customer]
    tax = thing.tax or 0
    hosted = f"https://invoice.stripe.com/i/acct_backbone/{thing.id}" if thing.finalized_at else None
    return {
        "id": thing.id,
        "object": "invoice",
        **dict.fromkeys(_NEVER_SET),
        "account_country": "AU",
        "account_name": "Backbone Martial Arts",
        "amount_due": thing.total,
        "amount_paid": thing.amount_paid,
        "amount_remaining": 0 if thing.status == "paid" else thing.total - thing.credited,
        "amount_shipping": 0,
        "attempt_count": thing.attempt_count,
        "attempted": thing.attempt_count > 0,
        "auto_advance": thing.auto_advance and thing.status in {"draft", "open"},
        "automatic_tax": _automatic_tax(thing, api_version),
        "billing_reason": thing.billing_reason,
        "collection_method": thing.collection_method,
        "created": thing.created,
        "currency": thing.currency,
        "customer": thing.customer,
        "customer_email": customer.email,
        "customer_name": customer.name,
        "customer_phone": customer.phone,
        "customer_tax_exempt": "none",
        "customer_tax_ids": [],
        "default_payment_method": thing.default_payment_method,
        "default_tax_rates": [],
        "description": thing.description,
        "discounts": [],
        "due_date": thing.due_date,
        "effective_at": thing.finalized_at,
        "ending_balance": 0 if thing.finalized_at else None,
        "hosted_invoice_url": hosted,
        "invoice_pdf": f"{hosted}/pdf" if hosted else None,
        "issuer": {"type": "self"},
        "lines": _lines(thing, api_version),
        "livemode": False,
        "metadata": dict(thing.metadata),
        "next_payment_attempt": thing.next_payment_attempt,
        "number": thing.number,
        "payment_settings": {
            "default_mandate": None,
            "payment_method_options": None,
            "payment_method_types": None,
        },
        "period_end": thing.period_end,
        "period_start": thing.period_start,
        "post_payment_credit_notes_amount": thing.credited if thing.status == "paid" else 0,
        "pre_payment_credit_notes_amount": 0 if thing.status == "paid" else thing.credited,
        "starting_balance": 0,
        "status": thing.status,
        "status_transitions": {
            "finalized_at": thing.finalized_at,
            "marked_uncollectible_at": thing.marked_uncollectible_at,
            "paid_at": thing.paid_at,
            "voided_at": thing.voided_at,
        },
        "subtotal": thing.total,
        "subtotal_excluding_tax": thing.total - tax,
        "total": thing.total,
        "total_discount_amounts": [],
        "total_excluding_tax": thing.total - tax,
        "total_pretax_credit_amounts": [],
        "webhooks_delivered_at": thing.created,
    }


def _automatic_tax(thing: Invoice, api_version: str) -> Json:
    shape: Json = {
        "disabled_reason": None,
        "enabled": thing.automatic_tax,
        "liability": {"type": "self"} if thing.automatic_tax else None,
        "status": "complete" if thing.automatic_tax else None,
    }
    if is_basil(api_version):
        shape["provider"] = "stripe" if thing.automatic_tax else None
    return shape


def _before_basil(thing: Invoice) -> Json:
    taxes = [] if thing.tax is None else [_old_tax(thing.tax, thing.total)]
    return {
        "application_fee_amount": None,
        "charge": thing.charge,
        "discount": None,
        "paid": thing.status == "paid",
        "paid_out_of_band": thing.paid_out_of_band,
        "payment_intent": thing.payment_intent,
        "quote": None,
        "subscription": thing.subscription,
        "subscription_details": {"metadata": {} if thing.subscription else None},
        "tax": thing.tax,
        "total_tax_amounts": taxes,
        "transfer_data": None,
    }


def _from_basil(thing: Invoice) -> Json:
    parent = None
    if thing.subscription:
        details = {"metadata": {}, "subscription": thing.subscription}
        parent = {"quote_details": None, "subscription_details": details, "type": "subscription_details"}
    return {
        "amount_overpaid": 0,
        "parent": parent,
        "total_taxes": [] if thing.tax is None else [_new_tax(thing.tax, thing.total)],
    }


def _lines(thing: Invoice, api_version: str) -> Json:
    render = _line_from_basil if is_basil(api_version) else _line_before_basil
    return {
        "object": "list",
        "data": [_line(thing, item) | render(thing, item) for item in thing.items],
        "has_more": False,
        "total_count": len(thing.items),
        "url": f"/v1/invoices/{thing.id}/lines",
    }


def _line(thing: Invoice, item: InvoiceItem) -> Json:
    return {
        "id": item.line,
        "object": "line_item",
        "amount": item.amount,
        "currency": item.currency,
        "description": item.description,
        "discount_amounts": [],
        "discountable": True,
        "discounts": [],
        "invoice": thing.id,
        "livemode": False,
        "metadata": dict(item.metadata),
        "period": {"end": thing.period_end, "start": thing.period_start},
        "pretax_credit_amounts": [],
        "quantity": 1,
    }


def _line_before_basil(thing: Invoice, item: InvoiceItem) -> Json:
    tax = gst_within(item.amount) if thing.automatic_tax else 0
    recurring = thing.subscription is not None
    return {
        "amount_excluding_tax": item.amount - tax,
        "invoice_item": None if recurring else item.id,
        "plan": None,
        "price": _price(thing, item),
        "proration": False,
        "proration_details": {"credited_items": None},
        "subscription": thing.subscription,
        "subscription_item": thing.subscription_item,
        "tax_amounts": [_old_tax(tax, item.amount)] if thing.automatic_tax else [],
        "tax_rates": [],
        "type": "subscription" if recurring else "invoiceitem",
        "unit_amount_excluding_tax": str(item.amount - tax),
    }


def _line_from_basil(thing: Invoice, item: InvoiceItem) -> Json:
    tax = gst_within(item.amount) if thing.automatic_tax else 0
    details = {"proration": False, "proration_details": {"credited_items": None}, "subscription": thing.subscription}
    if thing.subscription:
        details |= {"invoice_item": None, "subscription_item": thing.subscription_item}
        parent = {
            "invoice_item_details": None,
            "subscription_item_details": details,
            "type": "subscription_item_details",
        }
    else:
        details |= {"invoice_item": item.id}
        parent = {"invoice_item_details": details, "subscription_item_details": None, "type": "invoice_item_details"}
    return {
        "parent": parent,
        "pricing": _pricing(item, thing),
        "subscription": thing.subscription,
        "taxes": [_new_tax(tax, item.amount)] if thing.automatic_tax else [],
    }


def _pricing(item: InvoiceItem, thing: Invoice | None) -> Json:
    price = {"price": thing.price, "product": thing.product} if thing and thing.price else None
    return {"price_details": price, "type": "price_details", "unit_amount_decimal": str(item.amount)}


def _price(thing: Invoice, item: InvoiceItem) -> Json | None:
    if thing.price is None:
        return None
    return {
        "id": thing.price,
        "object": "price",
        "active": True,
        "billing_scheme": "per_unit",
        "created": thing.period_start,
        "currency": item.currency,
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": None,
        "metadata": {},
        "nickname": None,
        "product": thing.product,
        "recurring": {
            "aggregate_usage": None,
            "interval": "month",
            "interval_count": 1,
            "meter": None,
            "trial_period_days": None,
            "usage_type": "licensed",
        },
        "tax_behavior": "inclusive",
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "recurring",
        "unit_amount": item.amount,
        "unit_amount_decimal": str(item.amount),
    }


def _old_tax(tax: int, amount: int) -> Json:
    return {
        "amount": tax,
        "inclusive": True,
        "tax_rate": GST_RATE,
        "taxability_reason": "standard_rated",
        "taxable_amount": amount - tax,
    }


def _new_tax(tax: int, amount: int) -> Json:
    return {
        "amount": tax,
        "tax_behavior": "inclusive",
        "tax_rate_details": {"tax_rate": GST_RATE},
        "taxability_reason": "standard_rated",
        "taxable_amount": amount - tax,
        "type": "tax_rate_details",
    }

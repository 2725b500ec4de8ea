"""What the Stripe API can be asked to do, one short function each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from simulator.stripe import billing, crediting, disputes, parameters, payments, payouts, refunds
from simulator.stripe.account import Account, RefusedError
from simulator.stripe.objects import (
    CreditNote,
    Customer,
    Dispute,
    Invoice,
    InvoiceItem,
    Origin,
    PaymentIntent,
    PaymentMethod,
    Payout,
    Refund,
    Thing,
)
from simulator.stripe.outcomes import by_bank_account, by_card_number, by_token

Run = Callable[[Account, Origin, Any, str], Thing]


def create_customer(account: Account, by: Origin, wanted: parameters.CreateCustomer, _: str) -> Customer:
    """Add a customer."""
    return account.create_customer(
        by,
        customer_id=wanted.id,
        name=wanted.name,
        email=wanted.email,
        phone=wanted.phone,
        description=wanted.description,
        metadata=wanted.metadata,
        payment_method=wanted.invoice_settings.default_payment_method or wanted.payment_method,
    )


def update_customer(account: Account, by: Origin, wanted: parameters.UpdateCustomer, thing_id: str) -> Customer:
    """Change what is given, and leave the rest."""
    thing = account.customer(thing_id, "id")
    before = account.render(thing, account.api_version)
    for name in wanted.model_fields_set & {"name", "email", "phone", "description"}:
        setattr(thing, name, getattr(wanted, name))
    thing.metadata = {**thing.metadata, **(wanted.metadata or {})}
    method = wanted.invoice_settings.default_payment_method
    if method is not None:
        thing.default_payment_method = account.attach(account.usable(method, thing.id), thing.id).id
    after = account.render(thing, account.api_version)
    previous = {name: before[name] for name in before if before[name] != after[name]}
    if previous:
        account.emit("customer.updated", thing, by, previous)
    return thing


def create_payment_method(
    account: Account, _: Origin, wanted: parameters.CreatePaymentMethod, __: str
) -> PaymentMethod:
    """Add one of Stripe's test cards or test bank accounts."""
    instrument = None
    if wanted.card is not None:
        instrument = by_card_number(wanted.card.number or "") or by_token(wanted.card.token or "")
    elif wanted.au_becs_debit is not None:
        instrument = by_bank_account(wanted.au_becs_debit.bsb_number, wanted.au_becs_debit.account_number)
    if instrument is None:
        raise RefusedError("Only Stripe's test numbers are known here.", code="testmode_only", param=wanted.type)
    return account.new_payment_method(instrument, wanted.billing_details.name, wanted.billing_details.email)


def attach_payment_method(
    account: Account, _: Origin, wanted: parameters.AttachPaymentMethod, thing_id: str
) -> PaymentMethod:
    """Give a payment method to a customer."""
    return account.attach(account.usable(thing_id, wanted.customer), wanted.customer)


def create_payment_intent(
    account: Account, by: Origin, wanted: parameters.CreatePaymentIntent, _: str
) -> PaymentIntent:
    """Add a PaymentIntent, and attempt it at once where asked to."""
    method = wanted.payment_method
    if method is None and wanted.confirm and wanted.customer is not None:
        method = account.customer(wanted.customer).default_payment_method
    intent = payments.create(
        account,
        by,
        amount=wanted.amount,
        currency=wanted.currency,
        customer=wanted.customer,
        payment_method=method,
        payment_method_types=wanted.payment_method_types,
        description=wanted.description,
        setup_future_usage=wanted.setup_future_usage,
        metadata=wanted.metadata,
    )
    if wanted.confirm:
        payments.confirm(account, by, intent)
    return intent


def confirm_payment_intent(
    account: Account, by: Origin, wanted: parameters.ConfirmPaymentIntent, thing_id: str
) -> PaymentIntent:
    """Attempt a PaymentIntent, and carry the outcome over to the invoice that it pays."""
    intent = payments.held(account, thing_id)
    if intent.invoice is None:
        payments.confirm(account, by, intent, wanted.payment_method)
    else:
        billing.confirm(account, by, intent, wanted.payment_method)
    return intent


def cancel_payment_intent(
    account: Account, by: Origin, wanted: parameters.CancelPaymentIntent, thing_id: str
) -> PaymentIntent:
    """Give up a PaymentIntent."""
    intent = payments.held(account, thing_id)
    payments.cancel(account, by, intent, wanted.cancellation_reason)
    return intent


def create_invoice_item(account: Account, _: Origin, wanted: parameters.CreateInvoiceItem, __: str) -> InvoiceItem:
    """Add an item to a draft or for the next invoice."""
    return billing.add_item(
        account,
        wanted.customer,
        amount=wanted.amount,
        currency=wanted.currency,
        description=wanted.description,
        invoice=wanted.invoice,
        metadata=wanted.metadata,
    )


def create_invoice(account: Account, by: Origin, wanted: parameters.CreateInvoice, _: str) -> Invoice:
    """Draft an invoice."""
    invoice = billing.create(
        account,
        by,
        customer=wanted.customer,
        currency=wanted.currency,
        description=wanted.description,
        auto_advance=wanted.auto_advance,
        collection_method=wanted.collection_method,
        automatic_tax=wanted.automatic_tax.enabled,
        default_payment_method=wanted.default_payment_method,
        take_waiting_items=wanted.pending_invoice_items_behavior == "include",
        metadata=wanted.metadata,
    )
    if wanted.days_until_due is not None:
        invoice.due_date = invoice.created + wanted.days_until_due * 86_400
    return invoice


def finalize_invoice(account: Account, by: Origin, wanted: parameters.FinalizeInvoice, thing_id: str) -> Invoice:
    """Number an invoice and open its payment."""
    invoice = billing.held(account, thing_id, "id")
    if wanted.auto_advance is not None:
        invoice.auto_advance = wanted.auto_advance
    return billing.finalize(account, by, invoice)


def pay_invoice(account: Account, by: Origin, wanted: parameters.PayInvoice, thing_id: str) -> Invoice:
    """Collect an invoice, drafting being over."""
    invoice = billing.held(account, thing_id, "id")
    if invoice.status == "draft":
        billing.finalize(account, by, invoice)
    if wanted.paid_out_of_band:
        return billing.pay_out_of_band(account, by, invoice)
    return billing.pay(account, by, invoice, wanted.payment_method)


def void_invoice(account: Account, by: Origin, _: parameters.Nothing, thing_id: str) -> Invoice:
    """Cancel an open invoice."""
    return billing.void(account, by, billing.held(account, thing_id, "id"))


def give_up_invoice(account: Account, by: Origin, _: parameters.Nothing, thing_id: str) -> Invoice:
    """Mark an open invoice as uncollectible."""
    return crediting.give_up(account, by, billing.held(account, thing_id, "id"))


def create_credit_note(account: Account, by: Origin, wanted: parameters.CreateCreditNote, _: str) -> CreditNote:
    """Credit an invoice, and refund part of it where asked to."""
    return crediting.create(account, by, **wanted.model_dump(exclude={"expand"}))


def void_credit_note(account: Account, by: Origin, _: parameters.Nothing, thing_id: str) -> CreditNote:
    """Take a credit note back."""
    return crediting.void(account, by, crediting.held_note(account, thing_id))


def create_refund(account: Account, by: Origin, wanted: parameters.CreateRefund, _: str) -> Refund:
    """Refund a charge, wholly or in part."""
    return refunds.create(account, by, **wanted.model_dump(exclude={"expand"}))


def update_dispute(account: Account, by: Origin, wanted: parameters.UpdateDispute, thing_id: str) -> Dispute:
    """Counter a dispute."""
    return disputes.submit(account, by, disputes.held(account, thing_id), wanted.evidence, wanted.metadata)


def close_dispute(account: Account, by: Origin, _: parameters.Nothing, thing_id: str) -> Dispute:
    """Accept a dispute: it is lost."""
    return disputes.decide(account, disputes.held(account, thing_id), "lost", by)


def create_payout(account: Account, by: Origin, wanted: parameters.CreatePayout, _: str) -> Payout:
    """Pay out a sum by hand."""
    return payouts.create(account, by, amount=wanted.amount, currency=wanted.currency, description=wanted.description)


def cancel_payout(account: Account, by: Origin, _: parameters.Nothing, thing_id: str) -> Payout:
    """Stop a payout."""
    return payouts.cancel(account, by, payouts.held(account, thing_id))


OPERATIONS: Final[dict[str, tuple[type[parameters.Parameters], Run]]] = {
    "customers": (parameters.CreateCustomer, create_customer),
    "customers/{id}": (parameters.UpdateCustomer, update_customer),
    "payment_methods": (parameters.CreatePaymentMethod, create_payment_method),
    "payment_methods/{id}/attach": (parameters.AttachPaymentMethod, attach_payment_method),
    "payment_intents": (parameters.CreatePaymentIntent, create_payment_intent),
    "payment_intents/{id}/confirm": (parameters.ConfirmPaymentIntent, confirm_payment_intent),
    "payment_intents/{id}/cancel": (parameters.CancelPaymentIntent, cancel_payment_intent),
    "invoiceitems": (parameters.CreateInvoiceItem, create_invoice_item),
    "invoices": (parameters.CreateInvoice, create_invoice),
    "invoices/{id}/finalize": (parameters.FinalizeInvoice, finalize_invoice),
    "invoices/{id}/pay": (parameters.PayInvoice, pay_invoice),
    "invoices/{id}/void": (parameters.Nothing, void_invoice),
    "invoices/{id}/mark_uncollectible": (parameters.Nothing, give_up_invoice),
    "credit_notes": (parameters.CreateCreditNote, create_credit_note),
    "credit_notes/{id}/void": (parameters.Nothing, void_credit_note),
    "refunds": (parameters.CreateRefund, create_refund),
    "disputes/{id}": (parameters.UpdateDispute, update_dispute),
    "disputes/{id}/close": (parameters.Nothing, close_dispute),
    "payouts": (parameters.CreatePayout, create_payout),
    "payouts/{id}/cancel": (parameters.Nothing, cancel_payout),
}

"""Invoices: drafted, finalised, paid or not, by request or by Stripe itself."""

from __future__ import annotations

from typing import Final

from simulator.stripe import payments
from simulator.stripe.account import Account, CardDeclinedError, NoSuchThingError, RefusedError
from simulator.stripe.objects import AUTOMATIC, Invoice, InvoiceItem, InvoicePayment, Metadata, Origin, PaymentIntent

MONTH_SECONDS: Final = 30 * 86_400
RETRY_DAYS: Final = (3, 5, 7)
_NO_METHOD: Final = "This customer has no attached payment source or default payment method."


def add_item(
    account: Account,
    customer: str,
    *,
    amount: int,
    currency: str,
    description: str | None = None,
    invoice: str | None = None,
    metadata: Metadata | None = None,
) -> InvoiceItem:
    """Add an item to a draft, or to wait for the customer's next invoice."""
    account.customer(customer)
    thing = InvoiceItem(
        id=account.ids.stripe("ii"),
        line=account.ids.stripe("il"),
        created=account.time(),
        customer=customer,
        amount=amount,
        currency=currency,
        description=description,
        metadata=metadata or {},
    )
    if invoice is not None:
        draft = held(account, invoice)
        if draft.status != "draft":
            raise RefusedError("This invoice is no longer editable", code="invoice_not_editable", param="invoice")
        _put(draft, thing)
    account.book.invoice_items[thing.id] = thing
    return thing


def create(
    account: Account,
    by: Origin,
    *,
    customer: str,
    currency: str = "aud",
    description: str | None = None,
    auto_advance: bool = False,
    collection_method: str = "charge_automatically",
    automatic_tax: bool = False,
    default_payment_method: str | None = None,
    take_waiting_items: bool = False,
    metadata: Metadata | None = None,
) -> Invoice:
    """Draft an invoice; `take_waiting_items` puts the customer's waiting items on it."""
    account.customer(customer)
    now = account.time()
    thing = Invoice(
        id=account.ids.stripe("in"),
        created=now,
        customer=customer,
        currency=currency,
        description=description,
        auto_advance=auto_advance,
        collection_method=collection_method,
        automatic_tax=automatic_tax,
        default_payment_method=default_payment_method,
        period_start=now,
        period_end=now,
        metadata=metadata or {},
    )
    account.book.invoices[thing.id] = thing
    if take_waiting_items:
        for item in account.book.invoice_items.values():
            if item.customer == customer and item.invoice is None and item.currency == currency:
                _put(thing, item)
    account.emit("invoice.created", thing, by)
    return thing


def bill_period(
    account: Account, customer: str, *, amount: int, currency: str, description: str, subscription: str | None = None
) -> Invoice:
    """Do what a monthly subscription does by itself: draft, finalise and try to collect one period."""
    if account.customer(customer).default_payment_method is None:
        raise RefusedError(_NO_METHOD, code="missing")
    now = account.time()
    thing = Invoice(
        id=account.ids.stripe("in"),
        created=now,
        customer=customer,
        currency=currency,
        billing_reason="subscription_cycle",
        subscription=subscription or account.ids.stripe("sub"),
        subscription_item=account.ids.stripe("si"),
        price=account.ids.stripe("price"),
        product=account.ids.stripe("prod"),
        auto_advance=True,
        automatic_tax=True,
        period_start=now - MONTH_SECONDS,
        period_end=now,
    )
    _put(thing, add_item(account, customer, amount=amount, currency=currency, description=description))
    account.book.invoices[thing.id] = thing
    account.emit("invoice.created", thing, AUTOMATIC)
    finalize(account, AUTOMATIC, thing)
    collect(account, thing)
    return thing


def finalize(account: Account, by: Origin, invoice: Invoice) -> Invoice:
    """Number the invoice and open its payment. An invoice of nothing is paid at once."""
    if invoice.status != "draft":
        raise RefusedError("This invoice is already finalized, you can't re-finalize it.", code="invoice_not_editable")
    customer = account.customer(invoice.customer)
    invoice.number = f"{customer.invoice_prefix}-{customer.next_invoice_sequence:04d}"
    customer.next_invoice_sequence += 1
    invoice.status, invoice.finalized_at = "open", account.time()
    if invoice.total <= 0:
        account.emit("invoice.finalized", invoice, by)
        _paid(account, by, invoice)
        return invoice
    intent = payments.create(
        account,
        by,
        amount=invoice.total,
        currency=invoice.currency,
        customer=invoice.customer,
        description=invoice.description or ("Subscription update" if invoice.subscription else None),
        invoice=invoice.id,
    )
    join = InvoicePayment(
        id=account.ids.stripe("inpay"),
        created=account.time(),
        invoice=invoice.id,
        payment_intent=intent.id,
        amount_requested=invoice.total,
        currency=invoice.currency,
    )
    account.book.invoice_payments[join.id] = join
    invoice.payment_intent, invoice.payment = intent.id, join.id
    account.emit("invoice.finalized", invoice, by)
    return invoice


def pay(account: Account, by: Origin, invoice: Invoice, payment_method: str | None = None) -> Invoice:
    """Try to collect an open invoice. Raises CardDeclinedError when the attempt fails."""
    intent = _collectable(account, invoice)
    customer = account.customer(invoice.customer)
    reference = payment_method or invoice.default_payment_method or customer.default_payment_method
    if reference is None:
        raise RefusedError(_NO_METHOD, code="missing")
    invoice.attempt_count += 1
    _attempt(account, by, invoice, intent, reference)
    return invoice


def confirm(account: Account, by: Origin, intent: PaymentIntent, payment_method: str | None) -> None:
    """Attempt an invoice's PaymentIntent by itself: only the first attempt counts as one of the invoice's.

    Raises CardDeclinedError when the attempt fails.
    """
    invoice = account.book.invoices[intent.invoice or ""]
    if invoice.status == "open":
        invoice.attempt_count = max(invoice.attempt_count, 1)
    _attempt(account, by, invoice, intent, payment_method)


def collect(account: Account, invoice: Invoice) -> bool:
    """Try to collect an invoice as Stripe does by itself, and tell whether the attempt went through."""
    try:
        pay(account, AUTOMATIC, invoice)
    except CardDeclinedError:
        return False
    return True


def pay_out_of_band(account: Account, by: Origin, invoice: Invoice) -> Invoice:
    """Note that the member paid elsewhere: the invoice is paid, its PaymentIntent cancelled, nothing was collected."""
    intent = _collectable(account, invoice)
    payments.cancel(account, by, intent, "void_invoice")
    join = account.book.invoice_payments[invoice.payment or ""]
    join.status, join.canceled_at = "canceled", account.time()
    invoice.paid_out_of_band = True
    _paid(account, by, invoice)
    return invoice


def void(account: Account, by: Origin, invoice: Invoice) -> Invoice:
    """Cancel an open invoice for good."""
    intent = _collectable(account, invoice)
    payments.cancel(account, by, intent, "void_invoice")
    invoice.status, invoice.voided_at, invoice.next_payment_attempt = "void", account.time(), None
    account.emit("invoice.voided", invoice, by)
    return invoice


def settled(account: Account, by: Origin, intent: PaymentIntent) -> None:
    """Carry a bank's late answer over to the invoice that waited for it."""
    if intent.invoice is None:
        return
    invoice = account.book.invoices[intent.invoice]
    if intent.status == "succeeded":
        _paid(account, by, invoice)
    else:
        _attempt_failed(account, by, invoice)


def due(account: Account) -> list[Invoice]:
    """Return the invoices whose next attempt of Stripe's own has come."""
    now = account.time()
    return [
        invoice
        for invoice in account.book.invoices.values()
        if invoice.next_payment_attempt is not None and invoice.next_payment_attempt <= now
    ]


def held(account: Account, invoice_id: str, param: str = "invoice") -> Invoice:
    """Return an invoice. Raises NoSuchThingError."""
    if invoice_id not in account.book.invoices:
        raise NoSuchThingError("invoice", invoice_id, param)
    return account.book.invoices[invoice_id]


def _put(invoice: Invoice, item: InvoiceItem) -> None:
    item.invoice = invoice.id
    invoice.items.append(item)


def _collectable(account: Account, invoice: Invoice) -> PaymentIntent:
    if invoice.status == "paid":
        raise RefusedError("Invoice is already paid", code="invoice_already_paid")
    if invoice.status != "open" or invoice.payment_intent is None:
        raise RefusedError(f"This invoice is {invoice.status}: it cannot be paid.", code="invoice_not_open")
    return account.book.payment_intents[invoice.payment_intent]


def _attempt(account: Account, by: Origin, invoice: Invoice, intent: PaymentIntent, payment_method: str | None) -> None:
    try:
        payments.confirm(account, by, intent, payment_method)
    except CardDeclinedError:
        invoice.next_payment_attempt = None
        _attempt_failed(account, by, invoice)
        raise
    invoice.charge, invoice.next_payment_attempt = intent.latest_charge, None
    if intent.status == "succeeded":
        _paid(account, by, invoice)


def _paid(account: Account, by: Origin, invoice: Invoice) -> None:
    now = account.time()
    invoice.status, invoice.paid_at, invoice.next_payment_attempt = "paid", now, None
    if not invoice.paid_out_of_band:
        invoice.amount_paid = max(invoice.total, 0)
    account.emit("invoice.paid", invoice, by)
    account.emit("invoice.payment_succeeded", invoice, by)
    join = account.book.invoice_payments.get(invoice.payment or "")
    if join is not None and join.status == "open":
        join.status, join.amount_paid, join.paid_at = "paid", invoice.amount_paid, now
        account.emit("invoice_payment.paid", join, by)


def _attempt_failed(account: Account, by: Origin, invoice: Invoice) -> None:
    retry = invoice.attempt_count - 1
    if account.smart_retries and invoice.auto_advance and retry < len(RETRY_DAYS):
        invoice.next_payment_attempt = account.time() + RETRY_DAYS[retry] * 86_400
    invoice.charge = account.book.payment_intents[invoice.payment_intent or ""].latest_charge
    account.emit("invoice.payment_failed", invoice, by)

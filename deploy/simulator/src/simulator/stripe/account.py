"""One Stripe account: what it holds, and telling of what changed.

Everything that changes an account is here, in `payments.py` and in `billing.py`; the API, the control origin and the
samples call the same functions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from simulator.clock import Now, epoch
from simulator.ids import Ids
from simulator.stripe import billing_shapes, money_shapes, payment_shapes
from simulator.stripe.book import Book
from simulator.stripe.objects import (
    BalanceTransaction,
    Charge,
    CreditNote,
    Customer,
    Dispute,
    Event,
    Invoice,
    InvoiceItem,
    InvoicePayment,
    Json,
    Metadata,
    Origin,
    PaymentIntent,
    PaymentMethod,
    Payout,
    Refund,
    Thing,
    gst_within,
)
from simulator.stripe.outcomes import Instrument, by_token

DEFAULT_API_VERSION: Final = "2025-03-31.basil"
Publish = Callable[[Event], None]
_PATHS: Final = {
    "charge": "charges",
    "credit_note": "credit_notes",
    "customer": "customers",
    "dispute": "disputes",
    "invoice": "invoices",
    "invoice_payment": "invoice_payments",
    "payment_intent": "payment_intents",
    "payout": "payouts",
    "refund": "refunds",
}


class RefusedError(Exception):
    """Stripe refuses a request; `type`, `code` and `param` are those of its error body."""

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        status: int = 400,
        error_type: str = "invalid_request_error",
    ) -> None:
        super().__init__(message)
        self.message, self.code, self.param = message, code, param
        self.status, self.error_type = status, error_type


class NoSuchThingError(RefusedError):
    """An id names nothing that this account holds."""

    def __init__(self, kind: str, thing_id: str, param: str) -> None:
        super().__init__(f"No such {kind}: '{thing_id}'", code="resource_missing", param=param, status=404)


class CardDeclinedError(Exception):
    """A charge was declined at once; the objects hold the details."""

    def __init__(self, charge: Charge, intent: PaymentIntent) -> None:
        super().__init__(charge.outcome)
        self.charge, self.intent = charge, intent


def _nobody(_: Event) -> None:
    """Drop an event that nobody listens to."""


@dataclass
class Account:
    """`versions` are the API versions in which somebody listens; events are rendered in each as they happen.

    `late_fees`: a charge's balance transaction is known a moment after its success, and told by `charge.updated`.
    """

    ids: Ids
    now: Now
    api_version: str = DEFAULT_API_VERSION
    versions: Sequence[str] = ()
    smart_retries: bool = False
    late_fees: bool = False
    publish: Publish = _nobody
    book: Book = field(default_factory=Book)

    def time(self) -> int:
        """Return business time in whole seconds."""
        return epoch(self.now())

    def render(self, thing: Thing, api_version: str) -> Json:
        """Return `thing` as the API of `api_version` shows it."""
        return render(self.book, thing, api_version)

    def emit(self, kind: str, thing: Thing, by: Origin, previous: Json | None = None) -> Event:
        """Record that something happened to `thing`, as it is now, and tell whoever listens."""
        versions = dict.fromkeys((self.api_version, *self.versions))
        event = Event(
            id=self.ids.stripe("evt"),
            type=kind,
            created=self.time(),
            objects={version: self.render(thing, version) for version in versions},
            request_id=by.request_id,
            idempotency_key=by.idempotency_key,
            previous_attributes=previous,
        )
        self.book.events[event.id] = event
        self.publish(event)
        return event

    def book_amount(
        self,
        source: str,
        amount: int,
        currency: str,
        *,
        kind: str,
        category: str,
        fee: int = 0,
        description: str | None = None,
    ) -> BalanceTransaction:
        """Change the balance by `amount` less `fee`, one eleventh of which is GST."""
        entry = BalanceTransaction(
            id=self.ids.stripe("txn"),
            created=self.time(),
            amount=amount,
            fee=fee,
            tax_on_fee=gst_within(fee),
            currency=currency,
            source=source,
            description=description,
            type=kind,
            reporting_category=category,
        )
        self.book.balance_transactions[entry.id] = entry
        return entry

    def create_customer(
        self,
        by: Origin,
        *,
        customer_id: str | None = None,
        name: str | None = None,
        email: str | None = None,
        phone: str | None = None,
        description: str | None = None,
        metadata: Metadata | None = None,
        payment_method: str | None = None,
    ) -> Customer:
        """Add a customer, with `payment_method` as the one for invoices."""
        thing = Customer(
            id=customer_id or self.ids.stripe("cus"),
            created=self.time(),
            name=name,
            email=email,
            phone=phone,
            description=description,
            metadata=metadata or {},
            invoice_prefix=self.ids.secret("invoice")[:8].upper(),
        )
        if thing.id in self.book.customers:
            raise RefusedError("Customer already exists.", code="resource_already_exists", param="id")
        self.book.customers[thing.id] = thing
        if payment_method:
            thing.default_payment_method = self.attach(self.usable(payment_method, thing.id), thing.id).id
        self.emit("customer.created", thing, by)
        return thing

    def customer(self, customer_id: str, param: str = "customer") -> Customer:
        """Return a customer. Raises NoSuchThingError."""
        return _held(self.book.customers, customer_id, "customer", param)

    def new_payment_method(self, instrument: Instrument, name: str | None, email: str | None) -> PaymentMethod:
        """Add a payment method for `instrument`, not attached to anybody."""
        thing = PaymentMethod(
            id=self.ids.stripe("pm"),
            created=self.time(),
            outcome=instrument.outcome,
            type=instrument.type,
            last4=instrument.last4,
            brand=instrument.brand,
            country=instrument.country,
            bsb=instrument.bsb,
            name=name,
            email=email,
        )
        self.book.payment_methods[thing.id] = thing
        return thing

    def usable(self, reference: str, customer_id: str | None, param: str = "payment_method") -> PaymentMethod:
        """Return the payment method of this id; a test name such as `pm_card_visa` makes a new one."""
        held = self.book.payment_methods.get(reference)
        if held is not None:
            return held
        instrument = by_token(reference)
        if instrument is None:
            raise NoSuchThingError("PaymentMethod", reference, param)
        owner = self.book.customers.get(customer_id or "")
        return self.new_payment_method(instrument, owner.name if owner else None, owner.email if owner else None)

    def attach(self, method: PaymentMethod, customer_id: str) -> PaymentMethod:
        """Give a payment method to a customer. Raises RefusedError when another one has it."""
        self.customer(customer_id)
        if method.customer not in {None, customer_id}:
            raise RefusedError(
                "The payment method you provided has already been attached to a customer.",
                code="payment_method_unexpected_state",
            )
        method.customer = customer_id
        return method


def render(book: Book, thing: Thing, api_version: str) -> Json:
    """Return `thing` as the API of `api_version` shows it."""
    match thing:
        case Customer():
            return payment_shapes.customer(thing)
        case PaymentMethod():
            return payment_shapes.payment_method(thing)
        case Charge():
            return payment_shapes.charge(book, thing, api_version)
        case PaymentIntent():
            return payment_shapes.payment_intent(book, thing, api_version)
        case BalanceTransaction() | Refund() | Dispute() | Payout() | CreditNote():
            return money_shapes.render(book, thing, api_version)
        case InvoiceItem():
            return billing_shapes.invoice_item(thing, api_version)
        case InvoicePayment():
            return billing_shapes.invoice_payment(thing)
        case Invoice():
            return billing_shapes.invoice(book, thing, api_version)


def render_event(event: Event, api_version: str, *, pending_webhooks: int, account: str | None = None) -> Json:
    """Return the event as `api_version` shows it; `account` names a connected account."""
    data: Json = {"object": event.objects[api_version]}
    if event.previous_attributes is not None:
        data["previous_attributes"] = event.previous_attributes
    return {
        "id": event.id,
        "object": "event",
        **({"account": account} if account else {}),
        "api_version": api_version,
        "created": event.created,
        "data": data,
        "livemode": False,
        "pending_webhooks": pending_webhooks,
        "request": {"id": event.request_id, "idempotency_key": event.idempotency_key},
        "type": event.type,
    }


def render_notification(event: Event) -> Json:
    """Return the event as an endpoint for thin payloads gets it: what it is about, and not how that is now."""
    shown = next(iter(event.objects.values()))
    path = f"/v1/{_PATHS[shown['object']]}/{shown['id']}" if shown.get("object") in _PATHS else None
    by_request = {"id": event.request_id, "idempotency_key": event.idempotency_key}
    return {
        "id": event.id,
        "object": "v2.core.event",
        "type": f"v1.{event.type}",
        "livemode": False,
        "created": datetime.fromtimestamp(event.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "context": None,
        "reason": {"type": "request", "request": by_request} if event.request_id else None,
        "related_object": {"id": shown["id"], "type": shown["object"], "url": path} if path else None,
    }


def _held(things: dict[str, Customer], thing_id: str, kind: str, param: str) -> Customer:
    if thing_id not in things:
        raise NoSuchThingError(kind, thing_id, param)
    return things[thing_id]

"""Which Stripe event types are understood, and what each tells: a type outside this table is not understood."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from payments.collection.facts import Fact
from payments.providers.fields import Given
from payments.providers.stripe.invoices import invoice, invoice_payment
from payments.providers.stripe.payments import Source, charge, intent

Reader = Callable[[Source, Given], Iterable[Fact]]

READERS: Final[Mapping[str, Reader]] = {
    "charge.succeeded": lambda source, given: (charge(source, given, "succeeded"),),
    "charge.failed": lambda source, given: (charge(source, given, "failed"),),
    "payment_intent.processing": lambda source, given: intent(source, given, "processing"),
    "payment_intent.succeeded": lambda source, given: intent(source, given, "succeeded"),
    "payment_intent.payment_failed": lambda source, given: intent(source, given, "failed"),
    "invoice.finalized": lambda source, given: (invoice(source, given, "finalized"),),
    "invoice.paid": lambda source, given: (invoice(source, given, "paid"),),
    "invoice.payment_failed": lambda source, given: (invoice(source, given, "payment_failed"),),
    "invoice_payment.paid": lambda source, given: (invoice_payment(source, given),),
}

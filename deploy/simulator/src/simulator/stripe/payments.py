"""Taking money: PaymentIntents and the charges that they attempt."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from simulator.clock import working_days_after
from simulator.stripe.account import Account, CardDeclinedError, NoSuchThingError, RefusedError
from simulator.stripe.objects import (
    Charge,
    Metadata,
    Origin,
    PaymentIntent,
    PaymentMethod,
)
from simulator.stripe.outcomes import OUTCOMES

MINIMUM_AMOUNT: Final = 50
MAXIMUM_AMOUNT: Final = 99_999_999
_SETTLEMENT_WORKING_DAYS: Final = 3
_CONFIRMABLE: Final = frozenset({"requires_payment_method", "requires_confirmation"})


def create(
    account: Account,
    by: Origin,
    *,
    amount: int,
    currency: str,
    customer: str | None = None,
    payment_method: str | None = None,
    payment_method_types: list[str] | None = None,
    description: str | None = None,
    setup_future_usage: str | None = None,
    metadata: Metadata | None = None,
    invoice: str | None = None,
) -> PaymentIntent:
    """Add a PaymentIntent. Raises RefusedError for an amount that Stripe would not take."""
    _check_amount(amount, currency)
    if customer is not None:
        account.customer(customer)
    method = account.usable(payment_method, customer) if payment_method else None
    intent_id = account.ids.stripe("pi")
    thing = PaymentIntent(
        id=intent_id,
        created=account.time(),
        amount=amount,
        currency=currency,
        client_secret=f"{intent_id}_secret_{account.ids.secret('pi')}",
        status="requires_confirmation" if method else "requires_payment_method",
        customer=customer,
        invoice=invoice,
        payment_method=method.id if method else None,
        payment_method_types=payment_method_types or [method.type if method else "card"],
        description=description,
        setup_future_usage=setup_future_usage,
        metadata=metadata or {},
    )
    account.book.payment_intents[thing.id] = thing
    account.emit("payment_intent.created", thing, by)
    return thing


def confirm(account: Account, by: Origin, intent: PaymentIntent, payment_method: str | None = None) -> Charge:
    """Attempt the payment. Raises CardDeclinedError when it is declined at once, RefusedError when it may not be.

    A payment method that was declined is no longer the PaymentIntent's: the next attempt has to name one.
    """
    if intent.status not in _CONFIRMABLE:
        raise RefusedError(
            f"This PaymentIntent's status is {intent.status}: it cannot be confirmed again.",
            code="payment_intent_unexpected_state",
        )
    reference = payment_method or (None if intent.failed else intent.payment_method)
    if reference is None:
        raise RefusedError(
            "You cannot confirm this PaymentIntent because it's missing a payment method.",
            code="payment_intent_unexpected_state",
        )
    charge = _attempt(account, by, intent, account.usable(reference, intent.customer))
    if charge.status == "failed":
        raise CardDeclinedError(charge, intent)
    return charge


def settle(account: Account, by: Origin, intent: PaymentIntent, outcome: str | None = None) -> Charge:
    """Let the bank's answer arrive for a payment in processing; `outcome` overrules what was scripted."""
    if intent.status != "processing" or intent.latest_charge is None:
        raise RefusedError(
            f"PaymentIntent {intent.id} is {intent.status}, not processing.", code="payment_intent_unexpected_state"
        )
    charge = account.book.charges[intent.latest_charge]
    charge.outcome = outcome or charge.outcome
    intent.settles_at = None
    if OUTCOMES[charge.outcome].course in {"succeeds", "processes_then_succeeds"}:
        _succeed(account, by, intent, charge)
    else:
        _fail(account, by, intent, charge)
    return charge


def due(account: Account) -> list[PaymentIntent]:
    """Return the payments whose bank has had its time."""
    now = account.time()
    return [
        intent
        for intent in account.book.payment_intents.values()
        if intent.settles_at is not None and intent.settles_at <= now
    ]


def cancel(account: Account, by: Origin, intent: PaymentIntent, reason: str | None) -> None:
    """Give up a payment that has taken no money. Raises RefusedError when it has or might."""
    if intent.status not in _CONFIRMABLE:
        raise RefusedError(
            f"You cannot cancel this PaymentIntent because it has a status of {intent.status}.",
            code="payment_intent_unexpected_state",
        )
    intent.status, intent.canceled_at, intent.cancellation_reason = "canceled", account.time(), reason
    account.emit("payment_intent.canceled", intent, by)


def held(account: Account, intent_id: str, param: str = "intent") -> PaymentIntent:
    """Return a PaymentIntent. Raises NoSuchThingError."""
    if intent_id not in account.book.payment_intents:
        raise NoSuchThingError("payment_intent", intent_id, param)
    return account.book.payment_intents[intent_id]


def _attempt(account: Account, by: Origin, intent: PaymentIntent, method: PaymentMethod) -> Charge:
    charge = Charge(
        id=account.ids.stripe("py" if method.bsb else "ch"),
        created=account.time(),
        amount=intent.amount,
        currency=intent.currency,
        payment_intent=intent.id,
        payment_method=method.id,
        outcome=_next_outcome(account, intent, method),
        status="pending",
        customer=intent.customer,
        invoice=intent.invoice,
        description=intent.description,
        metadata=dict(intent.metadata),
    )
    account.book.charges[charge.id] = charge
    intent.latest_charge, intent.payment_method, intent.failed = charge.id, method.id, False
    match OUTCOMES[charge.outcome].course:
        case "succeeds":
            _succeed(account, by, intent, charge)
        case "declines":
            _fail(account, by, intent, charge)
        case _:
            _process(account, by, intent, charge)
    return charge


def _next_outcome(account: Account, intent: PaymentIntent, method: PaymentMethod) -> str:
    script = account.book.customers[intent.customer].outcomes if intent.customer else []
    return script.pop(0) if script else method.outcome


def _succeed(account: Account, by: Origin, intent: PaymentIntent, charge: Charge) -> None:
    charge.status, intent.status = "succeeded", "succeeded"
    if not account.late_fees:
        _book(account, charge)
    account.emit("charge.succeeded", charge, by)
    account.emit("payment_intent.succeeded", intent, by)
    if account.late_fees:
        _book(account, charge)
        account.emit("charge.updated", charge, by, {"balance_transaction": None})


def _book(account: Account, charge: Charge) -> None:
    fee = (charge.amount * 17 + 500) // 1000 + 30
    charge.balance_transaction = account.book_amount(
        charge.id,
        charge.amount,
        charge.currency,
        kind="charge",
        category="charge",
        fee=fee,
        description=charge.description,
    ).id


def _fail(account: Account, by: Origin, intent: PaymentIntent, charge: Charge) -> None:
    charge.status, intent.status, intent.failed = "failed", "requires_payment_method", True
    account.emit("charge.failed", charge, by)
    account.emit("payment_intent.payment_failed", intent, by)


def _process(account: Account, by: Origin, intent: PaymentIntent, charge: Charge) -> None:
    started = datetime.fromtimestamp(charge.created, UTC)
    settles_on = working_days_after(started.date(), _SETTLEMENT_WORKING_DAYS)
    intent.status = "processing"
    intent.settles_at = charge.created + 86_400 * (settles_on - started.date()).days
    account.emit("charge.pending", charge, by)
    account.emit("payment_intent.processing", intent, by)


def _check_amount(amount: int, currency: str) -> None:
    if currency != currency.lower() or len(currency) != 3:
        raise RefusedError(f"Invalid currency: {currency}.", code="parameter_invalid", param="currency")
    if amount < MINIMUM_AMOUNT:
        raise RefusedError("Amount must be at least $0.50 aud", code="amount_too_small", param="amount")
    if amount > MAXIMUM_AMOUNT:
        raise RefusedError("Amount must be no more than $999,999.99", code="amount_too_large", param="amount")

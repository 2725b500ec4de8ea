"""One GoCardless organisation: customers, mandates, debits and payouts, and what happens to them.

The API, the control origin and the samples call the same functions. Each change tells of itself by one event; the
caller decides which events travel together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from simulator.clock import Now, working_days_after
from simulator.gocardless import causes
from simulator.gocardless.objects import (
    BankAccount,
    Book,
    Customer,
    Event,
    Json,
    Mandate,
    Metadata,
    Payment,
    Payout,
    PayoutItem,
)

RETRIES_MAX: Final = 3
_COLLECTABLE: Final = frozenset({"pending_submission", "submitted", "active"})
Publish = Callable[[Event], None]


class RefusedError(Exception):
    """GoCardless refuses: `error_type`, `reason` (or `field`) and `links` are those of its error body."""

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        field: str | None = None,
        status: int = 422,
        error_type: str = "invalid_state",
        links: Metadata | None = None,
    ) -> None:
        super().__init__(message)
        self.message, self.reason, self.field, self.links = message, reason, field, links
        self.status, self.error_type = status, error_type


class NoSuchThingError(RefusedError):
    """An id names nothing that this organisation holds."""

    def __init__(self) -> None:
        super().__init__("Resource not found", reason="resource_not_found", status=404, error_type="invalid_api_usage")


def _nobody(_: Event) -> None:
    """Drop an event that nobody listens to."""


@dataclass
class Organisation:
    """What it takes to act for one organisation; `ids` makes the ids."""

    new_id: Callable[[str], str]
    now: Now
    publish: Publish = _nobody
    book: Book = field(default_factory=Book)

    def create_customer(self, *, customer_id: str | None = None, **fields: Any) -> Customer:
        """Add a customer. `fields` are those of Customer."""
        thing = Customer(id=customer_id or self.new_id("CU"), created_at=self.instant(), **fields)
        self.book.customers[thing.id] = thing
        return thing

    def create_bank_account(
        self, customer: str, *, account_holder_name: str, account_number: str, metadata: Metadata | None = None
    ) -> BankAccount:
        """Add a customer's bank account."""
        thing = BankAccount(
            id=self.new_id("BA"),
            created_at=self.instant(),
            customer=self.customer(customer).id,
            account_holder_name=account_holder_name.upper()[:18],
            account_number_ending=account_number[-3:],
            metadata=metadata or {},
        )
        self.book.customer_bank_accounts[thing.id] = thing
        return thing

    def create_mandate(
        self, bank_account: BankAccount, *, reference: str | None = None, metadata: Metadata | None = None
    ) -> Mandate:
        """Add a BECS mandate; the banks have it a working day later and it is active the day after."""
        mandate_id = self.new_id("MD")
        thing = Mandate(
            id=mandate_id,
            created_at=self.instant(),
            customer=bank_account.customer,
            bank_account=bank_account.id,
            reference=reference or f"REF-{mandate_id[2:8]}",
            next_step_at=_later(self.now(), 1),
            metadata=metadata or {},
        )
        self.book.mandates[thing.id] = thing
        self.emit("mandates", "created", {"mandate": thing.id}, metadata=thing.metadata)
        return thing

    def advance_mandate(self, mandate: Mandate) -> None:
        """Take a mandate one step on: to the banks, then active."""
        match mandate.status:
            case "pending_submission":
                mandate.status, mandate.next_step_at = "submitted", _later(self.now(), 1)
            case "submitted":
                mandate.status, mandate.next_step_at = "active", None
            case _:
                raise RefusedError(f"Mandate {mandate.id} is {mandate.status}", reason="mandate_not_pending")
        self.emit("mandates", mandate.status, {"mandate": mandate.id}, metadata=mandate.metadata)

    def cancel_mandate(self, mandate: Mandate) -> None:
        """Cancel a mandate, and with it the debits that have not left yet."""
        if mandate.status not in _COLLECTABLE:
            raise RefusedError("Mandate could not be cancelled", reason="cancellation_failed")
        mandate.status, mandate.next_step_at = "cancelled", None
        self.emit("mandates", "cancelled", {"mandate": mandate.id}, metadata=mandate.metadata)
        for payment in self.book.payments.values():
            if payment.mandate == mandate.id and payment.status == "pending_submission":
                self.cancel(payment)

    def create_payment(
        self,
        mandate: Mandate,
        *,
        amount: int,
        currency: str = "AUD",
        payment_id: str | None = None,
        description: str | None = None,
        reference: str | None = None,
        retry_if_possible: bool = False,
        metadata: Metadata | None = None,
    ) -> Payment:
        """Ask for a debit. Raises RefusedError on a mandate that is no longer good."""
        if mandate.status not in _COLLECTABLE:
            raise RefusedError("Mandate is failed, cancelled or expired", reason="mandate_is_inactive")
        now = self.instant()
        thing = Payment(
            id=payment_id or self.new_id("PM"),
            created_at=now,
            amount=amount,
            currency=currency,
            mandate=mandate.id,
            charge_date=working_days_after(now.date(), 2),
            description=description,
            reference=reference,
            retry_if_possible=retry_if_possible,
            next_step_at=_later(now, 1),
            metadata=metadata or {},
        )
        self.book.payments[thing.id] = thing
        self.tell(thing, "created")
        return thing

    def submit(self, payment: Payment) -> None:
        """Send a debit to the bank."""
        self._expect(payment, {"pending_submission"}, "submit")
        payment.status, payment.next_step_at = "submitted", _later(self.now(), 2)
        self.tell(payment, "submitted")

    def confirm(self, payment: Payment) -> None:
        """Count a debit as collected, since the bank's time to refuse is over."""
        self._expect(payment, {"submitted"}, "confirm")
        payment.status, payment.next_step_at = "confirmed", _later(self.now(), 1)
        self.tell(payment, "confirmed")

    def fail(self, payment: Payment, cause: str = "insufficient_funds", *, will_attempt_retry: bool = False) -> None:
        """Let the bank refuse: in time, or late when the money already counted as collected."""
        self._expect(payment, {"submitted", "confirmed", "paid_out"}, "fail")
        details = causes.returned(cause, "becs") | {"will_attempt_retry": will_attempt_retry}
        if not will_attempt_retry:
            details["not_retried_reason"] = "retries_not_enabled"
        payment.owed_back = "late_failure" if payment.status == "paid_out" else None
        payment.status, payment.will_attempt_retry = "failed", will_attempt_retry
        payment.next_step_at = _later(self.now(), 3) if will_attempt_retry else None
        self.tell(payment, "failed", details)

    def charge_back(self, payment: Payment, cause: str = "authorisation_disputed") -> None:
        """Let the member take the money back through their bank."""
        self._expect(payment, {"confirmed", "paid_out"}, "charge back")
        payment.owed_back = "chargeback" if payment.status == "paid_out" else None
        payment.status, payment.next_step_at = "charged_back", None
        self.tell(payment, "charged_back", causes.returned(cause, "becs"))

    def settle(self, payment: Payment, payout: Payout | None = None) -> None:
        """Take back money that was paid out for a debit that then failed."""
        if payment.owed_back is None:
            raise RefusedError(f"Payment {payment.id} owes nothing back", reason="nothing_to_settle")
        action = f"{payment.owed_back}_settled"
        payment.owed_back = None
        self.tell(payment, action, payout=payout)

    def retry(self, payment: Payment, *, by_request: bool) -> None:
        """Try a failed debit again: by request at most three times, or as GoCardless announced."""
        if payment.status != "failed" or (by_request and payment.retries >= RETRIES_MAX):
            raise RefusedError("Payment could not be retried", reason="retry_failed")
        payment.retries += by_request
        payment.status, payment.will_attempt_retry = "pending_submission", False
        payment.next_step_at = _later(self.now(), 1)
        self.tell(payment, "resubmission_requested", causes.resubmission(by_request=by_request))

    def cancel(self, payment: Payment) -> None:
        """Cancel a debit that has not gone to the bank."""
        self._expect(payment, {"pending_submission"}, "cancel", reason="cancellation_failed")
        payment.status, payment.next_step_at = "cancelled", None
        self.tell(payment, "cancelled")

    def cancel_chargeback(self, payment: Payment) -> None:
        """Let the bank take a chargeback back: the money counts as collected again."""
        self._expect(payment, {"charged_back"}, "cancel the chargeback of")
        was_owed, payment.owed_back = payment.owed_back, None
        payment.status = "paid_out" if was_owed else "confirmed"
        self.tell(payment, "chargeback_cancelled")

    def surcharge(self, payment: Payment, tenths: int = 500) -> None:
        """Charge a fee for a returned debit; the next payout takes it."""
        payment.surcharge_tenths += tenths
        self.tell(payment, "surcharge_fee_debited")

    def deny(self, payment: Payment) -> None:
        """Let the customer refuse to approve a debit."""
        self._expect(payment, {"pending_submission"}, "deny")
        payment.status, payment.next_step_at = "customer_approval_denied", None
        self.tell(payment, "customer_approval_denied")

    def pay_out(self, payments: list[Payment]) -> Payout:
        """Pay out confirmed debits, less fees and less what earlier payouts paid too much. Raises RefusedError."""
        for payment in payments:
            self._expect(payment, {"confirmed"}, "pay out")
        payout_id = self.new_id("PO")
        payout = Payout(payout_id, self.instant(), "AUD", reference=f"BACKBONE-{payout_id[2:7]}", status="paid")
        for payment in payments:
            payment.status, payment.payout, payment.next_step_at = "paid_out", payout.id, None
            payout.items += _items(payment, "payment_paid_out", 1)
        returned = [payment for payment in self.book.payments.values() if payment.owed_back]
        for payment in returned:
            kind: Any = "payment_failed" if payment.owed_back == "late_failure" else "payment_charged_back"
            payout.items += _items(payment, kind, -1)
        for payment in self.book.payments.values():
            if payment.surcharge_tenths:
                payout.items.append(PayoutItem(payment.id, "surcharge_fee", -payment.surcharge_tenths))
                payment.surcharge_tenths = 0
        refunded = [refund for refund in self.book.refunds.values() if not refund.settled and refund.status == "paid"]
        returns = [refund for refund in self.book.refunds.values() if refund.owed_to_us]
        payout.items += [PayoutItem(each.payment, "refund", -10 * each.amount, each.id) for each in refunded]
        payout.items += [
            PayoutItem(each.payment, "refund_funds_returned", 10 * each.amount, each.id) for each in returns
        ]
        self.book.payouts[payout.id] = payout
        paid = self.emit("payouts", "paid", {"payout": payout.id})
        for payment in payments:
            self.tell(payment, "paid_out", payout=payout, parent=paid)
        for payment in returned:
            self.settle(payment, payout)
        for refund in refunded:
            refund.settled = True
            self.emit("refunds", "refund_settled", {"refund": refund.id, "payout": payout.id})
        for refund in returns:
            refund.owed_to_us = False
        return payout

    def tell(
        self,
        payment: Payment,
        action: str,
        details: Json | None = None,
        *,
        payout: Payout | None = None,
        parent: Event | None = None,
    ) -> None:
        """Record an event about a payment."""
        links = {"payment": payment.id}
        if payout is not None:
            links["payout"] = payout.id
        if parent is not None:
            links["parent_event"] = parent.id
        self.emit("payments", action, links, details, payment.metadata)

    def emit(
        self,
        resource: str,
        action: str,
        links: dict[str, str],
        details: Json | None = None,
        metadata: Metadata | None = None,
    ) -> Event:
        """Record an event, dated a millisecond after the one before it at the earliest."""
        created_at = self.instant()
        if self.book.last_event_at is not None:
            created_at = max(created_at, self.book.last_event_at + timedelta(milliseconds=1))
        self.book.last_event_at = created_at
        event = Event(
            self.new_id("EV"),
            created_at,
            resource,
            action,
            links,
            details or causes.details(resource, action),
            metadata or {},
        )
        self.book.events[event.id] = event
        self.publish(event)
        return event

    def instant(self) -> datetime:
        """Return business time in whole milliseconds, which is as exact as GoCardless dates things."""
        now = self.now()
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    def customer(self, customer_id: str) -> Customer:
        """Return a customer. Raises NoSuchThingError."""
        if customer_id not in self.book.customers:
            raise NoSuchThingError
        return self.book.customers[customer_id]

    def payment(self, payment_id: str) -> Payment:
        """Return a payment. Raises NoSuchThingError."""
        if payment_id not in self.book.payments:
            raise NoSuchThingError
        return self.book.payments[payment_id]

    def _expect(self, payment: Payment, statuses: set[str], verb: str, reason: str = "invalid_state") -> None:
        if payment.status not in statuses:
            raise RefusedError(f"Cannot {verb} payment {payment.id}: it is {payment.status}", reason=reason)


def _items(payment: Payment, kind: Any, sign: int) -> list[PayoutItem]:
    """One per cent and 40 cents, to a tenth of a cent; a payment that comes back brings its fee back."""
    fee_tenths = payment.amount // 10 + 400
    return [
        PayoutItem(payment.id, kind, sign * payment.amount * 10),
        PayoutItem(payment.id, "gocardless_fee", -sign * fee_tenths),
    ]


def _later(instant: datetime, working_days: int) -> datetime:
    return instant + (working_days_after(instant.date(), working_days) - instant.date())

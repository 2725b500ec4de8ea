"""What a provider event did, in words and snapshots: the content of `payment_provider_event.ingested`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, assert_never

from payments.collection.codec import names
from payments.collection.domain import (
    DisputeView,
    Group,
    InvoiceView,
    Member,
    PaymentView,
    PayoutView,
    RefundView,
)
from payments.collection.facts import (
    DebitTold,
    DisputeTold,
    Fact,
    Failure,
    InvoicePaymentTold,
    InvoiceTold,
    Noticed,
    PayoutTold,
    Pointed,
    RefundTold,
)
from payments.collection.objects import INVOICE
from payments.collection.wording import WHAT

Outcome = Literal["applied", "no_change", "parked", "not_understood"]
Amount = tuple[int, str]
InvoiceWord = Literal["issued", "paid", "reopened", "voided", "matched"]

_LATE: Final = "a late failure of a direct debit"
_UNKNOWN_AMOUNT: Final = "its amount is not known yet"
_UNKNOWN_CHARGE: Final = "its charge is not known yet"
_UNKNOWN_CUSTOMER: Final = "its customer is not known yet"
_UNREAD: Final = "what it points at has not been read yet"
_TOO_MUCH: Final = "a refund would give back more than was paid"
_UNKNOWN_ORDER: Final = "the order of its events is not known yet"
_CODES: Final[Mapping[str, str]] = {
    "card_declined": "the card was declined",
    "do_not_honor": "the bank did not honour it",
    "generic_decline": "the bank gave no reason",
    "bank_account_closed": "the bank account is closed",
    "invalid_bank_details": "the bank details are invalid",
    "refer_to_payer": "the bank refers to the payer",
    "authorisation_disputed": "the payer disputes the authorisation",
}


@dataclass(frozen=True, slots=True)
class Telling:
    """What to tell of one provider event. With outcome `applied` the entity is `payment`, else the provider event."""

    what: str
    outcome: Outcome
    outcome_words: str | None = None
    reason: str | None = None
    member: Member | None = None
    payment: PaymentView | None = None
    invoice: InvoiceView | None = None
    amount: Amount | None = None
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None


def not_understood(event_type: str) -> Telling:
    """Return the telling of an event whose type nothing reads."""
    return Telling(what=f"an event of type {event_type}", outcome="not_understood")


def reason_of(failure: Failure | None) -> str | None:
    """Return why, in words: the issuer's reason where there is one, else the provider's code, else its sentence.

    GoCardless' `reason_code` is the scheme's own number and means nothing without its cause, so it is never shown.
    """
    if failure is None:
        return None
    decline = failure.decline_code if failure.decline_code and not failure.decline_code.isdecimal() else None
    for code in (decline, failure.code):
        if code and not code[:1].isdecimal() and not (code.isupper() and "-" in code):
            return _CODES.get(code, code.replace("_", " "))
    return failure.message


def snapshot(payment: PaymentView) -> dict[str, Any]:
    """Return the payment as plain JSON: what changed when it did is seen by comparing two of these."""
    amount = None
    if payment.amount_minor is not None:
        amount = {"amount_minor": payment.amount_minor, "currency": payment.currency}
    return {
        "state": payment.state,
        "amount": amount,
        "member": payment.member.id if payment.member else None,
        "invoice": payment.invoice.id if payment.invoice and payment.invoice.kind == INVOICE else None,
        "attempts": [
            {"id": each.id, "state": each.state, "at": each.at.isoformat(), "reason": reason_of(each.failure)}
            for each in payment.attempts
        ],
        "reason": reason_of(payment.failure),
        "late_failure": payment.late_failure,
        "will_attempt_retry": payment.will_attempt_retry,
        "payout": payment.payout,
        "awaiting": list(payment.awaiting),
        **_returned(payment),
    }


def _returned(payment: PaymentView) -> dict[str, Any]:
    """Return what took the payment's money back, where anything did."""
    shown: dict[str, Any] = {}
    if payment.refunds:
        shown["refunds"] = [refund_snapshot(each) for each in payment.refunds]
    if payment.disputes:
        shown["disputes"] = [dispute_snapshot(each) for each in payment.disputes]
    if payment.warned:
        shown["warned_of_fraud"] = True
    return shown


def refund_snapshot(refund: RefundView) -> dict[str, Any]:
    """Return a refund as plain JSON."""
    return {
        "id": refund.key.id,
        "state": refund.state,
        "amount_minor": refund.amount_minor,
        "currency": refund.currency,
        "failure": refund.failure,
    }


def dispute_snapshot(dispute: DisputeView) -> dict[str, Any]:
    """Return a dispute as plain JSON; `held_minor` is what the provider keeps because of it."""
    return {
        "id": dispute.key.id,
        "status": dispute.status,
        "amount_minor": dispute.amount_minor,
        "currency": dispute.currency,
        "held_minor": dispute.held_minor,
        "reason": dispute.reason,
        "refundable": dispute.refundable,
    }


def payout_snapshot(payout: PayoutView) -> dict[str, Any]:
    """Return a payout as plain JSON; `difference_minor` is null until its lines were read."""
    return {
        "id": payout.key.id,
        "state": payout.state,
        "amount_minor": payout.amount_minor,
        "currency": payout.currency,
        "arrives_on": payout.arrives_on.isoformat() if payout.arrives_on else None,
        "difference_minor": payout.difference_minor,
    }


def payment_change(was: PaymentView | None, now: PaymentView) -> str:
    """Return what became of a payment that something else than itself changed: an invoice, or its customer."""
    if was is not None and was.member != now.member:
        return "matched" if now.member else "unmatched"
    return "described"


def tell(event_type: str, facts: Sequence[Fact], before: Group, after: Group) -> Telling:
    """Return what an event of this type, which told these facts, did to its group."""
    if any(isinstance(fact, PayoutTold) for fact in facts):
        return _of_payout(event_type, facts, before, after)
    payment = _payment(facts, after)
    if payment is None and all(isinstance(fact, Noticed | Pointed) for fact in facts):
        return _noticed(event_type, facts)
    invoice = _invoice(facts, payment, after)
    was = before.payment(payment.key) if payment else None
    old, new = snapshot(was) if was else None, snapshot(payment) if payment else None
    invoice_changed = invoice is not None and before.invoice(invoice.key) != invoice
    outcome, words = _outcome(payment, invoice, changed=old != new, invoice_changed=invoice_changed)
    member = payment.member if payment and payment.member else invoice.member if invoice else None
    return Telling(
        what=_LATE if _is_late(event_type, facts, payment) else WHAT.get(event_type, f"an event of type {event_type}"),
        outcome=outcome,
        outcome_words=words,
        reason=_reason(facts, payment),
        member=member,
        payment=payment,
        invoice=invoice,
        amount=_stated(facts) or _amount(payment, invoice),
        before=old if outcome == "applied" else None,
        after=new if outcome == "applied" else None,
    )


def _of_payout(event_type: str, facts: Sequence[Fact], before: Group, after: Group) -> Telling:
    """Return the telling of a payout: it is of no one payment."""
    key = next(fact.payout for fact in facts if isinstance(fact, PayoutTold))
    was, now = before.payout(key), after.payout(key)
    old, new = payout_snapshot(was) if was else None, payout_snapshot(now) if now else None
    what = WHAT.get(event_type, f"an event of type {event_type}")
    if now is None or now.amount_minor is None or now.currency is None:
        return Telling(what, "parked", _UNKNOWN_AMOUNT)
    amount = (now.amount_minor, now.currency)
    if old == new:
        return Telling(what, "no_change", "already known", amount=amount)
    return Telling(what, "applied", amount=amount, before=old, after=new)


def _noticed(event_type: str, facts: Sequence[Fact]) -> Telling:
    what = WHAT.get(event_type, f"an event of type {event_type}")
    if any(isinstance(fact, Pointed) for fact in facts):
        return Telling(what, "parked", _UNREAD)
    return Telling(what, "no_change", "it moves no money")


def _payment(facts: Sequence[Fact], group: Group) -> PaymentView | None:
    """Return the payment that the facts are about: one of their objects, else the one that is for their invoice."""
    named = sorted(set().union(*(names(fact) for fact in facts)))
    for key in named:
        payment = group.payment(key)
        if payment is not None:
            return payment
    invoices = {fact.invoice for fact in facts if isinstance(fact, InvoiceTold | InvoicePaymentTold)}
    return next((each for each in group.payments if each.invoice in invoices), None)


def _invoice(facts: Sequence[Fact], payment: PaymentView | None, group: Group) -> InvoiceView | None:
    for fact in facts:
        if isinstance(fact, InvoiceTold | InvoicePaymentTold):
            return group.invoice(fact.invoice)
    return group.invoice(payment.invoice) if payment and payment.invoice else None


def _outcome(
    payment: PaymentView | None, invoice: InvoiceView | None, *, changed: bool, invoice_changed: bool
) -> tuple[Outcome, str | None]:
    unmoved = "no payment moved" if invoice_changed else "already known"
    if payment is None:
        if invoice is None or invoice.member is None:
            return "parked", _UNKNOWN_CUSTOMER if invoice else _UNKNOWN_CHARGE
        return "no_change", unmoved
    words = ", ".join(_not_known(payment)) or None
    if payment.member is None or payment.amount_minor is None:
        return "parked", words
    return ("applied", words) if changed else ("no_change", words or unmoved)


def _not_known(payment: PaymentView) -> Iterator[str]:
    """Return in words what the payment is parked for."""
    for each in payment.awaiting:
        match each:
            case "awaiting payment":
                yield _UNKNOWN_AMOUNT if payment.amount_minor is None else _UNKNOWN_CHARGE
            case "awaiting customer":
                yield _UNKNOWN_CUSTOMER
            case "awaiting order":
                yield _UNKNOWN_ORDER
            case "awaiting review":
                yield _TOO_MUCH
            case _:
                assert_never(each)


def _is_late(event_type: str, facts: Sequence[Fact], payment: PaymentView | None) -> bool:
    """Whether the event is the failure that took back money which stood as received."""
    if event_type != "payments.failed" or payment is None:
        return False
    at = {fact.told.at for fact in facts}
    return any(movement.reversed_at in at for movement in payment.movements) or payment.late_failure


def _reason(facts: Sequence[Fact], payment: PaymentView | None) -> str | None:
    for fact in facts:
        match fact:
            case DebitTold(action="failed" | "charged_back"):
                return reason_of(Failure(fact.cause, fact.reason_code, fact.description))
            case InvoiceTold(outcome="payment_failed"):
                return reason_of(payment.failure) if payment else None
            case RefundTold(failure=str(words)) | DisputeTold(reason=str(words)):
                return words.replace("_", " ")
            case RefundTold() | DisputeTold() | DebitTold() | InvoiceTold() | InvoicePaymentTold():
                continue
            case _:
                failure = getattr(fact, "failure", None)
                if failure is not None:
                    return reason_of(failure)
    return None


def _stated(facts: Sequence[Fact]) -> Amount | None:
    """Return the amount of a refund or a dispute, which is its own."""
    for fact in facts:
        match fact:
            case RefundTold(amount_minor=int(amount), currency=str(currency)):
                return amount, currency
            case DisputeTold(amount_minor=amount, currency=currency):
                return amount, currency
            case _:
                continue
    return None


def _amount(payment: PaymentView | None, invoice: InvoiceView | None) -> Amount | None:
    if payment and payment.amount_minor is not None and payment.currency is not None:
        return payment.amount_minor, payment.currency
    return (invoice.total_minor, invoice.currency) if invoice else None


@dataclass(frozen=True, slots=True)
class InvoiceChange:
    """One change of one invoice, for `invoice.updated`: one of our words, or those of a decision."""

    change: InvoiceWord | str
    invoice: InvoiceView


def invoice_changes(before: Group, after: Group) -> tuple[InvoiceChange, ...]:
    """Return what became of each invoice, at most one change each: what an owner would call it.

    An invoice of nobody we know is not issued yet, it is parked; when its member becomes known it is `matched`.
    """
    found: list[InvoiceChange] = []
    for invoice in after.invoices:
        was = before.invoice(invoice.key)
        word = _invoice_change(was, invoice)
        if word is not None:
            found.append(InvoiceChange(word, invoice))
    return tuple(found)


def _invoice_change(was: InvoiceView | None, now: InvoiceView) -> InvoiceWord | None:
    if now.member is None:
        return None
    if was is None:
        return "paid" if now.state == "paid" else "issued"
    if was.member is None or was.member.id != now.member.id:
        return "matched"
    match was.state, now.state:
        case "open" | "uncollectible", "paid":
            return "paid"
        case "open" | "uncollectible" | "paid", "void":
            return "voided"
        case "paid", "open":
            return "reopened"
        case _:
            return None

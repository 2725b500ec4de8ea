"""Invoices with what is due of them, and what staff decide about them and about payouts."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import date, datetime, time
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from chassis.web import CONFLICT, INVALID, LIST_PROBLEMS, IfMatch, Listed, Page, Problem, ReadTx, Tx, documents
from contracts.envelope import Money
from contracts.events import InvoiceUpdated, PayoutDescribed
from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import Row

from payments.booking import BookingPolicy
from payments.collection.domain import InvoiceState, InvoiceView, Policy
from payments.collection.facts import CreditApplied, PaidOutside, WrittenOff
from payments.staff import domain, store, use_cases
from payments.staff.domain import NoSuchDecisionError, NoSuchInvoiceError, RefusedError
from payments.staff.use_cases import NoSuchPayoutError

router = APIRouter(tags=["invoices"])
Words = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+$")]
How = Literal["cash", "bank transfer", "cheque", "another way"]
Amount = Annotated[int, Field(ge=1, le=10**12, description="In cents")]
_INVOICE_ID: Final = "0198c2f4-7c10-7b02-8f4e-3a5d6c7b8e91"
_PAYOUT_ID: Final = "0198c2f4-7c10-7b02-8f4e-3a5d6c7b8e93"


class InvoiceRow(BaseModel):
    """One invoice; an implied one stands for a payment that came without any."""

    id: UUID
    reference: str
    state: InvoiceState
    implied: bool
    member_id: str | None
    total: Money
    gst: Money
    gst_rule: str
    issued_at: datetime
    due_on: date | None
    paid_at: datetime | None
    version: int


class DecisionView(BaseModel):
    """What staff decided about an invoice and stands; no amount: everything that was due by then."""

    id: UUID
    what: Literal["written off", "paid outside", "paid from credit"]
    at: datetime
    amount: Money | None
    how: str | None


class InvoiceDetail(InvoiceRow):
    """One invoice with what is due of it now, what was given up and not recovered since, and what staff decided."""

    due: Money
    written_off: Money
    decisions: list[DecisionView]


class WriteOff(BaseModel):
    """What to give up: everything that is due where no amount is given."""

    model_config = ConfigDict(extra="forbid")

    amount_minor: Amount | None = None
    reason: Words


class Received(BaseModel):
    """Money that came beside every provider; now, where it is not said when."""

    model_config = ConfigDict(extra="forbid")

    amount_minor: Amount
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = "AUD"
    how: How
    received_at: AwareDatetime | None = None
    reason: Words | None = None


class CreditUse(BaseModel):
    """How much of the member's credit to use: as much as is needed and there is, where no amount is given."""

    model_config = ConfigDict(extra="forbid")

    amount_minor: Amount | None = None
    reason: Words | None = None


class Mistake(BaseModel):
    """Which decision was a mistake, and why."""

    model_config = ConfigDict(extra="forbid")

    decision_id: UUID
    reason: Words


class OnStatement(BaseModel):
    """The day of the bank's statement on which the payout stands."""

    model_config = ConfigDict(extra="forbid")

    on: date


class BankedPayout(BaseModel):
    """A payout that stands on the bank's statement."""

    id: UUID
    version: int
    on: date


def _money(minor: int) -> dict[str, Any]:
    return {"amount_minor": minor, "currency": "AUD"}


_SUMMARY: Final = {
    "id": _INVOICE_ID,
    "reference": "1BZ2K7-0001",
    "state": "open",
    "implied": False,
    "member_id": "mark-stevens",
    "total": _money(11_000),
    "gst": _money(1_000),
    "gst_rule": "stated",
    "issued_at": "2026-03-02T09:15:30Z",
    "due_on": None,
    "paid_at": None,
    "version": 1,
}
_OPEN: Final = {**_SUMMARY, "due": _money(11_000), "written_off": _money(0), "decisions": []}
_DECISION: Final = {
    "id": "0198c2f4-7c10-7b02-8f4e-3a5d6c7b8e94",
    "what": "written off",
    "at": "2026-05-02T01:00:00Z",
    "amount": None,
    "how": None,
}
_GIVEN_UP: Final = {
    **_OPEN,
    "state": "uncollectible",
    "due": _money(0),
    "written_off": _money(11_000),
    "decisions": [_DECISION],
    "version": 2,
}
_PAID: Final = {
    **_OPEN,
    "state": "paid",
    "due": _money(0),
    "paid_at": "2026-05-02T01:00:00Z",
    "decisions": [{**_DECISION, "what": "paid outside", "amount": _money(11_000), "how": "cash"}],
    "version": 2,
}
_NO_INVOICE: Final = Problem.not_found("invoice", _INVOICE_ID)
_NOTHING_DUE: Final = (CONFLICT, "Nothing is due of invoice 1BZ2K7-0001: it is paid.")
_TOO_MUCH: Final = (INVALID, "Some values are missing, or are not what they should be.")


@router.get(
    "/invoices",
    **documents(scope="payments:read", example=Listed(items=[_SUMMARY], next=None), problems=LIST_PROBLEMS),
)
async def list_invoices(
    tx: ReadTx,
    page: Page,
    member_id: Annotated[str | None, Query(max_length=200, description="Only this member's")] = None,
    state: Annotated[InvoiceState | None, Query(description="Only those in this state")] = None,
) -> Listed[InvoiceRow]:
    """Invoices, newest first."""
    rows = await store.page(
        tx.connection, member_id=member_id, state=state, before=page.after_id(), limit=page.limit + 1
    )
    return page.listed([InvoiceRow(**_row(row)) for row in rows], key=lambda invoice: invoice.id)


@router.get("/invoices/{invoice_id}", **documents(scope="payments:read", example=_OPEN, problems=[_NO_INVOICE]))
async def get_invoice(invoice_id: UUID, tx: ReadTx, policy: BookingPolicy) -> InvoiceDetail:
    """One invoice with what is due of it, and what staff decided about it."""
    return await _shown(tx, invoice_id, policy)


@router.post(
    "/invoices/{invoice_id}/write-off",
    **documents(
        scope="payments:write",
        audit=InvoiceUpdated,
        limit="write",
        request={"reason": "he has moved to Perth"},
        example=_GIVEN_UP,
        problems=[_NO_INVOICE, _NOTHING_DUE],
    ),
)
async def write_off(
    invoice_id: UUID, given: WriteOff, tx: Tx, if_match: IfMatch, policy: BookingPolicy
) -> InvoiceDetail:
    """Give up what is due of an invoice, or part of it. What is paid later is recovered."""
    done = use_cases.write_off(
        tx, str(invoice_id), policy, amount_minor=given.amount_minor, reason=given.reason, expected=if_match
    )
    return await _decided(tx, invoice_id, policy, done)


@router.post(
    "/invoices/{invoice_id}/record-payment",
    **documents(
        scope="payments:write",
        audit=InvoiceUpdated,
        limit="write",
        request={"amount_minor": 11_000, "how": "cash"},
        example=_PAID,
        problems=[_NO_INVOICE, _NOTHING_DUE, _TOO_MUCH],
    ),
)
async def record_payment(
    invoice_id: UUID, given: Received, tx: Tx, if_match: IfMatch, policy: BookingPolicy
) -> InvoiceDetail:
    """Record money that came beside every provider; what is more than is due becomes the member's credit."""
    done = use_cases.record_payment(
        tx,
        str(invoice_id),
        policy,
        amount_minor=given.amount_minor,
        currency=given.currency,
        how=given.how,
        received_at=given.received_at,
        reason=given.reason,
        expected=if_match,
    )
    return await _decided(tx, invoice_id, policy, done)


@router.post(
    "/invoices/{invoice_id}/apply-credit",
    **documents(
        scope="payments:write",
        audit=InvoiceUpdated,
        limit="write",
        request={"amount_minor": 1_000},
        example={
            **_OPEN,
            "due": _money(10_000),
            "decisions": [{**_DECISION, "what": "paid from credit", "amount": _money(1_000)}],
            "version": 2,
        },
        problems=[_NO_INVOICE, (CONFLICT, "The member has a credit of AUD 0.00: use no more than that.")],
    ),
)
async def apply_credit(
    invoice_id: UUID, given: CreditUse, tx: Tx, if_match: IfMatch, policy: BookingPolicy
) -> InvoiceDetail:
    """Pay an invoice from its member's credit."""
    done = use_cases.apply_credit(
        tx, str(invoice_id), policy, amount_minor=given.amount_minor, reason=given.reason, expected=if_match
    )
    return await _decided(tx, invoice_id, policy, done)


@router.post(
    "/invoices/{invoice_id}/withdraw-decision",
    **documents(
        scope="payments:write",
        audit=InvoiceUpdated,
        limit="write",
        request={"decision_id": _DECISION["id"], "reason": "the wrong invoice"},
        example={**_OPEN, "version": 3},
        problems=[_NO_INVOICE, _TOO_MUCH],
    ),
)
async def withdraw_decision(
    invoice_id: UUID, given: Mistake, tx: Tx, if_match: IfMatch, policy: BookingPolicy
) -> InvoiceDetail:
    """Say that a decision about an invoice was a mistake: what it posted is taken back by a correction."""
    done = use_cases.withdraw(
        tx, str(invoice_id), policy, decision=str(given.decision_id), reason=given.reason, expected=if_match
    )
    return await _decided(tx, invoice_id, policy, done)


@router.post(
    "/payouts/{payout_id}/bank",
    **documents(
        scope="payments:write",
        audit=PayoutDescribed,
        limit="write",
        request={"on": "2026-11-20"},
        example={"id": _PAYOUT_ID, "version": 3, "on": "2026-11-20"},
        problems=[
            Problem.not_found("payout", _PAYOUT_ID),
            (CONFLICT, "A statement cannot be of the future: enter the day on which the money arrived."),
        ],
    ),
)
async def bank_payout(
    payout_id: UUID, given: OnStatement, tx: Tx, if_match: IfMatch, policy: BookingPolicy
) -> BankedPayout:
    """Say that a payout stands on the bank's statement: it is in the bank from then on, until it fails."""
    at = datetime.combine(given.on, time(), policy.zone)
    try:
        await use_cases.bank(tx, str(payout_id), policy, at=at, expected=if_match)
    except NoSuchPayoutError:
        raise Problem.not_found("payout", str(payout_id)) from None
    except RefusedError as error:
        raise _refused(error) from None
    found = await store.find_payout(tx.connection, str(payout_id))
    return BankedPayout(id=payout_id, version=found.version if found else 0, on=given.on)


async def _decided(tx: Tx, invoice_id: UUID, policy: Policy, done: Awaitable[None]) -> InvoiceDetail:
    try:
        await done
    except NoSuchInvoiceError:
        raise Problem.not_found("invoice", str(invoice_id)) from None
    except NoSuchDecisionError as error:
        raise Problem.not_found("decision", str(error)) from None
    except RefusedError as error:
        raise _refused(error) from None
    return await _shown(tx, invoice_id, policy)


def _refused(error: RefusedError) -> Problem:
    text = str(error)
    return Problem(CONFLICT, f"{text[:1].upper()}{text[1:]}.")


async def _shown(tx: ReadTx, invoice_id: UUID, policy: Policy) -> InvoiceDetail:
    try:
        invoice, left, version = await use_cases.look(tx, str(invoice_id), policy)
    except NoSuchInvoiceError:
        raise Problem.not_found("invoice", str(invoice_id)) from None
    return InvoiceDetail(
        id=invoice_id,
        reference=invoice.reference,
        state=invoice.state,
        implied=invoice.implied,
        member_id=invoice.member.id if invoice.member else None,
        total=_of(invoice, invoice.total_minor),
        gst=_of(invoice, invoice.gst_minor),
        gst_rule=invoice.gst_rule,
        issued_at=invoice.issued_at,
        due_on=invoice.due_on,
        paid_at=invoice.paid_at,
        version=version,
        due=_of(invoice, left.due_minor),
        written_off=_of(invoice, left.written_off_minor),
        decisions=[_decision(invoice, each) for each in domain.decisions_of(invoice)],
    )


def _of(invoice: InvoiceView, minor: int) -> Money:
    return Money(amount_minor=minor, currency=invoice.currency)


def _decision(invoice: InvoiceView, fact: WrittenOff | PaidOutside | CreditApplied) -> DecisionView:
    return DecisionView(
        id=UUID(fact.told.event_id),
        what=domain.words_of(fact),
        at=fact.told.at,
        amount=None if fact.amount_minor is None else _of(invoice, fact.amount_minor),
        how=fact.how if isinstance(fact, PaidOutside) else None,
    )


def _row(row: Row[Any]) -> dict[str, Any]:
    shown = {name: getattr(row, name) for name in InvoiceRow.model_fields if name not in ("total", "gst")}
    total = Money(amount_minor=row.total_minor, currency=row.currency)
    return {**shown, "total": total, "gst": Money(amount_minor=row.gst_minor, currency=row.currency)}

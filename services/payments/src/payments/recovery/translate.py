"""From payments to what a plan is derived from, and from plans to what is told of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, Literal

from chassis.transaction import Draft
from contracts.envelope import Entity, Money, Snapshot, Workflow
from contracts.events import (
    Named,
    OperationalTaskRequested,
    PaymentRecoveryRequested,
    PaymentUpdated,
    Referenced,
    TaskBlocked,
    TaskSource,
)
from contracts.tasks import PAYMENT_RECOVERY

from payments.collection.domain import PaymentView
from payments.collection.objects import CHARGE
from payments.collection.telling import reason_of
from payments.holds.domain import Hold
from payments.recovery.domain import DeclineTable, Failing, Plan

COLLECTION: Final = "payment_collection"
BILLING: Final = "Billing"
RAILS: Final = "payment-rails"
_FAILED: Final = frozenset({"failed", "reversed", "charged_back"})
Standing = Literal["failed", "charged_back", "under_way", "paid", "cancelled"]
_STANDING: Final[Mapping[str, Standing]] = {
    "failed": "failed",
    "charged_back": "charged_back",
    "succeeded": "paid",
    "paid_out": "paid",
    "cancelled": "cancelled",
}
_WHY: Final[Mapping[str, str]] = {
    "hard_decline": "another attempt cannot succeed",
    "member_must_act": "the member has to act first",
    "exhausted": "every automatic attempt has failed",
    "outcome_unknown": "nobody can say what became of an attempt",
    "no_retry": "it cannot be tried again automatically",
    "no_invoice": "nothing was written off, because nobody has told which invoice it is for: write off that invoice",
}


def failing(view: PaymentView, table: DeclineTable) -> Failing | None:
    """What a plan is derived from; None for a payment no attempt of which has failed, or whose amount is not known yet.

    The latter is fetched: were it handed to a person meanwhile, an order of arrival would have decided.
    """
    failed = [each for each in view.attempts if each.state in _FAILED]
    if not failed or view.amount_minor is None:
        return None
    failure = view.failure or failed[-1].failure
    codes = (failure.decline_code, failure.code) if failure else ()
    direct = view.key.provider == "gocardless"
    # An attempt's own time is when it began: a debit fails days later, which its movements tell.
    ends = [at for each in view.movements for at in (each.reversed_at, each.pending_ended_at) if at and direct]
    last = max([failed[-1].at, *ends])
    return Failing(
        standing=_STANDING.get(view.state, "under_way"),
        failures=len(failed),
        first_failed_at=min(failed[0].at, last),
        last_failed_at=last,
        decline=table.classify(view.key.provider, codes),
        reason=code_of(view),
        provider_retries=bool(view.will_attempt_retry),
        collectable=view.key.kind != CHARGE,
        direct_debit=direct or view.method == "au_becs_debit",
    )


def code_of(view: PaymentView) -> str | None:
    """The code by which a plan names the failure."""
    failure = view.failure
    if failure is None:
        return None
    decline = failure.decline_code if failure.decline_code and not failure.decline_code.isdecimal() else None
    return decline or failure.code


@dataclass(frozen=True, slots=True)
class Subject:
    """The payment that is told of, as its row has it."""

    payment_id: str
    reference: str
    state: str
    amount: Money | None
    member: Named | None
    invoice: Referenced | None
    reason: str | None = None

    @property
    def entity(self) -> Entity:
        return Entity(type="payment", id=self.payment_id)

    @property
    def workflow(self) -> Workflow:
        return Workflow(name=COLLECTION, id=self.payment_id)

    @property
    def payment(self) -> Referenced:
        return Referenced(id=self.payment_id, reference=self.reference)

    @property
    def dedupe_key(self) -> str:
        return dedupe_key(self.payment_id)


def dedupe_key(payment_id: str) -> str:
    """The key under which there is at most one open task for a payment."""
    return f"payment_recovery:{payment_id}"


def payment_id_of(key: str | None) -> str | None:
    """The payment that a task with this dedupe key is about, or None."""
    kind, _, payment_id = (key or "").partition(":")
    return payment_id if kind == PAYMENT_RECOVERY and payment_id else None


def subject_of(view: PaymentView, payment_id: str, invoice: Referenced | None) -> Subject:
    """The payment as it was folded."""
    amount = None
    if view.amount_minor is not None and view.currency is not None:
        amount = Money(amount_minor=view.amount_minor, currency=view.currency)
    member = None if view.member is None else Named(id=view.member.id, name=view.member.name)
    return Subject(payment_id, view.key.id, view.state, amount, member, invoice, reason_of(view.failure))


def snapshot(plan: Plan | None) -> dict[str, Any] | None:
    """The plan as before and after show it."""
    if plan is None:
        return None
    return {
        "state": plan.state,
        "owner": plan.owner,
        "why": plan.why,
        "number": plan.number,
        "planned_for": plan.planned_for.isoformat() if plan.planned_for else None,
        "held_by": plan.held_by,
    }


def _shown(subject: Subject, plan: Plan | None) -> Snapshot:
    return {"state": subject.state, "retry": snapshot(plan)}


def updated(
    subject: Subject, change: str, before: Plan | None, after: Plan, reason: str | None
) -> Draft[PaymentUpdated]:
    """What became of a payment's retry."""
    return Draft(
        PaymentUpdated(change=change, payment=subject.payment, member=subject.member, amount=subject.amount),
        subject.entity,
        subject.workflow,
        before=_shown(subject, before),
        after=_shown(subject, after),
        reason=reason,
    )


def why_words(why: str, hold: Hold | None) -> str:
    """Why automatic collection has ended, in words."""
    if hold is not None:
        return f"the member is on {hold.kind} hold"
    return _WHY.get(why, why.replace("_", " "))


def recovery_requested(
    subject: Subject, before: Plan | None, after: Plan, hold: Hold | None
) -> Draft[PaymentRecoveryRequested]:
    """A person is asked to take over."""
    return Draft(
        PaymentRecoveryRequested(
            payment=subject.payment,
            why=after.why,
            dedupe_key=subject.dedupe_key,
            member=subject.member,
            invoice=subject.invoice,
            amount=subject.amount,
        ),
        subject.entity,
        subject.workflow,
        before=_shown(subject, before),
        after=_shown(subject, after),
        reason=why_words(after.why, hold),
    )


def task_requested(
    subject: Subject, after: Plan, hold: Hold | None, *, event_id: str, due_on: date
) -> Draft[OperationalTaskRequested]:
    """The task that is asked for, blocked while the hold lasts."""
    reason = why_words(after.why, hold)
    return Draft(
        OperationalTaskRequested(
            dedupe_key=subject.dedupe_key,
            kind=PAYMENT_RECOVERY,
            fields=_fields(subject),
            queue=BILLING,
            source=TaskSource(workflow=subject.workflow, entity=subject.entity, event_id=event_id),
            due_on=due_on,
            blocked=None if hold is None else _blocked(hold),
            gates=(RAILS,),
            note=_note(subject, reason),
        ),
        Entity(type="task_request", id=subject.dedupe_key),
        subject.workflow,
        reason=reason,
    )


def _fields(subject: Subject) -> dict[str, str]:
    member = subject.member
    return {"member": "an unknown member"} if member is None else {"member": member.name, "member_id": member.id}


def _blocked(hold: Hold) -> TaskBlocked:
    until: datetime | None = hold.ends_at
    return TaskBlocked(code=f"{hold.kind}_hold", text=hold.reason, until=until, unblocked_by=hold.condition)


def _note(subject: Subject, reason: str) -> str:
    failed = f"The payment failed ({subject.reason}); " if subject.reason else ""
    return f"{failed}{reason}." if failed else f"{reason[:1].upper()}{reason[1:]}."

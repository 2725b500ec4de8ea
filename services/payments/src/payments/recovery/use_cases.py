"""Planning retries with every batch of facts, and making them: two transactions and a call between them.

Whoever changes a plan has locked the payment's object first, as the worker has: so plan, attempts and facts are read
as one. Every change of a plan is told once, by the event that led to it where there is one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from chassis.schedule import Due, Open
from chassis.sql import Write, write_together
from chassis.transaction import Transaction
from contracts.events import Referenced

from payments.collection import fetching
from payments.collection import store as collection
from payments.collection.domain import Fetch, InvoiceView, PaymentView
from payments.collection.objects import Key
from payments.collection.store import Ids
from payments.holds import store as holds
from payments.holds.domain import Hold
from payments.pauses import domain as pausing
from payments.pauses.view import COLLECTION, Pauses
from payments.providers.collecting import Accepted, Answer, Collects, Declined, NotMade, Request, Unknown
from payments.recovery import domain, store, translate
from payments.recovery.declines import TABLE
from payments.recovery.domain import Attempt, HandOver, Made, Needless, Plan, derive
from payments.recovery.store import Target
from payments.recovery.translate import Subject

_FETCH_WHY: Final = "an attempt of ours was answered, the charge has not been told"
NO_INVOICE: Final = "no_invoice"
"""The outcome that stands for a write-off of what nobody knows."""
_TASK_DUE: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Replanned:
    """What facts made of one payment's plan."""

    subject: Subject
    before: Plan | None
    after: Plan

    def shown(self) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """The plan as the event that changed it shows it, before and after."""
        return {"retry": translate.snapshot(self.before)}, {"retry": translate.snapshot(self.after)}


@dataclass(slots=True)
class Changes:
    """What a batch made of plans, by payment; what was taken with `take` is told by its taker.

    `writes` are to be written with the payments that the plans belong to.
    """

    zone: ZoneInfo
    writes: list[Write] = field(default_factory=list)
    by_key: dict[Key, Replanned] = field(default_factory=dict)
    _taken: set[Key] = field(default_factory=set)

    def take(self, key: Key) -> Replanned | None:
        """The change of this payment's plan, for whoever tells of the payment anyway."""
        self._taken.add(key)
        return self.by_key.get(key)

    def tell(self, causes: Mapping[Key, Transaction]) -> None:
        """Tell of what nobody has taken, and ask for people where automatic collection has ended."""
        for key, change in self.by_key.items():
            if change.after.state == "recovery":
                _ask(causes[key], change.subject, change.before, change.after, None, zone=self.zone)
            elif key not in self._taken:
                causes[key].emit(
                    translate.updated(
                        change.subject, "planned the collection of", change.before, change.after, change.subject.reason
                    )
                )


async def replan(
    tx: Transaction,
    views: Sequence[PaymentView],
    invoices: Mapping[Key, InvoiceView],
    ids: Ids,
    *,
    zone: ZoneInfo,
) -> Changes:
    """Derive the plans of payments that were folded; nothing is asked or to be written where none has ever failed."""
    failing = {view.key: (view, found) for view in views if (found := translate.failing(view, TABLE)) is not None}
    changes = Changes(zone=zone)
    if not failing:
        return changes
    by_id = {ids.payment(key): key for key in failing}
    stored = await store.load(tx.connection, list(by_id))
    plans: dict[str, Plan] = {}
    for payment_id, key in by_id.items():
        view, given = failing[key]
        known = stored.get(payment_id)
        before = known.plan if known else None
        after = derive(given, before, known.made if known else (), TABLE)
        if after is None or after == before:
            continue
        plans[payment_id] = after
        invoice = invoices.get(view.invoice) if view.invoice else None
        named = None if invoice is None else Referenced(id=ids.invoice(invoice.key), reference=invoice.reference)
        if translate.snapshot(before) != translate.snapshot(after):
            changes.by_key[key] = Replanned(translate.subject_of(view, payment_id, named), before, after)
    if plans:
        changes.writes.append(store.saving(plans))
    return changes


def _ask(
    tx: Transaction, subject: Subject, before: Plan | None, after: Plan, hold: Hold | None, *, zone: ZoneInfo
) -> None:
    """Ask a person to take over, unless somebody was asked already."""
    if before is not None and before.state == "recovery":
        return
    event_id = tx.emit(translate.recovery_requested(subject, before, after, hold))
    due_on: date = (tx.now.astimezone(zone) + _TASK_DUE).date()
    tx.emit(translate.task_requested(subject, after, hold, event_id=event_id, due_on=due_on))


@dataclass(frozen=True, slots=True)
class Means:
    """What a retry needs beside the database."""

    pauses: Pauses
    collector: Collects
    zone: ZoneInfo


async def attempt(open_tx: Open, means: Means, due: Due) -> None:
    """Try once to collect a payment whose retry is due, or say why not."""
    async with means.pauses.gate.shared():  # no pause is acknowledged while a call is out
        async with open_tx() as tx:
            request = await _permitted(tx, means, due)
        if request is None:
            return
        answer = await means.collector.collect(request)
        async with open_tx() as tx:
            await _settle(tx, means, due, request, answer)


async def _target(tx: Transaction, payment_id: str) -> Target | None:
    """The payment, locked, with its plan."""
    key = await store.key_of(tx.connection, payment_id)
    if key is None:
        return None
    await collection.lock_objects(tx.connection, [key])
    found = await store.targets(tx.connection, [payment_id])
    return found[0] if found else None


async def _hold(tx: Transaction, target: Target) -> Hold | None:
    member = target.subject.member
    if member is None:
        return None
    found = await holds.in_force(tx.connection, [member.id], now=tx.now)
    return found[0] if found else None


async def _permitted(tx: Transaction, means: Means, due: Due) -> Request | None:
    """Record the attempt that may be made now; None where none may, which is settled then."""
    target = await _target(tx, str(due.key))
    if target is None:
        await due.settle(tx, None)
        return None
    plan, subject = target.stored.plan, target.subject
    hold = await _hold(tx, target)
    verdict = means.pauses.verdict(target.key.provider, target.key.account, COLLECTION, by_staff=plan.manual)
    paused = None if isinstance(verdict, pausing.Open) else verdict.words
    given = domain.Due(
        payment_id=subject.payment_id,
        plan=plan,
        made=target.stored.made,
        unpaid=target.unpaid,
        hold=hold.kind if hold else None,
        paused=paused,
    )
    match domain.decide(given, now=tx.now):
        case Attempt() as decided:
            return await _begin(tx, target, decided)
        case domain.Hold(words):
            await _change(tx, subject, plan, domain.held(plan, words), "held back", words)
        case HandOver(why):
            after = domain.handed_over(plan, why)
            await store.save(tx.connection, {subject.payment_id: after})
            _ask(tx, subject, plan, after, hold if why == "held" else None, zone=means.zone)
        case Needless():
            if plan.state == "scheduled":
                await _change(
                    tx, subject, plan, domain.closed(plan, "needless"), "left alone", "nothing is owed any more"
                )
    await due.settle(tx, None)
    return None


async def _begin(tx: Transaction, target: Target, decided: Attempt) -> Request:
    plan, subject = target.stored.plan, target.subject
    if not decided.look_up:
        await store.record_attempt(
            tx.connection,
            subject.payment_id,
            number=decided.number,
            manual=decided.manual,
            key=decided.key,
            failures=plan.failures,
            now=tx.now,
        )
        after = domain.calling(plan)
        await _change(tx, subject, plan, after, "started to collect", f"attempt {decided.number} is due")
    return Request(
        payment=target.key,
        number=decided.number,
        key=decided.key,
        known=target.known,
        send=decided.send,
        customer=target.customer if plan.why == "new_method" else None,
    )


async def _change(tx: Transaction, subject: Subject, before: Plan, after: Plan, change: str, reason: str) -> None:
    await store.save(tx.connection, {subject.payment_id: after})
    tx.emit(translate.updated(subject, change, before, after, reason))


async def _settle(tx: Transaction, means: Means, due: Due, request: Request, answer: Answer) -> None:
    """Keep what the provider answered; what it means for the payment comes as facts."""
    target = await _target(tx, str(due.key))
    if target is None:
        await due.settle(tx, None)
        return
    plan, subject = target.stored.plan, target.subject
    state, change = _outcome(answer)
    await store.answered(tx.connection, subject.payment_id, request.number, state, answer.told)
    if isinstance(answer, Accepted | Declined) and answer.show is not None:
        await write_together(tx.connection, *fetching.want([Fetch(answer.show, _FETCH_WHY, 0)]))
    made = next((each for each in target.stored.made if each.number == request.number), None)
    # Where its facts were faster than its answer, the plan is another by now, and due when that says.
    calling = plan.state == "calling"
    hold = await _hold(tx, target) if calling else None
    ended = _ended(answer, made, hold, now=tx.now) if calling else None
    if ended is not None:
        after = domain.handed_over(plan, ended)
        await store.save(tx.connection, {subject.payment_id: after})
        _ask(tx, subject, plan, after, hold, zone=means.zone)
    elif _is_news(answer, made):
        tx.emit(translate.updated(subject, change, plan, plan, answer.told))
    look_again = tx.now + domain.LOOK_AGAIN if ended is None and isinstance(answer, Unknown) else None
    await due.settle(tx, look_again if calling else plan.due_at)


def _is_news(answer: Answer, made: Made | None) -> bool:
    """Whether an answer that ends nothing is told: not that nothing was tried, nor twice that it was lost."""
    lost_before = made is not None and made.state == "unknown"
    return not (isinstance(answer, NotMade) or (isinstance(answer, Unknown) and lost_before))


def _ended(answer: Answer, made: Made | None, hold: Hold | None, *, now: datetime) -> str | None:
    """Why automatic collection ends with this answer, if it does."""
    if isinstance(answer, NotMade):
        return "no_retry"
    if not isinstance(answer, Unknown):
        return None
    if answer.untouched and hold is not None:
        return "held"
    return "outcome_unknown" if made is None or now - made.recorded_at >= domain.KEY_REMEMBERED else None


def _outcome(answer: Answer) -> tuple[str, str]:
    match answer:
        case Accepted():
            return "accepted", "submitted"
        case Declined():
            return "declined", "could not collect"
        case Unknown():
            return "unknown", "lost the answer about"
        case NotMade():
            return "not_made", "could not try"


async def release(tx: Transaction, pauses: Pauses, *, limit: int) -> int:
    """Let the retries go on that nothing holds any more, the oldest first; each is looked at again when it is due."""
    waiting = [
        (payment_id, key)
        for payment_id, key, manual in await store.held(tx.connection, limit=limit)
        if isinstance(pauses.verdict(key.provider, key.account, COLLECTION, by_staff=manual), pausing.Open)
    ]
    if not waiting:
        return 0
    await collection.lock_objects(tx.connection, [key for _, key in waiting])
    released: dict[str, Plan] = {}
    for target in await store.targets(tx.connection, [payment_id for payment_id, _ in waiting]):
        plan = target.stored.plan
        if plan.state == "held":
            after = released[target.subject.payment_id] = domain.released(plan)
            tx.emit(translate.updated(target.subject, "released", plan, after, "nothing holds it back any more"))
    if released:
        await store.save(tx.connection, released)
    return len(released)


async def decided(tx: Transaction, payment_id: str, outcome: str, *, zone: ZoneInfo) -> None:
    """Do what a person has decided about a payment in recovery, once; what is paid or closed is left alone.

    What cannot be done is asked about again, with what stands in its way: a hold, or that nobody knows the invoice.
    """
    target = await _target(tx, payment_id)
    if target is None or target.stored.plan.state != "recovery":
        return
    plan, subject = target.stored.plan, target.subject
    if outcome == NO_INVOICE:
        again = domain.handed_over(plan, NO_INVOICE)
        await store.save(tx.connection, {payment_id: again})
        _ask(tx, subject, None, again, None, zone=zone)
        return
    if outcome not in ("retry_now", "new_method"):
        await _change(tx, subject, plan, domain.closed(plan, outcome), "closed", outcome.replace("_", " "))
        return
    hold = await _hold(tx, target)
    if hold is not None:
        again = domain.handed_over(plan, "held")
        await store.save(tx.connection, {payment_id: again})
        # The task that said so is over: another one is asked for, blocked by the hold.
        _ask(tx, subject, None, again, hold, zone=zone)
        return
    after = domain.retried_by_hand(plan, made=target.stored.made, why=outcome, now=tx.now)
    await _change(tx, subject, plan, after, "scheduled", outcome.replace("_", " "))

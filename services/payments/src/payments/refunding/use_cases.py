"""Asking for a refund, and asking the provider to make it: two transactions and a call between them."""

from __future__ import annotations

from dataclasses import replace

from chassis.clock import real_now
from chassis.ids import new_id
from chassis.schedule import Due, Open
from chassis.sql import write_together
from chassis.transaction import Draft, Transaction
from contracts.envelope import Entity, Money, Snapshot, Workflow
from contracts.events import Named, Referenced, RefundRequestUpdated

from payments.collection import fetching
from payments.collection import store as objects
from payments.collection import use_cases as collection
from payments.collection.domain import Fetch, Member, Policy
from payments.collection.objects import REFUND, Key
from payments.collection.use_cases import Rules
from payments.matching import store as matching
from payments.providers.refunding import Made, RefundCall, Refunds, Refused, Unanswered
from payments.refunding import store
from payments.refunding.domain import Request, brought_by, given_back, may_be_refunded, may_call


class NoSuchPaymentError(Exception):
    """There is no payment with this id."""


async def ask(tx: Transaction, payment_id: str, policy: Policy, *, amount_minor: int, reason: str) -> Request:
    """Ask for a refund; its provider is asked at once. Raises NoSuchPaymentError and RefusedRefundError."""
    key = await matching.payment_key(tx.connection, payment_id)
    if key is None:
        raise NoSuchPaymentError(payment_id)
    # Of two people who ask at once, the second sees what the first has asked for.
    await objects.lock_objects(tx.connection, [key])
    group = await collection.look(tx, Rules(policy), {key})
    others = await store.of_payment(tx.connection, payment_id)
    payment = may_be_refunded(group.payment(key), amount_minor, others)
    by = tx.actor
    currency = payment.currency or policy.home_currency
    request = Request(new_id(), payment_id, key, amount_minor, currency, reason, by.id, by.name, real_now())
    await store.add(tx.connection, request, tx.now)
    _tell(tx, "asked for", request, None, payment.member, reason)
    return request


async def make(open_tx: Open, refunds: Refunds, policy: Policy, due: Due) -> None:
    """Have the provider make one refund, once."""
    async with open_tx() as tx:
        request = await store.find(tx.connection, str(due.key))
        call = None if request is None else await _call(tx, request, policy)
        if call is None:
            if request is not None and request.state == "asked":
                await _answered(tx, replace(request, state="unknown", told="nobody can say whether it was made"))
            await due.settle(tx, None)
            return
        await store.called(tx.connection, call.request_id, real_now())
    answer = await refunds.refund(call)
    async with open_tx() as tx:
        request = await store.find(tx.connection, str(due.key))
        if request is None:
            await due.settle(tx, None)
            return
        match answer:
            case Made(refund):
                await _answered(tx, replace(request, state="made", refund=refund))
                shown = Key(request.payment.provider, request.payment.account, REFUND, refund)
                await write_together(tx.connection, *fetching.want([Fetch(shown, "we have asked for it", 0)]))
                await due.settle(tx, None)
            case Refused(told):
                await _answered(tx, replace(request, state="refused", told=told))
                await due.settle(tx, None)
            case Unanswered(told):
                raise ConnectionError(told)  # due again after a while, under the same key


async def _call(tx: Transaction, request: Request, policy: Policy) -> RefundCall | None:
    """The call that may be made for a request, or None. GoCardless wants to know what all refunds add up to."""
    if not may_call(request, now=real_now()):
        return None
    group = await collection.look(tx, Rules(policy), {request.payment})
    payment = group.payment(request.payment)
    if payment is None:
        return None
    earlier = [each for each in await store.of_payment(tx.connection, request.payment_id) if each.id < request.id]
    total = min(given_back(payment, earlier) + request.amount_minor, brought_by(payment))
    return RefundCall(request.id, request.payment, request.amount_minor, total, request.key)


async def _answered(tx: Transaction, request: Request) -> None:
    await store.answered(tx.connection, request)
    changes = {"made": "made", "refused": "could not make", "unknown": "lost the answer about"}
    _tell(tx, changes[request.state], request, replace(request, state="asked", refund=None), None, request.told)


def _tell(
    tx: Transaction, change: str, request: Request, before: Request | None, member: Member | None, reason: str | None
) -> None:
    body = RefundRequestUpdated(
        change=change,
        payment=Referenced(id=request.payment_id, reference=request.payment.id),
        amount=Money(amount_minor=request.amount_minor, currency=request.currency),
        member=None if member is None else Named(id=member.id, name=member.name),
        refund=request.refund,
    )
    tx.emit(
        Draft(
            body,
            Entity(type="refund_request", id=request.id),
            Workflow(name="payment_collection", id=request.payment_id),
            before=None if before is None else _snapshot(before),
            after=_snapshot(request),
            reason=reason,
        )
    )


def _snapshot(request: Request) -> Snapshot:
    return {"state": request.state, "refund": request.refund, "told": request.told}

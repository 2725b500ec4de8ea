"""Keeping members: a name, and the references by which the providers know the customer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from chassis.transaction import Draft, Transaction
from contracts.envelope import Entity, Snapshot, Workflow
from contracts.events import MemberUpdated, Referenced
from payments.collection import store as collection
from payments.collection.objects import Key, customer_key
from payments.members import store
from payments.members.store import Customer, Member
from payments.numbering import store as numbering


async def put(tx: Transaction, member_id: str, name: str, customers: Sequence[Customer]) -> Member:
    """Make the member what is given; the same again changes nothing and tells nothing.

    Payments that wait for one of the customers are folded again by the worker. Raises CustomerTakenError.
    """
    before = await store.load(tx.connection, member_id, lock=True)
    wanted = tuple(sorted(set(customers)))
    if before is not None and (before.name, before.customers) == (name, wanted):
        return before
    held = set(before.customers if before else ())
    keys = {_key(each) for each in held ^ set(wanted)}
    # A worker locks the customers of what it folds: either it sees what is written here, or its facts are seen.
    await collection.lock_objects(tx.connection, keys)
    after = await store.save(tx.connection, member_id, name, wanted, at=tx.now)
    await numbering.record_member(tx, member_id, name, _customers(after))
    await collection.queue_refolds(tx.connection, keys)
    tx.emit(_told(before, after))
    return after


def _key(customer: Customer) -> Key:
    return customer_key(customer.provider, customer.reference, customer.account)


def _told(before: Member | None, after: Member) -> Draft[MemberUpdated]:
    body = MemberUpdated(
        change="added" if before is None else "changed", name=after.name, customers=_referenced(after.customers)
    )
    return Draft(
        body,
        Entity(type="member", id=after.id),
        Workflow(name="member", id=after.id),
        before=None if before is None else snapshot(before),
        after=snapshot(after),
    )


def _referenced(customers: Iterable[Customer]) -> tuple[Referenced, ...]:
    return tuple(Referenced(id=each.provider, reference=each.reference) for each in customers)


def snapshot(member: Member) -> Snapshot:
    """The member as before and after show it."""
    return {
        "id": member.id,
        "name": member.name,
        "customers": [{**each} for each in _customers(member)],
    }


def _customers(member: Member) -> list[dict[str, str]]:
    return [
        {"provider": each.provider, "account": each.account, "reference": each.reference} for each in member.customers
    ]

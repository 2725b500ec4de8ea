"""How members are kept and found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from chassis.sql import JsonRow, Read, Statement
from payments.deliveries.domain import OWN_ACCOUNT, Provider
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True, order=True)
class Customer:
    """A customer as a provider knows them; `account` is `self` for the business' own account."""

    provider: Provider
    reference: str
    account: str = OWN_ACCOUNT


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody whom the business knows; the id is the caller's."""

    id: str
    name: str
    version: int
    customers: tuple[Customer, ...]


class CustomerTakenError(Exception):
    """A provider's customer belongs to another member already."""

    def __init__(self, customer: Customer, member_id: str) -> None:
        super().__init__(f"{customer.provider} customer {customer.reference} belongs to member {member_id} already")
        self.customer = customer
        self.member_id = member_id


_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('payments.member:' || :id, 0))")
_LOAD = text("SELECT id, name, version FROM payments.members WHERE id = :id")
_CUSTOMERS = text(
    "SELECT provider, account, reference FROM payments.member_customers WHERE member_id = :id ORDER BY 1, 2, 3"
)
_SAVE = text(
    """
    INSERT INTO payments.members (id, name, version, updated_at) VALUES (:id, :name, 1, :at)
    ON CONFLICT (id) DO UPDATE SET name = excluded.name, version = members.version + 1, updated_at = excluded.updated_at
    RETURNING version
    """
)
_TAKEN = text(
    """
    SELECT held.provider, held.account, held.reference, held.member_id
    FROM payments.member_customers AS held
    JOIN unnest(CAST(:providers AS text[]), CAST(:accounts AS text[]), CAST(:references AS text[]))
        AS given (provider, account, reference) USING (provider, account, reference)
    WHERE held.member_id <> :id LIMIT 1
    """
)
_REMOVE = text(
    """
    DELETE FROM payments.member_customers WHERE member_id = :id AND (provider, account, reference) NOT IN (
        SELECT * FROM unnest(CAST(:providers AS text[]), CAST(:accounts AS text[]), CAST(:references AS text[])))
    """
)
_ADD = text(
    """
    INSERT INTO payments.member_customers (provider, account, reference, member_id)
    SELECT provider, account, reference, :id
    FROM unnest(CAST(:providers AS text[]), CAST(:accounts AS text[]), CAST(:references AS text[]))
        AS given (provider, account, reference)
    ORDER BY 1, 2, 3
    ON CONFLICT (provider, account, reference) DO NOTHING
    """
)
_BY_CUSTOMER = Statement(
    """
    SELECT held.provider, held.account, held.reference, m.id, m.name
    FROM payments.member_customers AS held
    JOIN payments.members AS m ON m.id = held.member_id
    JOIN unnest(CAST(:providers AS text[]), CAST(:accounts AS text[]), CAST(:references AS text[]))
        AS given (provider, account, reference) USING (provider, account, reference)
    """
)


async def load(connection: AsyncConnection, member_id: str, *, lock: bool = False) -> Member | None:
    """The member, or None; with `lock` nobody else changes (or adds) this member until the transaction ends."""
    if lock:
        await connection.execute(_LOCK, {"id": member_id})
    row = (await connection.execute(_LOAD, {"id": member_id})).one_or_none()
    if row is None:
        return None
    customers = await connection.execute(_CUSTOMERS, {"id": member_id})
    return Member(row.id, row.name, row.version, tuple(Customer(c.provider, c.reference, c.account) for c in customers))


async def save(
    connection: AsyncConnection, member_id: str, name: str, customers: Sequence[Customer], *, at: datetime
) -> Member:
    """Write the member as given. Raises CustomerTakenError when a reference belongs to somebody else."""
    given = {"id": member_id, **_columns(customers)}
    taken = (await connection.execute(_TAKEN, given)).first()
    if taken is not None:
        raise CustomerTakenError(Customer(taken.provider, taken.reference, taken.account), taken.member_id)
    saved = await connection.execute(_SAVE, {"id": member_id, "name": name, "at": at})
    version = int(saved.scalar_one())
    await connection.execute(_REMOVE, given)
    await connection.execute(_ADD, given)
    return Member(member_id, name, version, tuple(sorted(customers)))


def by_customer(customers: Iterable[Customer]) -> Read:
    """The id and name of the member behind each customer that is known: give the rows to `members_of`."""
    return _BY_CUSTOMER, _columns(sorted(set(customers)))


def members_of(rows: Sequence[JsonRow]) -> Mapping[Customer, tuple[str, str]]:
    """Read the rows of `by_customer`."""
    return {Customer(row["provider"], row["reference"], row["account"]): (row["id"], row["name"]) for row in rows}


def _columns(customers: Sequence[Customer]) -> dict[str, list[str]]:
    return {
        "providers": [customer.provider for customer in customers],
        "accounts": [customer.account for customer in customers],
        "references": [customer.reference for customer in customers],
    }

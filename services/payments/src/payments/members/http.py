"""Members and their ledger."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from chassis.web import CONFLICT, INVALID, LIST_PROBLEMS, PageRequest, Problem, ReadTx, Tx, documents
from contracts.envelope import Money
from contracts.events import MemberUpdated
from fastapi import APIRouter, Path, Query
from payments import specimens
from payments.deliveries.domain import OWN_ACCOUNT, Provider
from payments.ledger import use_cases as ledger
from payments.ledger.lines import Line
from payments.ledger.use_cases import Asked, NoSuchLineError
from payments.members import store, use_cases
from payments.members.store import Customer, CustomerTakenError, Member
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

router = APIRouter(tags=["members"])
MemberId = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", description="The caller's id")]
PrintableText = r"^[^\x00-\x1f\x7f]+$"


class CustomerReference(BaseModel):
    """A customer as a provider knows them; `account` is `self` unless a connected account is meant."""

    model_config = ConfigDict(extra="forbid")

    provider: Provider
    reference: str = Field(min_length=1, max_length=255, pattern=PrintableText)
    account: str = Field(OWN_ACCOUNT, min_length=1, max_length=255, pattern=r"^[^/\x00-\x1f\x7f]+$")


class MemberGiven(BaseModel):
    """What is to be known of a member: exactly this, what is left out is removed."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=200, pattern=PrintableText)
    customers: list[CustomerReference] = Field(default_factory=list, max_length=50)


class MemberView(BaseModel):
    """A member; `version` counts changes."""

    id: str
    name: str
    version: int
    customers: list[CustomerReference]


class LedgerLineView(BaseModel):
    """One line of a member's ledger: positive amounts are owed by the member. `balance` is the sum so far."""

    effective_at: datetime
    recorded_at: datetime
    words: str
    amount: Money
    balance: Money
    payment_id: str | None
    invoice_id: str | None
    provider_event_id: str | None


class MemberLedger(BaseModel):
    """What a member owes and why; one balance for each currency, negative where the member is in credit.

    `lines` are the newest ones, in the order of their effect, and `next` is the cursor of those before them; null where
    there are none. Their balances, and `balances` after the newest of them, count all that came before.
    """

    member: MemberView
    lines: list[LedgerLineView]
    balances: list[Money]
    next: str | None


@router.put(
    "/members/{member_id}",
    **documents(
        scope="members:write",
        audit=MemberUpdated,
        limit="write",
        request=specimens.MEMBER_GIVEN,
        example=specimens.MEMBER,
        problems=[
            (CONFLICT, "The customer cus_PmR7vTq2WkLx9d of stripe belongs to isla-morgan."),
            (INVALID, "Some values are missing, or are not what they should be."),
        ],
    ),
)
async def put_member(member_id: MemberId, given: MemberGiven, tx: Tx) -> MemberView:
    """Add or change a member. Payments of a customer that was unknown until now find their member."""
    customers = [Customer(each.provider, each.reference, each.account) for each in given.customers]
    try:
        return _view(await use_cases.put(tx, member_id, given.name, customers))
    except CustomerTakenError as error:
        raise Problem(CONFLICT, f"{error}.", member_id=error.member_id) from None


@router.get(
    "/members/{member_id}/ledger",
    **documents(
        scope="members:read",
        limit="read",
        example=specimens.LEDGER,
        problems=[Problem.not_found("member", "isla-morgan"), *LIST_PROBLEMS],
    ),
)
async def get_ledger(
    member_id: MemberId,
    tx: ReadTx,
    as_of: Annotated[AwareDatetime | None, Query(description="Only what had taken effect by then")] = None,
    recorded_as_of: Annotated[AwareDatetime | None, Query(description="Only what we knew by then")] = None,
    limit: Annotated[int, Query(ge=1, le=1_000, description="How many lines to show: the newest")] = 200,
    cursor: Annotated[
        str | None, Query(max_length=100, description="`next` of an answer: the lines before those")
    ] = None,
) -> MemberLedger:
    """The member's ledger, newest page first, each page in the order in which it took effect."""
    member = await store.load(tx.connection, member_id)
    if member is None:
        raise Problem.not_found("member", member_id)
    page = PageRequest(limit, cursor)
    asked = Asked(as_of, recorded_as_of, page.after_int(), limit)
    try:
        found = await ledger.member_ledger(tx.connection, member_id, asked)
    except NoSuchLineError:
        raise LIST_PROBLEMS[0] from None
    return MemberLedger(
        member=_view(member),
        lines=[_line(line) for line in found.lines],
        balances=[Money(amount_minor=amount, currency=currency) for currency, amount in sorted(found.balances.items())],
        next=None if found.earlier is None else page.cursor_of(found.earlier),
    )


def _line(line: Line) -> LedgerLineView:
    return LedgerLineView(
        effective_at=line.effective_at,
        recorded_at=line.recorded_at,
        words=line.words,
        amount=Money(amount_minor=line.amount_minor, currency=line.currency),
        balance=Money(amount_minor=line.balance_minor, currency=line.currency),
        payment_id=line.payment_id,
        invoice_id=line.invoice_id,
        provider_event_id=line.caused_by,
    )


def _view(member: Member) -> MemberView:
    customers = [
        CustomerReference(provider=each.provider, reference=each.reference, account=each.account)
        for each in member.customers
    ]
    return MemberView(id=member.id, name=member.name, version=member.version, customers=customers)

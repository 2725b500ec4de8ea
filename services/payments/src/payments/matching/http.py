"""Whose a payment is that nobody knew: proposals, and what somebody else says to them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from chassis.web import CONFLICT, INVALID, LIST_PROBLEMS, IfMatch, Listed, Page, Problem, ReadTx, Tx, documents
from contracts.events import PaymentMatchUpdated
from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from payments import specimens
from payments.booking import BookingPolicy
from payments.matching import store, use_cases
from payments.matching.domain import CannotMatchError, Match, MatchOverError, OwnProposalError, State
from payments.matching.use_cases import NoSuchMatchError, NoSuchThingError

router = APIRouter(tags=["matches"])
Words = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+$")]
_MATCH_ID: Final = "0198c2f4-7c10-7b02-8f4e-3a5d6c7b8e95"


class MatchGiven(BaseModel):
    """Whose the payment is, what it is for where that is known, and how one knows."""

    model_config = ConfigDict(extra="forbid")

    member_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    invoice_id: UUID | None = None
    reason: Words


class Denial(BaseModel):
    """Why it is not so."""

    model_config = ConfigDict(extra="forbid")

    reason: Words


class MatchView(BaseModel):
    """A proposal; it holds once somebody other than its proposer has agreed."""

    id: UUID
    payment_id: UUID
    payment_reference: str
    member_id: str
    member_name: str
    invoice_id: UUID | None
    state: State
    reason: str
    proposed_by: str
    proposed_by_name: str
    proposed_at: datetime
    decided_by: str | None
    decided_by_name: str | None
    decided_at: datetime | None
    version: int


_PROPOSED: Final[dict[str, Any]] = {
    "id": _MATCH_ID,
    "payment_id": specimens.PAYMENT_ID,
    "payment_reference": "pi_3Qx8TzKp4VnW2mRb0c",
    "member_id": "mark-stevens",
    "member_name": "Mark Stevens",
    "invoice_id": None,
    "state": "proposed",
    "reason": "he said so on the telephone",
    "proposed_by": "maria-rossi",
    "proposed_by_name": "Maria Rossi",
    "proposed_at": "2026-03-04T01:00:00Z",
    "decided_by": None,
    "decided_by_name": None,
    "decided_at": None,
    "version": 1,
}
_DECIDED: Final = {
    **_PROPOSED,
    "decided_by": "owner",
    "decided_by_name": "Owner",
    "decided_at": "2026-03-04T02:00:00Z",
    "version": 2,
}
_NO_MATCH: Final = Problem.not_found("match", _MATCH_ID)
_NO_PAYMENT: Final = Problem.not_found("payment", specimens.PAYMENT_ID)


@router.post(
    "/payments/{payment_id}/matches",
    **documents(
        scope="payments:write",
        audit=PaymentMatchUpdated,
        limit="write",
        status=201,
        request={"member_id": "mark-stevens", "reason": "he said so on the telephone"},
        example=_PROPOSED,
        problems=[
            _NO_PAYMENT,
            (
                CONFLICT,
                "This payment is Mark Stevens's by their customer reference: change the member's references instead.",
            ),
            (INVALID, "Some values are missing, or are not what they should be."),
        ],
    ),
)
async def propose_match(payment_id: UUID, given: MatchGiven, tx: Tx, policy: BookingPolicy) -> MatchView:
    """Propose whose a payment is that nobody knew. Nothing moves before somebody else has agreed."""
    invoice_id = None if given.invoice_id is None else str(given.invoice_id)
    try:
        return _view(
            await use_cases.propose(
                tx, str(payment_id), policy, member_id=given.member_id, invoice_id=invoice_id, reason=given.reason
            )
        )
    except NoSuchThingError as error:
        raise Problem.not_found(error.kind, error.id) from None
    except CannotMatchError as error:
        raise _refused(error) from None


@router.get(
    "/matches",
    **documents(scope="payments:read", example=Listed(items=[_PROPOSED], next=None), problems=LIST_PROBLEMS),
)
async def list_matches(
    tx: ReadTx, page: Page, state: Annotated[State | None, Query(description="Only those in this state")] = None
) -> Listed[MatchView]:
    """Proposals, newest first."""
    found = await store.page(tx.connection, state=state, before=page.after_id(), limit=page.limit + 1)
    return page.listed([_view(each) for each in found], key=lambda match: match.id)


@router.get("/matches/{match_id}", **documents(scope="payments:read", example=_PROPOSED, problems=[_NO_MATCH]))
async def get_match(match_id: UUID, tx: ReadTx) -> MatchView:
    """One proposal."""
    found = await store.find(tx.connection, str(match_id))
    if found is None:
        raise Problem.not_found("match", str(match_id))
    return _view(found)


@router.post(
    "/matches/{match_id}/agree",
    **documents(
        scope="payments:approve",
        audit=PaymentMatchUpdated,
        limit="write",
        example={**_DECIDED, "state": "agreed"},
        problems=[
            _NO_MATCH,
            (CONFLICT, "You have proposed this match yourself: somebody else has to agree to it."),
        ],
    ),
)
async def agree_to_match(match_id: UUID, tx: Tx, if_match: IfMatch, policy: BookingPolicy) -> MatchView:
    """Agree to what somebody else has proposed: the payment is that member's, from its own time on."""
    try:
        return _view(await use_cases.agree(tx, str(match_id), policy, expected=if_match))
    except (NoSuchMatchError, NoSuchThingError):
        raise Problem.not_found("match", str(match_id)) from None
    except (MatchOverError, OwnProposalError, CannotMatchError) as error:
        raise _refused(error) from None


@router.post(
    "/matches/{match_id}/deny",
    **documents(
        scope="payments:approve",
        audit=PaymentMatchUpdated,
        limit="write",
        request={"reason": "it is his sister's"},
        example={**_DECIDED, "state": "denied"},
        problems=[_NO_MATCH, (CONFLICT, "This match is denied already: propose another one.")],
    ),
)
async def deny_match(match_id: UUID, given: Denial, tx: Tx, if_match: IfMatch, policy: BookingPolicy) -> MatchView:
    """Deny what somebody else has proposed, or withdraw what one has proposed oneself."""
    try:
        return _view(await use_cases.deny(tx, str(match_id), policy, reason=given.reason, expected=if_match))
    except NoSuchMatchError:
        raise Problem.not_found("match", str(match_id)) from None
    except MatchOverError as error:
        raise _refused(error) from None


def _refused(error: Exception) -> Problem:
    text = str(error)
    return Problem(CONFLICT, f"{text[:1].upper()}{text[1:]}.")


def _view(match: Match) -> MatchView:
    return MatchView(
        id=UUID(match.id),
        payment_id=UUID(match.payment_id),
        payment_reference=match.payment.id,
        member_id=match.member.id,
        member_name=match.member.name,
        invoice_id=None if match.invoice_id is None else UUID(match.invoice_id),
        state=match.state,
        reason=match.reason,
        proposed_by=match.proposed_by,
        proposed_by_name=match.proposed_by_name,
        proposed_at=match.proposed_at,
        decided_by=match.decided_by,
        decided_by_name=match.decided_by_name,
        decided_at=match.decided_at,
        version=match.version,
    )

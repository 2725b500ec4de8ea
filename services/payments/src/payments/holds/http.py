"""Holds on members."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from chassis.web import CONFLICT, INVALID, NOT_FOUND, IfMatch, Listed, Page, Problem, ReadTx, Tx, documents
from contracts.events import MemberHoldEnded, MemberHoldStarted
from fastapi import APIRouter, Path
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from payments.holds import store, use_cases
from payments.holds.domain import BadHoldError, Hold, HoldKind, HoldOverError, HoldState, OverlappingHoldError
from payments.holds.use_cases import NoSuchHoldError, NoSuchMemberError
from payments.members import store as members

router = APIRouter(tags=["holds"])
MemberId = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", description="The caller's id")]
Words = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+$")]
_HOLD_ID: Final = "0197a1c4-5d3e-7b8a-9c1d-2e3f4a5b6c7d"


class HoldGiven(BaseModel):
    """A hold to be placed: from now where `starts_at` is left out, until somebody ends it where `ends_at` is."""

    model_config = ConfigDict(extra="forbid")

    kind: HoldKind
    starts_at: AwareDatetime | None = None
    ends_at: AwareDatetime | None = None
    reason: Words


class HoldEnd(BaseModel):
    """Why a hold ends."""

    model_config = ConfigDict(extra="forbid")

    reason: Words | None = None


class HoldView(BaseModel):
    """A hold. While it is `in_force` nothing is collected from its member automatically."""

    id: UUID
    member_id: str
    member_name: str
    kind: HoldKind
    state: HoldState
    starts_at: datetime
    ends_at: datetime | None
    reason: str
    version: int


_EXAMPLE: Final = {
    "id": _HOLD_ID,
    "member_id": "mark-stevens",
    "member_name": "Mark Stevens",
    "kind": "medical",
    "state": "in_force",
    "starts_at": "2026-11-25T09:00:00Z",
    "ends_at": None,
    "reason": "a knee operation",
    "version": 2,
}
_NO_MEMBER: Final = (NOT_FOUND, "There is no member mark-stevens.")
_NO_HOLD: Final = (NOT_FOUND, f"There is no hold {_HOLD_ID}.")


@router.post(
    "/members/{member_id}/holds",
    **documents(
        scope="holds:write",
        audit=MemberHoldStarted,
        limit="write",
        status=201,
        request={"kind": "medical", "reason": "a knee operation"},
        example=_EXAMPLE,
        problems=[
            _NO_MEMBER,
            (
                CONFLICT,
                f"Mark Stevens is on medical hold {_HOLD_ID} from 2026-11-25 09:00 until somebody ends it.",
            ),
            (INVALID, "A hold must end after it begins, and not before now."),
        ],
    ),
)
async def start_hold(member_id: MemberId, given: HoldGiven, tx: Tx) -> HoldView:
    """Put a member on hold. One that begins later is told of when it begins."""
    try:
        hold = await use_cases.start(
            tx, member_id, given.kind, starts_at=given.starts_at, ends_at=given.ends_at, reason=given.reason
        )
    except NoSuchMemberError:
        raise Problem.not_found("member", member_id) from None
    except BadHoldError as error:
        raise Problem(INVALID, f"{error}.") from None
    except OverlappingHoldError as error:
        raise Problem(CONFLICT, f"{error}.", hold_id=error.other.id) from None
    return _view(hold)


@router.get(
    "/members/{member_id}/holds",
    **documents(
        scope="holds:read",
        example={"items": [_EXAMPLE], "next": None},
        problems=[_NO_MEMBER, (INVALID, "The request is not valid.")],
    ),
)
async def list_holds(member_id: MemberId, tx: ReadTx, page: Page) -> Listed[HoldView]:
    """A member's holds, newest first, those that are over and those that lie ahead among them."""
    if await members.load(tx.connection, member_id) is None:
        raise Problem.not_found("member", member_id)
    holds = await store.page(tx.connection, member_id, before=page.after_id(), limit=page.limit + 1)
    return page.listed([_view(hold) for hold in holds], key=lambda hold: hold.id)


@router.post(
    "/holds/{hold_id}/end",
    **documents(
        scope="holds:write",
        audit=MemberHoldEnded,
        limit="write",
        request={"reason": "he trains again"},
        example={**_EXAMPLE, "state": "ended", "ends_at": "2026-12-01T02:00:00Z", "version": 3},
        problems=[_NO_HOLD, (CONFLICT, f"The hold {_HOLD_ID} is over: it was ended.")],
    ),
)
async def end_hold(hold_id: UUID, given: HoldEnd, tx: Tx, if_match: IfMatch) -> HoldView:
    """End a hold now; one that has not begun is withdrawn."""
    try:
        return _view(await use_cases.finish(tx, str(hold_id), expected=if_match, reason=given.reason))
    except NoSuchHoldError:
        raise Problem.not_found("hold", str(hold_id)) from None
    except HoldOverError as error:
        raise Problem(CONFLICT, f"{error}.") from None


def _view(hold: Hold) -> HoldView:
    return HoldView(
        id=UUID(hold.id),
        member_id=hold.member_id,
        member_name=hold.member_name,
        kind=hold.kind,
        state=hold.state,
        starts_at=hold.starts_at,
        ends_at=hold.ends_at,
        reason=hold.reason,
        version=hold.version,
    )

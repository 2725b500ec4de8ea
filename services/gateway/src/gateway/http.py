"""The gateway's own operations."""

from __future__ import annotations

from typing import Annotated, Final

from chassis.web import NOT_FOUND, RequestContext, documents
from fastapi import APIRouter, Path, Request

from gateway.door import door_of
from gateway.members import Composer, MemberPage

PAGE_SECONDS: Final = 1.6
"""What a composed answer may take: it is to be there within two seconds."""
router = APIRouter(prefix="/v1", tags=["members"])
MemberId = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", description="The caller's id")]

_EXAMPLE: Final = MemberPage(
    id="mark-stevens",
    name="Mark Stevens",
    ledger={
        "member": {"id": "mark-stevens", "name": "Mark Stevens", "version": 1, "customers": []},
        "lines": [],
        "balances": [],
        "next": None,
    },
    holds=[],
    tasks=[],
    timeline=[],
    missing=[],
)


@router.get(
    "/members/{member_id}",
    **documents(
        scope="members:read",
        example=_EXAMPLE,
        problems=[(NOT_FOUND, "There is no member isla-morgan.")],
    ),
)
async def get_member(member_id: MemberId, request: Request) -> MemberPage:
    """A member with ledger, holds, tasks and timeline; what is missing is named, and the rest is there within 2 s."""
    door = door_of(request)
    caller = await door.identify(request)
    composer = Composer(door.upstreams, caller, RequestContext.of(request.scope), seconds=PAGE_SECONDS)
    return await composer.page(member_id)

"""The readiness board over HTTP: read-only, because nobody sets a state."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final

from chassis.web import NOT_FOUND, Problem, RequestContext, documents, web_state
from fastapi import APIRouter, Path, Request

from gateway.board import views
from gateway.board.catalogue import AI_DECISIONS, BY_ID, ITEMS, LEDGER
from gateway.board.domain import Evidence, Item, judge
from gateway.board.gathering import BOARD_SCOPE, Gathered, Gatherer
from gateway.board.views import Board, ItemPage
from gateway.door import door_of
from gateway.identity import Caller

BOARD_SECONDS: Final = 1.7
"""What gathering may take: the board is to be there within two seconds."""
router = APIRouter(prefix="/v1", tags=["board"])
ItemId = Annotated[str, Path(max_length=100, description="The item's id")]

_AT: Final = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
_EXAMPLE: Final = views.board([judge(AI_DECISIONS, Evidence(), None, now=_AT)], [])
_ITEM_EXAMPLE: Final = views.page(judge(LEDGER, Evidence(), None, now=_AT), Gathered(Evidence()))


@router.get("/board", **documents(scope=BOARD_SCOPE, example=_EXAMPLE.model_copy(update={"as_of": _AT})))
async def get_board(request: Request) -> Board:
    """The readiness board; what is missing is named, and the rest is there within 2 s."""
    caller = await door_of(request).identify(request)
    return await the_board(request, caller, ITEMS)


@router.get(
    "/board/items/{item_id}",
    **documents(
        scope=BOARD_SCOPE,
        example=_ITEM_EXAMPLE.model_copy(update={"as_of": _AT}),
        problems=[(NOT_FOUND, "There is no board item payment-walls.")],
    ),
)
async def get_board_item(item_id: ItemId, request: Request) -> ItemPage:
    """One item of the board, with what stands behind it: deliveries, queues, processes and recent failures."""
    caller = await door_of(request).identify(request)
    item = BY_ID.get(item_id)
    if item is None:
        raise Problem.not_found("board item", item_id)
    return await the_item(request, caller, item)


async def the_board(request: Request, caller: Caller, items: tuple[Item, ...]) -> Board:
    """These items of the board, as `caller` may see them."""
    gathered = await _gatherer(request, caller).gather(items, web_state(request).evidence)
    return views.board(gathered.judged(items), gathered.missing)


async def the_item(request: Request, caller: Caller, item: Item) -> ItemPage:
    """One item of the board, as `caller` may see it."""
    own, deliveries = web_state(request).evidence, "payments" in item.inspects
    gathered = await _gatherer(request, caller).gather([item], own, deliveries=deliveries)
    (judged,) = gathered.judged([item])
    return views.page(judged, gathered)


def _gatherer(request: Request, caller: Caller) -> Gatherer:
    context = RequestContext.of(request.scope)
    return Gatherer(door_of(request).upstreams, caller, context, seconds=BOARD_SECONDS)

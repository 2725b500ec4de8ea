"""Replays of provider events."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from chassis.web import CONFLICT, INVALID, NOT_FOUND, IfMatch, Listed, Page, Problem, ReadTx, Tx, documents
from contracts.events import ReplayUpdated
from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from payments.deliveries.domain import Provider
from payments.replays import store, use_cases
from payments.replays.domain import Filter, ItemOutcome, Replay, ReplayOverError, ReplayState, TooManyEventsError
from payments.replays.use_cases import NoSuchReplayError

router = APIRouter(tags=["replays"])
Words = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+$")]
_REPLAY_ID: Final = "0197a1c4-7e2f-7c1a-8b3d-4f5a6b7c8d9e"


class ReplayFilter(BaseModel):
    """Which events: all that is given holds. `state` is what became of the event's delivery."""

    model_config = ConfigDict(extra="forbid")

    provider: Provider | None = None
    received_from: AwareDatetime | None = None
    received_until: AwareDatetime | None = None
    types: list[Annotated[str, Field(min_length=1, max_length=100)]] = Field(default_factory=list, max_length=100)
    state: Annotated[str, Field(pattern="^(accepted|processed|dead_lettered)$")] | None = None


class ReplayGiven(BaseModel):
    """A replay to be made. A dry run counts what a run would do, and does nothing."""

    model_config = ConfigDict(extra="forbid")

    filter: ReplayFilter
    purpose: Words
    incident_id: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")] | None = None
    dry_run: bool = False
    max_per_second: int = Field(20, ge=1, le=1_000)


class ReplayCountsView(BaseModel):
    """How many events were found, and what became of those that are done: the rest has not been looked at yet."""

    matched: int
    replayed: int
    unchanged: int
    refused: int
    failed: int


class ReplayView(BaseModel):
    """A replay as it stands."""

    id: UUID
    state: ReplayState
    filter: ReplayFilter
    purpose: str
    incident_id: str | None
    dry_run: bool
    max_per_second: int
    counts: ReplayCountsView
    requested_at: datetime
    ended_at: datetime | None
    version: int


class ReplayItemView(BaseModel):
    """One event of a replay; `outcome` is null until it was worked off, `why` says more."""

    number: int
    provider_event_id: UUID
    provider: Provider
    event_id: str
    type: str
    delivery_id: UUID
    payment_id: UUID | None
    outcome: ItemOutcome | None
    why: str | None


_EXAMPLE: Final[dict[str, Any]] = {
    "id": _REPLAY_ID,
    "state": "completed",
    "filter": {
        "provider": "gocardless",
        "received_from": "2026-11-25T00:00:00Z",
        "received_until": None,
        "types": [],
        "state": None,
    },
    "purpose": "the outage of GoCardless",
    "incident_id": None,
    "dry_run": False,
    "max_per_second": 20,
    "counts": {"matched": 40, "replayed": 3, "unchanged": 36, "refused": 1, "failed": 0},
    "requested_at": "2026-11-25T09:00:00Z",
    "ended_at": "2026-11-25T09:00:02Z",
    "version": 5,
}
_ITEM: Final = {
    "number": 1,
    "provider_event_id": "0197a1c4-5d3e-7b8a-9c1d-2e3f4a5b6c7d",
    "provider": "gocardless",
    "event_id": "EV0001",
    "type": "payments.confirmed",
    "delivery_id": "0197a1c4-5d3e-7b8a-9c1d-2e3f4a5b6c7e",
    "payment_id": None,
    "outcome": "unchanged",
    "why": "already known",
}
_NO_REPLAY: Final = (NOT_FOUND, f"There is no replay {_REPLAY_ID}.")
_INVALID: Final = (INVALID, "Some parameters are not known here.")


@router.post(
    "/replays",
    **documents(
        scope="replays:write",
        audit=ReplayUpdated,
        limit="write",
        status=201,
        request={"filter": {"provider": "gocardless"}, "purpose": "the outage of GoCardless", "dry_run": True},
        example={
            **_EXAMPLE,
            "state": "requested",
            "counts": {"matched": 40, "replayed": 0, "unchanged": 0, "refused": 0, "failed": 0},
            "ended_at": None,
            "version": 2,
        },
        problems=[
            (INVALID, "The filter matches more than 10000 events: narrow it, and replay in parts."),
            (INVALID, "The request is not valid."),
        ],
    ),
)
async def request_replay(given: ReplayGiven, tx: Tx) -> ReplayView:
    """Replay the events that the filter matches now, or count what that would do."""
    chosen = given.filter
    try:
        made = await use_cases.request(
            tx,
            Filter(
                provider=chosen.provider,
                received_from=chosen.received_from,
                received_until=chosen.received_until,
                types=tuple(chosen.types),
                delivery_state=chosen.state,
            ),
            purpose=given.purpose,
            incident_id=given.incident_id,
            dry_run=given.dry_run,
            rate_per_second=given.max_per_second,
        )
    except TooManyEventsError as error:
        raise Problem(INVALID, f"{error}.", limit=error.limit) from None
    return _view(made)


@router.get(
    "/replays",
    **documents(
        scope="replays:read",
        example={"items": [_EXAMPLE], "next": None},
        problems=[_INVALID, (INVALID, "The request is not valid.")],
    ),
)
async def list_replays(
    tx: ReadTx,
    page: Page,
    incident_id: Annotated[str | None, Query(max_length=100, description="Only this incident's")] = None,
) -> Listed[ReplayView]:
    """Replays, newest first."""
    found = await store.page(tx.connection, incident_id=incident_id, before=page.after_id(), limit=page.limit + 1)
    return page.listed([_view(each) for each in found], key=lambda each: each.id)


@router.get(
    "/replays/{replay_id}",
    **documents(scope="replays:read", example=_EXAMPLE, problems=[_NO_REPLAY, _INVALID]),
)
async def get_replay(replay_id: UUID, tx: ReadTx) -> ReplayView:
    """One replay."""
    found = await store.find(tx.connection, str(replay_id))
    if found is None:
        raise Problem.not_found("replay", str(replay_id))
    return _view(found)


@router.get(
    "/replays/{replay_id}/items",
    **documents(scope="replays:read", example={"items": [_ITEM], "next": None}, problems=[_NO_REPLAY, _INVALID]),
)
async def list_replay_items(
    replay_id: UUID,
    tx: ReadTx,
    page: Page,
    outcome: Annotated[ItemOutcome | None, Query(description="Only items with this outcome")] = None,
) -> Listed[ReplayItemView]:
    """The events of a replay with what became of each."""
    if await store.find(tx.connection, str(replay_id)) is None:
        raise Problem.not_found("replay", str(replay_id))
    rows = await store.items(
        tx.connection, str(replay_id), outcome=outcome, after=page.after_int() or 0, limit=page.limit + 1
    )
    return page.listed([ReplayItemView.model_validate(dict(row)) for row in rows], key=lambda item: item.number)


@router.post(
    "/replays/{replay_id}/cancel",
    **documents(
        scope="replays:write",
        audit=ReplayUpdated,
        limit="write",
        example={**_EXAMPLE, "state": "cancelled"},
        problems=[_NO_REPLAY, (CONFLICT, f"The replay {_REPLAY_ID} is completed.")],
    ),
)
async def cancel_replay(replay_id: UUID, tx: Tx, if_match: IfMatch) -> ReplayView:
    """Cancel a replay; what it has done stays done."""
    try:
        return _view(await use_cases.cancel(tx, str(replay_id), expected=if_match))
    except NoSuchReplayError:
        raise Problem.not_found("replay", str(replay_id)) from None
    except ReplayOverError as error:
        raise Problem(CONFLICT, f"{error}.") from None


def _view(replay: Replay) -> ReplayView:
    chosen, counts = replay.filter, replay.counts
    return ReplayView(
        id=UUID(replay.id),
        state=replay.state,
        filter=ReplayFilter.model_validate(
            {
                "provider": chosen.provider,
                "received_from": chosen.received_from,
                "received_until": chosen.received_until,
                "types": list(chosen.types),
                "state": chosen.delivery_state,
            }
        ),
        purpose=replay.purpose,
        incident_id=replay.incident_id,
        dry_run=replay.dry_run,
        max_per_second=replay.rate_per_second,
        counts=ReplayCountsView(
            matched=counts.matched,
            replayed=counts.replayed,
            unchanged=counts.unchanged,
            refused=counts.refused,
            failed=counts.failed,
        ),
        requested_at=replay.requested_at,
        ended_at=replay.ended_at,
        version=replay.version,
    )

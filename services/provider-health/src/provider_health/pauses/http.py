"""Pauses of automation: which are in force, who has stopped, and how they are set, extended and released."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Annotated, Any, Final
from uuid import UUID

from chassis.web import (
    INVALID,
    MISSING_SCOPE,
    PRECONDITION_FAILED,
    PRECONDITION_REQUIRED,
    IfMatch,
    Listed,
    Page,
    Problem,
    ProblemType,
    ReadTx,
    Tx,
    documents,
)
from contracts.events import AutomationPauseUpdated
from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from provider_health.incidents import use_cases as incidents
from provider_health.incidents.http import told_as_problems
from provider_health.incidents.views import INCIDENT_ID
from provider_health.names import name_of
from provider_health.pauses import queries, use_cases
from provider_health.pauses.domain import (
    Action,
    AlreadyPausedError,
    EndedError,
    Mode,
    Pause,
    PauseStatus,
    Scope,
    TooLongError,
    reached,
)
from provider_health.pauses.queries import Change
from provider_health.pauses.use_cases import NoSuchPauseError, Wish
from provider_health.words import Line, Words

router = APIRouter(tags=["pauses"])
READ: Final = "pauses:read"
WRITE: Final = "pauses:write"
LONGEST_MINUTES: Final = 1_440

ALREADY_PAUSED: Final = ProblemType("already-paused", "This scope is paused already", 409)
PAUSE_OVER: Final = ProblemType("pause-over", "The pause is over", 409)

PauseId = Annotated[UUID, Path(description="The pause's id")]
Minutes = Annotated[int, Field(strict=True, ge=1, le=LONGEST_MINUTES, description="From now, in business time")]


class ScopeView(BaseModel):
    """What a pause stops; null is every provider, every account. `action`: collection, notices, replays, all."""

    model_config = ConfigDict(extra="forbid")

    provider: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)] | None = None
    account: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$", max_length=100)] | None = None
    action: Action


class PauseGiven(BaseModel):
    """A pause to set: what, how, why and for how long. It binds staff's own actions only where it says so."""

    model_config = ConfigDict(extra="forbid")

    scope: ScopeView
    mode: Mode = "hold"
    reason: Words
    expires_in_minutes: Minutes
    incident_id: UUID | None = None
    binds_staff: bool = False


class Extension(BaseModel):
    """Another end for a pause, counted from now."""

    model_config = ConfigDict(extra="forbid")

    expires_in_minutes: Minutes
    reason: Words


class Release(BaseModel):
    """Why a pause ends."""

    model_config = ConfigDict(extra="forbid")

    reason: Words


class PauseView(BaseModel):
    """A pause. `state`: active, released, expired; times are business time.

    `by_policy`: an outage has set it, and it is lifted by itself when the provider works again.
    """

    id: str
    scope: ScopeView
    scope_text: str
    scope_words: str
    mode: Mode
    state: PauseStatus
    reason: str
    incident_id: str | None
    binds_staff: bool
    by_policy: bool
    actor_name: str
    epoch: int
    set_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    version: int


class StopView(BaseModel):
    """One process that acts on pauses: whether it lives, and whether and when (real time) it had applied this one."""

    service: str
    instance: str
    live: bool
    stopped: bool
    applied_at: datetime | None


class StoppedView(BaseModel):
    """How far a pause has reached: `2 of 2 stopped in 0.4 s`."""

    stopped: int
    of: int
    seconds: float | None
    words: str
    instances: list[StopView]


class ChangeView(BaseModel):
    """One change of a pause: paused, extended the pause of, released, resumed (it ran out)."""

    epoch: int
    change: str
    reason: str
    expires_at: datetime
    actor_name: str
    at: datetime
    changed_at: datetime


class PauseDetail(PauseView):
    """A pause with its history, and who has stopped because of its newest change."""

    changes: list[ChangeView]
    acknowledgements: StoppedView


class PauseFilters(BaseModel):
    """Which pauses are asked for."""

    state: PauseStatus | None = Field(None, description="One state: `active` are those in force")
    provider: Line | None = Field(None, description="One provider")


PAUSE_ID: Final = "0198c2f4-8f00-7a11-8c3d-2b1f0e9d8c7b"
_AT: Final = datetime.fromisoformat("2026-03-02T09:01:30+00:00")
_SCOPE: Final = ScopeView(provider="gocardless", action="collection")
_EXAMPLE: Final = PauseView(
    id=PAUSE_ID,
    scope=_SCOPE,
    scope_text="gocardless/*/collection",
    scope_words="collection at GoCardless",
    mode="hold",
    state="active",
    reason="GoCardless does not answer",
    incident_id=INCIDENT_ID,
    binds_staff=False,
    by_policy=True,
    actor_name="Provider health",
    epoch=7,
    set_at=_AT,
    expires_at=_AT + timedelta(hours=24),
    ended_at=None,
    version=1,
)
_DETAIL: Final = PauseDetail(
    **_EXAMPLE.model_dump(),
    changes=[
        ChangeView(
            epoch=7,
            change="paused",
            reason="GoCardless does not answer",
            expires_at=_AT + timedelta(hours=24),
            actor_name="Provider health",
            at=_AT,
            changed_at=_AT,
        )
    ],
    acknowledgements=StoppedView(
        stopped=1,
        of=1,
        seconds=0.4,
        words="1 of 1 stopped in 0.4 s",
        instances=[
            StopView(
                service="payments",
                instance="payments-1",
                live=True,
                stopped=True,
                applied_at=_AT + timedelta(seconds=0.4),
            )
        ],
    ),
)
_MISSING: Final = Problem.not_found("pause", PAUSE_ID)
_NO_PARAMETER: Final = (INVALID, "Some parameters are not known here.")
_NO_SCOPE: Final = (MISSING_SCOPE, "This needs the scope pauses:read.")
_OVER: Final = (PAUSE_OVER, f"The pause {PAUSE_ID} was released already.")
_STALE: Final = (PRECONDITION_FAILED, f"The pause {PAUSE_ID} has version 2, not 1.")
_NO_VERSION: Final = (PRECONDITION_REQUIRED, "Send the version that you have read as `If-Match`, in double quotes.")


@contextmanager
def _told_as_problems() -> Iterator[None]:
    try:
        yield
    except NoSuchPauseError as error:
        raise Problem.not_found("pause", error.id) from None
    except AlreadyPausedError as error:
        detail = f"{error.scope} is paused already, by {error.id}."
        raise Problem(ALREADY_PAUSED, detail, pause_id=error.id, scope=error.scope) from None
    except EndedError as error:
        raise Problem(PAUSE_OVER, f"The pause {error.id} was {error.state} already.", pause_id=error.id) from None
    except TooLongError as error:
        raise Problem(INVALID, f"{str(error)[:1].upper()}{str(error)[1:]}.") from None


@router.get(
    "/pauses",
    **documents(scope=READ, example=Listed(items=[_EXAMPLE], next=None), problems=[_NO_PARAMETER, _NO_SCOPE]),
)
async def list_pauses(tx: ReadTx, filters: Annotated[PauseFilters, Query()], page: Page) -> Listed[PauseView]:
    """Pauses, newest first."""
    found = await queries.listed(
        tx.connection, state=filters.state, provider=filters.provider, after=page.after_id(), limit=page.limit + 1
    )
    return page.listed([_view(each) for each in found], key=lambda each: each.id)


@router.get("/pauses/{pause_id}", **documents(scope=READ, example=_DETAIL, problems=[_MISSING, _NO_SCOPE]))
async def get_pause(pause_id: PauseId, tx: ReadTx) -> PauseDetail:
    """A pause with its history and who has stopped."""
    found = await queries.get(tx.connection, str(pause_id))
    if found is None:
        raise Problem.not_found("pause", str(pause_id))
    changes = await queries.history(tx.connection, found.id)
    return PauseDetail(
        **_view(found).model_dump(),
        changes=[ChangeView.model_validate(each, from_attributes=True) for each in changes],
        acknowledgements=await _stopped(tx, found, changes),
    )


@router.post(
    "/pauses",
    **documents(
        scope=WRITE,
        audit=AutomationPauseUpdated,
        limit="write",
        request=PauseGiven(scope=_SCOPE, reason="GoCardless does not answer", expires_in_minutes=240),
        example=_EXAMPLE,
        problems=[
            (ALREADY_PAUSED, f"gocardless/*/collection is paused already, by {PAUSE_ID}."),
            Problem.not_found("incident", INCIDENT_ID),
        ],
        status=201,
    ),
)
async def create_pause(given: PauseGiven, tx: Tx) -> PauseView:
    """Pause automation; every service that acts hears of it, stops and says so."""
    scope = Scope(given.scope.provider, given.scope.account, given.scope.action)
    wish = Wish(
        scope=scope,
        mode=given.mode,
        reason=given.reason,
        lasts=timedelta(minutes=given.expires_in_minutes),
        incident_id=None if given.incident_id is None else str(given.incident_id),
        binds_staff=given.binds_staff,
    )
    with _told_as_problems(), told_as_problems():
        # The incident first: its lock is taken before the head's wherever both are needed.
        incident = None if wish.incident_id is None else await incidents.load(tx, wish.incident_id, None)
        made = await use_cases.pause(tx, wish)
        if incident is not None:
            words = f"{_words(made)} is paused for {given.expires_in_minutes} minutes at most: {made.reason}"
            await incidents.name_pause(tx, incident, made.id, words)
    return _view(made)


@router.post(
    "/pauses/{pause_id}/extend",
    **documents(
        scope=WRITE,
        audit=AutomationPauseUpdated,
        limit="write",
        request=Extension(expires_in_minutes=240, reason="They are still at it"),
        example=_EXAMPLE,
        problems=[_MISSING, _OVER, _STALE, _NO_VERSION],
    ),
)
async def extend_pause(pause_id: PauseId, given: Extension, expected: IfMatch, tx: Tx) -> PauseView:
    """Give a pause another end; one that an outage has set is the caller's from then on."""
    lasts = timedelta(minutes=given.expires_in_minutes)
    with _told_as_problems():
        return _view(await use_cases.extend(tx, str(pause_id), lasts=lasts, reason=given.reason, expected=expected))


@router.post(
    "/pauses/{pause_id}/release",
    **documents(
        scope=WRITE,
        audit=AutomationPauseUpdated,
        limit="write",
        request=Release(reason="GoCardless answers again"),
        example=_EXAMPLE.model_copy(update={"state": "released", "ended_at": _AT + timedelta(hours=1), "version": 2}),
        problems=[_MISSING, _OVER, _STALE, _NO_VERSION],
    ),
)
async def release_pause(pause_id: PauseId, given: Release, expected: IfMatch, tx: Tx) -> PauseView:
    """Let automation go on."""
    with _told_as_problems():
        return _view(await use_cases.release(tx, str(pause_id), reason=given.reason, expected=expected))


async def _stopped(tx: Any, pause: Pause, changes: Sequence[Change]) -> StoppedView:
    stops = await queries.stops(tx.connection, pause.epoch)
    far = reached(stops, changed_at=changes[-1].changed_at)
    return StoppedView(
        stopped=far.stopped,
        of=far.of,
        seconds=far.seconds,
        words=far.words,
        instances=[
            StopView(
                service=each.service,
                instance=each.instance,
                live=each.live,
                stopped=each.applied_at is not None,
                applied_at=each.applied_at,
            )
            for each in stops
        ],
    )


def _words(pause: Pause) -> str:
    return pause.scope.words(pause.scope.provider and name_of(pause.scope.provider))


def _view(pause: Pause) -> PauseView:
    return PauseView(
        id=pause.id,
        scope=ScopeView(provider=pause.scope.provider, account=pause.scope.account, action=pause.scope.action),
        scope_text=pause.scope.text,
        scope_words=_words(pause),
        mode=pause.mode,
        state=pause.state,
        reason=pause.reason,
        incident_id=pause.incident_id,
        binds_staff=pause.binds_staff,
        by_policy=pause.by_policy,
        actor_name=pause.who.name,
        epoch=pause.epoch,
        set_at=pause.set_at,
        expires_at=pause.expires_at,
        ended_at=pause.ended_at,
        version=pause.version,
    )

"""Maintenance windows: when a provider is not to be alarmed about."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Final, Literal
from uuid import UUID

from chassis.web import (
    INVALID,
    MISSING_SCOPE,
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
from contracts.events import MaintenanceWindowUpdated
from fastapi import APIRouter, Path, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from provider_health.checks import queries, use_cases
from provider_health.checks.domain import Window, WindowError, WindowOverError
from provider_health.checks.use_cases import NoSuchWindowError
from provider_health.words import Words

router = APIRouter(tags=["providers"])
WINDOW_OVER: Final = ProblemType("maintenance-over", "The maintenance window is over", 409)
WindowId = Annotated[UUID, Path(description="The maintenance window's id")]
Provider = Literal["stripe", "gocardless", "members-api", "payment-webhooks", "ai-decisions"]


class WindowView(BaseModel):
    """A maintenance window, in business time: while it lasts nothing is alarmed, and everything is recorded."""

    id: str
    provider: str
    starts_at: datetime
    ends_at: datetime
    reason: str
    actor_name: str
    version: int


class WindowGiven(BaseModel):
    """A maintenance window to plan; it ends by itself. `starts_at` null: from now on."""

    model_config = ConfigDict(extra="forbid")

    provider: Provider
    starts_at: AwareDatetime | None = Field(None, description="With its offset from UTC")
    lasts_minutes: Annotated[int, Field(strict=True, ge=1, le=10_080)]
    reason: Words


class WindowEnd(BaseModel):
    """Why a maintenance window ends before its time."""

    model_config = ConfigDict(extra="forbid")

    reason: Words


class WindowFilters(BaseModel):
    """Which windows are asked for."""

    provider: Provider | None = Field(None, description="One provider or door")


_ID: Final = "0198c2f4-9a10-7b20-8d30-4c50e60f7081"
_AT: Final = datetime.fromisoformat("2026-03-02T09:00:00+00:00")
_EXAMPLE: Final = WindowView(
    id=_ID,
    provider="gocardless",
    starts_at=_AT,
    ends_at=_AT + timedelta(hours=2),
    reason="They announced it",
    actor_name="Operations",
    version=1,
)
_MISSING: Final = Problem.not_found("maintenance window", _ID)
_INVALID: Final = (INVALID, "A maintenance window ends in the future.")


@router.get(
    "/maintenance-windows",
    **documents(
        scope="providers:read",
        example=Listed(items=[_EXAMPLE], next=None),
        problems=[
            (INVALID, "Some parameters are not known here."),
            (MISSING_SCOPE, "This needs the scope providers:read."),
        ],
    ),
)
async def list_windows(tx: ReadTx, filters: Annotated[WindowFilters, Query()], page: Page) -> Listed[WindowView]:
    """Maintenance windows that are in force or to come, newest entry first."""
    found = await queries.windows(
        tx.connection, provider=filters.provider, now=tx.now, after=page.after_id(), limit=page.limit + 1
    )
    return page.listed([_view(each) for each in found], key=lambda each: each.id)


@router.post(
    "/maintenance-windows",
    **documents(
        scope="incidents:write",
        audit=MaintenanceWindowUpdated,
        limit="write",
        request=WindowGiven(provider="gocardless", lasts_minutes=120, reason="They announced it"),
        example=_EXAMPLE,
        problems=[_INVALID, (MISSING_SCOPE, "This needs the scope incidents:write.")],
        status=201,
    ),
)
async def create_window(given: WindowGiven, tx: Tx) -> WindowView:
    """Plan maintenance: its looks are recorded, and nobody is alarmed; it ends by itself."""
    lasts = timedelta(minutes=given.lasts_minutes)
    try:
        return _view(
            await use_cases.plan_window(tx, given.provider, starts_at=given.starts_at, lasts=lasts, reason=given.reason)
        )
    except WindowError as error:
        raise Problem(INVALID, f"{str(error)[:1].upper()}{str(error)[1:]}.") from None


@router.post(
    "/maintenance-windows/{window_id}/end",
    **documents(
        scope="incidents:write",
        audit=MaintenanceWindowUpdated,
        limit="write",
        request=WindowEnd(reason="They are done"),
        example=_EXAMPLE,
        problems=[
            _MISSING,
            (WINDOW_OVER, f"The maintenance window {_ID} is over already."),
            (PRECONDITION_REQUIRED, "Send the version that you have read as `If-Match`, in double quotes."),
        ],
    ),
)
async def end_window(window_id: WindowId, given: WindowEnd, expected: IfMatch, tx: Tx) -> WindowView:
    """End a maintenance window before its time; what fails alarms again from the next look on."""
    try:
        return _view(await use_cases.end_window(tx, str(window_id), reason=given.reason, expected=expected))
    except NoSuchWindowError as error:
        raise Problem.not_found("maintenance window", error.id) from None
    except WindowOverError as error:
        raise Problem(WINDOW_OVER, f"The maintenance window {error.id} is over already.", id=error.id) from None


def _view(window: Window) -> WindowView:
    return WindowView(
        id=window.id,
        provider=window.provider,
        starts_at=window.starts_at,
        ends_at=window.ends_at,
        reason=window.reason,
        actor_name=window.actor_name,
        version=window.version,
    )

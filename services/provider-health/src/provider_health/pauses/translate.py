"""Pauses as other services hear of them."""

from __future__ import annotations

from typing import Final

from chassis.transaction import Draft
from contracts.envelope import Entity, Snapshot, Workflow
from contracts.events import AutomationPauseHeartbeat, AutomationPauseUpdated, PauseScope, PauseState

from provider_health.pauses.domain import Pause

_WORKFLOW: Final = "automation_pauses"
HEARTBEAT_KEY: Final = "heartbeat"
PAUSED: Final = "paused"
EXTENDED: Final = "extended the pause of"
RELEASED: Final = "released"
RESUMED: Final = "resumed"


def updated(
    before: Pause | None, after: Pause, change: str, *, words: str, reason: str
) -> Draft[AutomationPauseUpdated]:
    """The event that tells of a change; keyed by the scope, so that the topic keeps the newest state of each."""
    return Draft(
        body=AutomationPauseUpdated(change=change, pause=state_of(after), scope_words=words),
        entity=Entity(type="automation_pause", id=after.id),
        workflow=Workflow(name="incident", id=after.incident_id)
        if after.incident_id
        else Workflow(name=_WORKFLOW, id=_WORKFLOW),
        key=after.scope.text,
        before=None if before is None else snapshot(before),
        after=snapshot(after),
        reason=reason,
    )


def heartbeat(epoch: int) -> Draft[AutomationPauseHeartbeat]:
    """The event that says that pauses are kept, and how many changes there have been."""
    return Draft(
        body=AutomationPauseHeartbeat(epoch=epoch),
        entity=Entity(type="automation_pause", id=HEARTBEAT_KEY),
        workflow=Workflow(name=_WORKFLOW, id=_WORKFLOW),
        key=HEARTBEAT_KEY,
    )


def state_of(pause: Pause) -> PauseState:
    """The pause on the wire."""
    return PauseState(
        id=pause.id,
        scope=PauseScope(provider=pause.scope.provider, account=pause.scope.account, action=pause.scope.action),
        mode=pause.mode,
        state=pause.state,
        reason=pause.reason,
        epoch=pause.epoch,
        expires_at=pause.expires_at,
        incident_id=pause.incident_id,
        binds_staff=pause.binds_staff,
    )


def snapshot(pause: Pause) -> Snapshot:
    """The pause as plain JSON, for before and after."""
    return {
        "state": pause.state,
        "scope": pause.scope.text,
        "mode": pause.mode,
        "expires_at": pause.expires_at.isoformat(),
        "epoch": pause.epoch,
    }

"""From records of `automation-pauses` to what the domain knows."""

from __future__ import annotations

from datetime import datetime

from contracts.events import AutomationPauseHeartbeat, AutomationPauseUpdated
from contracts.registry import UnknownTypeError, UnknownVersionError, UnreadableEventError, decode, typed

from payments.pauses.domain import Known, Pause


def applied(known: Known, key: str, value: bytes | None, at: datetime) -> Known:
    """What is known after one record. Raises UnreadableEventError for one that cannot be read."""
    if value is None:
        return Known({scope: pause for scope, pause in known.pauses.items() if scope != key}, *_rest(known))
    try:
        body = typed(decode(value)).data.body
    except (UnknownTypeError, UnknownVersionError):
        return known
    match body:
        case AutomationPauseHeartbeat(epoch=epoch):
            return Known(known.pauses, known.epoch, epoch, at)
        case AutomationPauseUpdated(pause=told):
            pauses = {scope: pause for scope, pause in known.pauses.items() if scope != told.scope.text}
            if told.state == "active":
                pauses[told.scope.text] = Pause(
                    id=told.id,
                    provider=told.scope.provider,
                    account=told.scope.account,
                    action=told.scope.action,
                    mode=told.mode,
                    reason=told.reason,
                    expires_at=told.expires_at,
                    binds_staff=told.binds_staff,
                )
            return Known(pauses, max(known.epoch, told.epoch), known.heartbeat_epoch, known.heartbeat_at)
        case _:
            return known


def _rest(known: Known) -> tuple[int, int | None, datetime | None]:
    return known.epoch, known.heartbeat_epoch, known.heartbeat_at


__all__ = ["UnreadableEventError", "applied"]

"""Examples of what the gateway tells."""

from __future__ import annotations

from typing import Final

from contracts.envelope import Entity, Event, Payload, Workflow
from contracts.events import AccessRefused, AccessSignedIn
from contracts.examples.shared import MARIA, TASK_ID, TIME, example

EXAMPLES: Final[tuple[Event[Payload], ...]] = (
    example(
        AccessRefused(
            operation="claim task", route="POST /v1/tasks/{task_id}/claim", cause="missing-scope", count=1, minute=TIME
        ),
        actor=MARIA,
        entity=Entity(type="access", id=MARIA.id),
        workflow=Workflow(name="access", id=TASK_ID),
        reason="the scope tasks:write is missing",
    ),
    example(
        AccessSignedIn(roles=("billing",), method="browser", issuer="local"),
        actor=MARIA,
        entity=Entity(type="access", id=MARIA.id),
        workflow=Workflow(name="access", id=MARIA.id),
    ),
)

"""What the gateway tells."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from contracts.envelope import Instant, Integer, Payload
from contracts.registry import event_type
from contracts.topics import GATEWAY_EVENTS


@event_type(
    "access.refused",
    version=1,
    topic=GATEWAY_EVENTS,
    entity="access",
    sentence="The gateway did not let {actor} {body.operation}{body.count: ({} time(s) within a minute)}{reason:: {}}",
)
class AccessRefused(Payload):
    """Refused requests of one caller, operation and cause within one minute; callers without a name are one caller.

    `operation` says in words what was tried ("claim task"), `route` how (`POST /v1/tasks/{task_id}/claim`), `cause` is
    a problem's slug (`missing-scope`).
    """

    operation: str
    route: str
    cause: str
    count: Annotated[Integer, Field(gt=0)]
    minute: Instant


@event_type(
    "access.signed_in",
    version=1,
    topic=GATEWAY_EVENTS,
    entity="access",
    sentence="{actor} signed in{body.roles: as {}}",
)
class AccessSignedIn(Payload):
    """Somebody began a session. `method`: browser, token; `issuer` is who vouched for them."""

    roles: tuple[str, ...]
    method: str
    issuer: str
